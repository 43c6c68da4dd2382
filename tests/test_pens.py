"""Lines for pens: they cover their regions and nothing else, in order, in a file that plotters' tools read."""

import io
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from browser import Watched, chromium
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from PIL import Image

from chromae import pens

RED, BLUE, GOLD, PAPER = [0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [1.0, 0.85, 0.0], [1.0, 1.0, 1.0]
PALETTE = torch.tensor([PAPER, RED, BLUE, GOLD])


def blocks(rows=24, columns=30):
    """Paper with a red, a blue and a golden block, the golden one in two pieces."""
    labels = torch.zeros(rows, columns, dtype=torch.long)
    labels[2:12, 3:13], labels[2:12, 16:28], labels[14:22, 3:9], labels[14:22, 20:26] = 1, 2, 3, 3
    return labels


def made(**options):
    return pens.plot(blocks(), PALETTE, **({"page": (170, 140), "margin": 10} | options))


def test_every_pen_but_the_paper_has_a_layer_the_lightest_first():
    names = [layer.name for layer in made().layers]
    assert [name.split("-")[0] for name in names] == ["1", "2", "3"]
    assert names[0] == "1-gold"
    colors = [layer.color for layer in made().layers]
    np.testing.assert_allclose(colors, [GOLD, RED, BLUE], atol=1e-6)
    assert made(paper=tuple(RED)).layers[0].name == "1-white"


@pytest.mark.parametrize("outlines", [True, False])
def test_what_is_drawn_is_the_picture(outlines):
    plot = made(outlines=outlines)
    assert plot.box == (10, 10, 160, 130)  # 5 mm a pixel
    drawn = pens.rasterise(plot, 300, margins=False)
    expected = PALETTE[blocks()].movedim(-1, 0).repeat_interleave(10, 1).repeat_interleave(10, 2)
    assert drawn.shape == expected.shape
    wrong = (drawn - expected).abs().amax(0) > 0.3
    assert wrong.float().mean() < (0.03 if outlines else 0.1)


def test_lines_stay_on_the_page_within_its_margins():
    points = np.concatenate([line for layer in made().layers for line in layer.lines])
    assert (points > 10).all()
    assert (points < [160, 130]).all()
    page = pens.rasterise(made(), 340)  # 2 pixels a mm
    assert page.shape == (3, 280, 340)
    page[:, 20:260, 20:320] = 1
    assert (page == 1).all()  # nothing but paper in the margins


@given(st.integers(0, 200), st.floats(0.3, 3), st.floats(0, 3.1))
@hypothesis_settings(max_examples=25)
def test_hatches_lie_in_their_mask_and_are_as_long_as_its_area_says(seed, spacing, angle):
    generator = np.random.default_rng(seed)
    mask = np.zeros((40, 50), dtype=bool)
    for _ in range(3):
        y, x = generator.integers(0, 25, 2)
        mask[y : y + 14, x : x + 14] = True
    lines = pens.hatches(mask, spacing, angle)
    for line in lines:
        x, y = np.floor(line[0] + np.linspace(0, 1, 20)[1:-1, None] * (line[1] - line[0])).astype(int).T
        assert mask[y, x].mean() > 0.9
    length = sum(np.hypot(*(line[1] - line[0])) for line in lines)
    assert length * spacing == pytest.approx(mask.sum(), rel=0.12)


def test_ordering_keeps_all_lines_and_shortens_the_way():
    generator = np.random.default_rng(0)
    lines = [generator.uniform(0, 100, (3, 2)) for _ in range(60)]
    sorted_lines = pens.ordered(lines)
    either_way, again = ([min(line.tolist(), line[::-1].tolist()) for line in each] for each in (lines, sorted_lines))
    assert sorted(either_way) == sorted(again)
    before, after = (sum(math.dist(a[-1], b[0]) for a, b in pairwise(each)) for each in (lines, sorted_lines))
    assert after < 0.5 * before
    assert pens.ordered([]) == []


def test_statistics_count_regions_and_metres():
    found = pens.statistics(made(), blocks())
    assert found["regions"] == 5  # red, blue, two of gold, and the paper around them
    assert found["pens"] == 3
    drawn_area = int((blocks() > 0).sum()) * 25  # mm²
    spacing = 0.5 * (1 - pens.OVERLAP)
    assert found["down_m"] == pytest.approx(drawn_area / spacing / 1000, rel=0.15)  # outlines are a few per cent of it
    assert found["up_m"] < 0.2 * found["down_m"]


def test_the_same_plot_is_the_same_file_and_whole_or_not_there(tmp_path):
    first, again = (pens.save(made(), tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "b.svg"]
    assert pens.save(made(), str(tmp_path / "a.svg")).read_bytes() == first


VPYPE = """
import sys, vpype
document = vpype.read_multilayer_svg(sys.argv[1], 0.1)
millimetres = lambda pixels: f"{25.4 * pixels / 96:g}"
print(*map(millimetres, document.page_size))
for number, layer in sorted(document.layers.items()):
    width = millimetres(layer.property("vp_pen_width"))
    print(number, layer.property("vp_name"), layer.property("vp_color").as_hex(), width, len(layer))
"""


def stroked():
    """Twelve strokes of three pens on a postcard."""
    lines = 0.2 + 0.6 * torch.rand(12, 9, 2, generator=torch.Generator().manual_seed(0))
    return pens.plot_strokes(lines, torch.arange(12) % 3, PALETTE[1:], 200, 225, 2.5)


@given(st.integers(0, 10**6))
@hypothesis_settings(max_examples=30, deadline=None)
def test_strokes_end_at_the_edge_of_the_picture(seed):
    """Nothing lies outside; what does lie inside is all there, in order."""
    generator = torch.Generator().manual_seed(seed)
    lines = 0.5 + torch.randn(8, 33, 2, generator=generator).cumsum(1) / 8
    plot = pens.plot_strokes(lines, torch.arange(8) % 3, PALETTE[1:], 200, 225, 2.5)
    left, top, right, bottom = plot.box
    drawn = [line for layer in plot.layers for line in layer.lines]
    for line in drawn:
        assert (line >= [left - 1e-9, top - 1e-9]).all()
        assert (line <= [right + 1e-9, bottom + 1e-9]).all()
    whole = torch.tensor([left, top]) + lines.double() * (right - left)
    times = torch.linspace(0, 1, 201, dtype=torch.double)[:, None, None, None]
    fine = torch.lerp(whole[:, :-1], whole[:, 1:], times)
    inside = ((fine >= torch.tensor([left, top])) & (fine <= torch.tensor([right, bottom]))).all(-1).double().mean(0)
    expected = (inside * whole.diff(dim=1).norm(dim=-1)).sum().item()
    down = 1000 * pens.statistics(plot, torch.zeros(1, 1, dtype=torch.long))["down_m"]
    assert abs(down - expected) < 0.02 * expected + 1


def test_a_pen_stays_down_over_less_than_its_width():
    rows = torch.tensor([0.1, 0.11, 0.5])  # of three lines, on a picture 90 mm wide with a pen of a millimetre
    lines = torch.stack([torch.tensor([[0.2, row], [0.8, row]]) for row in rows])
    plot = pens.plot_strokes(lines, torch.zeros(3, dtype=torch.long), PALETTE[1:], 225, 225, 2.5)
    found = pens.statistics(plot, torch.zeros(1, 1, dtype=torch.long))
    assert (found["lines"], found["lifts"]) == (3, 2)


def test_strokes_without_length_or_on_an_edge_stay():
    still = torch.full((1, 9, 2), 0.5)
    edge = torch.stack([torch.linspace(0, 1, 9), torch.zeros(9)], -1)[None]
    plot = pens.plot_strokes(torch.cat([still, edge]), torch.tensor([0, 1]), PALETTE[1:], 200, 200, 2.5)
    assert sorted(len(line) for layer in plot.layers for line in layer.lines) == [9, 9]


@pytest.mark.parametrize("plot", [made(), stroked()], ids=["hatches", "strokes"])
def test_vpype_reads_layers_pens_and_page(plot, tmp_path):
    """The real vpype, which AxiDraw's users have."""
    pytest.importorskip("vpype", reason="vpype is not there for this Python")
    path = pens.save(plot, tmp_path / "plot.svg")
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", VPYPE, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    page, *layers = run.stdout.splitlines()
    assert page == f"{plot.page[0]:g} {plot.page[1]:g}"
    assert layers == [
        f"{number} {layer.name} {to_hex(layer.color)} {plot.pen_width:g} {len(layer.lines)}"
        for number, layer in enumerate(plot.layers, 1)
    ]


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="page is 30 × 140 mm, expected twice the margin, 20 mm, and ten times"):
        made(page=(30, 140), margin=20)
    with pytest.raises(ValueError, match="pen_width is 0, expected more than 0 mm"):
        made(pen_width=0)
    with pytest.raises(ValueError, match="labels run from 0 to 3, expected 0 to 1"):
        pens.plot(blocks(), PALETTE[:2])
    with pytest.raises(ValueError, match=r"page is 10 × 148 mm, expected more than twice the margin, 7\.5 mm"):
        pens.plot_strokes(torch.rand(2, 9, 2), torch.tensor([0, 1]), PALETTE, 20, 20, 2.5, page=(10, 148))
    with pytest.raises(ValueError, match="chosen runs from 0 to 4, expected 0 to 3"):
        pens.plot_strokes(torch.rand(2, 9, 2), torch.tensor([0, 4]), PALETTE, 20, 20, 2.5)
    with pytest.raises(ValueError, match=r"palette has values from 0 to 255, expected RGB in \[0, 1\]"):
        pens.plot(blocks(), 255 * (PALETTE > 0.5).float())


def test_greys_are_called_greys():
    """Nearest in OKLab alone, a felt pen's black would be midnight blue."""
    assert [pens.name_of((v, v, v)) for v in (0.1, 0.54, 0.9)] == ["black", "gray", "gainsboro"]
    assert pens.name_of((0.1, 0.1, 0.45)) == "midnightblue"


def test_a_browser_draws_the_same_picture_from_the_file(tmp_path):
    """Round tips, widths, order of pens and places: what `rasterise` gives is what another program makes of the SVG."""
    plot = stroked()
    path = pens.save(plot, tmp_path / "strokes.svg")
    with chromium() as browser:
        watched = Watched(browser, width=420, height=592)
        style = "<style>body {margin: 0} svg {width: 420px; height: 592px}</style>"
        watched.page.set_content(style + path.read_text().split("?>")[1])
        shot = Image.open(io.BytesIO(watched.page.screenshot())).convert("RGB")
        watched.close()
    seen = torch.from_numpy(np.array(shot)).permute(2, 0, 1) / 255
    ours = pens.rasterise(plot, 420)
    assert ours.shape == seen.shape
    assert (ours - seen).abs().mean() < 0.003
    assert (1 - seen).abs().mean() > 0.02  # or there was nothing to see
