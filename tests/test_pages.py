"""A film's frame: pictures as they are, curves where their values say."""

import ast
import json
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torchvision.utils import make_grid

from chromae.datasets import sprites
from chromae.figures import pages, style

ROOT = Path(__file__).resolve().parents[1]
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
AXES = pages.Axes("test MSE", 20, 0.0, 0.1, 0.03, "limit")


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def strip(frame: np.ndarray) -> np.ndarray:
    return frame[-pages.STRIP :].astype(int)


def corners(frame: np.ndarray) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of the strip's axes, read off their grey pixels."""
    grey = (strip(frame) == ImageColor.getrgb(style.FAINT)).all(-1)
    left, bottom = grey.sum(0).argmax(), grey.sum(1).argmax()
    return left, np.flatnonzero(grey[bottom]).max(), np.flatnonzero(grey[:, left]).min(), bottom


def colored(frame: np.ndarray, curve: int) -> np.ndarray:
    """Rows and columns of the strip's pixels that have a curve's colour."""
    return np.argwhere(np.abs(strip(frame) - style.COLORS[curve]).sum(-1) < 30)


def expected(frame: np.ndarray, step: int, value: float) -> tuple[float, float]:
    """The row and the column where a value of AXES belongs."""
    left, right, top, bottom = corners(frame)
    part = (value - AXES.low) / (AXES.high - AXES.low)
    return bottom - (bottom - top) * part, left + (right - left) * step / AXES.steps


@pytest.mark.parametrize("zoom", [1, 2])
@pytest.mark.parametrize("count", [1, 2])
def test_size(count, zoom):
    pictures = {f"picture {index}": noise(100, index) for index in range(count)}
    frame = pages.frame(pictures, [[0.05]] * count, AXES, zoom=zoom)
    width = pages.MARGIN + count * (100 * zoom + pages.MARGIN)
    assert frame.shape == (pages.TITLE + 100 * zoom + pages.STRIP, width, 3)
    assert frame.dtype == np.uint8


@pytest.mark.parametrize("zoom", [1, 2])
def test_pictures_appear_pixel_by_pixel(zoom):
    pictures = {"first": noise(90, 1), "second": noise(90, 2)}
    # The second curve leaves the axes at either end: nothing of it may reach the pictures.
    frame = pages.frame(pictures, [[0.05] * 20, [9.0, -9.0] * 10], AXES, zoom=zoom)
    for place, picture in enumerate(pictures.values()):
        x = pages.MARGIN + place * (90 * zoom + pages.MARGIN)
        shown = frame[pages.TITLE :, x:][: 90 * zoom, : 90 * zoom]
        for row in range(zoom):
            for column in range(zoom):
                np.testing.assert_array_equal(shown[row::zoom, column::zoom], picture)


def test_titles_stand_over_their_pictures():
    frame = pages.frame({"first": noise(90), "second": noise(90)}, [[0.05]] * 2, AXES, zoom=1).astype(int)
    for place in range(2):
        x = pages.MARGIN + place * (90 + pages.MARGIN)
        title = frame[: pages.TITLE, x : x + 90]
        near = [(np.abs(title - color).sum(-1) < 30).sum() for color in style.COLORS[:2]]
        assert near[place] > 10
        assert near[1 - place] == 0


@pytest.mark.parametrize("value", [0.02, 0.05, 0.07])
def test_curve_of_one_value_is_a_dot(value):
    frame = pages.frame({"picture": noise(100)}, [[value]], AXES)
    found = colored(frame, 0)
    assert 30 <= len(found) <= 70
    np.testing.assert_allclose(found.mean(0), expected(frame, 1, value), atol=1)


@pytest.mark.parametrize("steps", [2, 11, 20])
def test_curve_ends_in_a_dot_at_its_last_value(steps):
    curves = [np.linspace(0.09, 0.06, steps), np.linspace(0.01, 0.045, steps)]
    frame = pages.frame({"picture": noise(100)}, [curve.tolist() for curve in curves], AXES)
    for place, curve in enumerate(curves):
        row, column = expected(frame, steps, curve[-1])
        found = colored(frame, place)
        end = found[found[:, 1] >= column - 1]
        assert end[:, 0].mean() == pytest.approx(row, abs=1)
        assert found[:, 1].max() == pytest.approx(column + 3.5, abs=1)
        assert found[:, 1].min() == pytest.approx(expected(frame, 1, 0)[1], abs=4.5)


@pytest.mark.parametrize(("value", "edge"), [(5.0, 0.1), (0.1001, 0.1), (-5.0, 0.0), (float("inf"), 0.1)])
def test_values_off_the_axes_stay_at_their_edge(value, edge):
    frame = pages.frame({"picture": noise(100)}, [[value]], AXES)
    at_edge = pages.frame({"picture": noise(100)}, [[edge]], AXES)
    np.testing.assert_array_equal(frame, at_edge)
    assert colored(frame, 0)[:, 0].mean() == pytest.approx(expected(frame, 1, edge)[0], abs=1)


def test_limit_is_a_dashed_line_at_its_value():
    picture = {"picture": noise(100)}
    frame = pages.frame(picture, [[0.05]], AXES)
    left, right, _, _ = corners(frame)
    row = round(expected(frame, 0, AXES.limit)[0])
    dark = (strip(frame)[:, left + 1 : right] < 140).all(-1)
    dashes = dark[row - 1 : row + 2].sum(1)
    assert 0.3 < dashes.max() / (right - left) < 0.7
    moved = pages.frame(picture, [[0.05]], AXES._replace(limit=0.08))
    assert not np.array_equal(strip(frame)[row - 1 : row + 2], strip(moved)[row - 1 : row + 2])


def check_text(frame: np.ndarray, text: str, place: tuple[int, int], anchor: str) -> None:
    """The strip's pixels around a place are those of this text, written by Pillow in 11 pixels of DejaVu Sans."""
    font = ImageFont.truetype(FONT, 11)
    page = Image.new("RGB", (frame.shape[1], pages.STRIP), style.PAPER)
    draw = ImageDraw.Draw(page)
    draw.text(place, text, fill=style.INK, font=font, anchor=anchor)
    left, top, right, bottom = map(round, draw.textbbox(place, text, font=font, anchor=anchor))
    area = np.s_[top : bottom + 2, left - 3 : right + 3]
    assert np.array_equal(strip(frame)[area], np.asarray(page)[area]), text


@pytest.mark.parametrize(
    ("steps", "axes", "text", "end"),
    [
        (7, AXES, "test MSE, epoch 7", "20"),
        (8, AXES, "test MSE, epoch 8", "20"),
        (7, AXES._replace(unit="step", label="−ELBO × Δ²"), "−ELBO × Δ², step 7", "20"),
        (8, AXES._replace(unit="after digit", each=50), "test MSE, after digit 400", "1,000"),
        (0, AXES, "test MSE, epoch 0", "20"),
    ],
)
def test_points_are_counted_in_their_unit(steps, axes, text, end):
    frame = pages.frame({"picture": noise(100)}, [[0.05] * steps], axes)
    check_text(frame, text, (frame.shape[1] - pages.MARGIN - 8, 9), "rm")
    check_text(frame, end, (frame.shape[1] - pages.MARGIN - 8, pages.STRIP - 26), "mt")
    check_text(frame, "0", (pages.MARGIN + 44, pages.STRIP - 26), "mt")


@pytest.mark.parametrize("curves", [[], [[]], [[], [0.05]], [[float("nan")]]])
def test_curves_without_points_leave_the_axes_empty(curves):
    frame = pages.frame({"picture": noise(100)}, curves, AXES)
    assert len(colored(frame, 0)) == 0
    assert (len(colored(frame, 1)) > 0) == (len(curves) == 2)
    assert corners(frame) == corners(pages.frame({"picture": noise(100)}, [[0.05]], AXES))


def test_bad_frames_are_one_sentence():
    with pytest.raises(ValueError, match="pictures is empty, expected one or more"):
        pages.frame({}, [[0.05]], AXES)
    with pytest.raises(ValueError, match=r"axes run from 0\.1 to 0\.1 in 20 steps, expected low < high"):
        pages.frame({"picture": noise(100)}, [[0.05]], AXES._replace(low=0.1))


def test_long_texts_stay_in_their_place():
    axes = AXES._replace(each=54_000, label="MSE to the nearest of all held-out images")
    pictures = {"the means of 2,000 test digits' clouds": noise(200), "": noise(90)}
    frame = pages.frame(pictures, [[0.05]], axes, zoom=1)
    inked = (frame[: pages.TITLE] < 255).any((0, 2))
    assert inked[pages.MARGIN :][:20].any()
    assert not inked[pages.MARGIN + 200 :].any()
    assert (strip(frame)[:, -3:] == 255).all()  # the axis ends at 1,080,000
    narrow = pages.frame({"": noise(320)}, [[0.05]], axes, zoom=1)
    left = corners(narrow)[0]
    assert (strip(narrow)[8:24, left - 4 : left] == 255).all()  # the curve's name does not reach the number beside it


def texts() -> set[str]:
    """Everything that the package and the code of the notebooks hold in quotes."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        sources += ["".join(cell["source"]) for cell in cells]
    nodes = chain.from_iterable(ast.walk(ast.parse(source)) for source in sources)
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_character_can_be_drawn():
    font = style.font(16)
    blank = [bytes(font.getmask(none)) for none in ("\uffff", "\U000e0fff")]
    characters = set("".join(texts())) - set("\n\t\r \x00\x1b")
    assert {"−", "Δ", "×", "²", "–"} < characters
    assert not [character for character in sorted(characters) if bytes(font.getmask(character)) in blank]


class Plane(torch.nn.Module):
    """Images of one grey: codes are (grey, −grey), decoded to a grey that follows the first latent."""

    def encode(self, x):
        grey = x.flatten(1).mean(1)
        return torch.stack([grey, -grey], dim=1)

    def decode(self, z):
        return z[:, :1, None, None].expand(-1, 1, 4, 4)


def test_latent_plane_shows_codes_and_what_is_decoded_there():
    greys = torch.linspace(0, 1, 50)
    images, labels = greys.view(-1, 1, 1, 1).expand(-1, 1, 4, 4), torch.arange(50) // 25
    scatter, sheet = pages.latent_plane(Plane(), images, labels, ink=True)
    assert scatter.shape == sheet.shape == (420, 420, 3)
    rows = np.argwhere(np.abs(scatter.astype(int) - style.CLASSES[0]).sum(-1) < 20)
    assert rows.mean(0)[0] < 210 < 420 - rows.mean(0)[1]  # class 0: small first latent, large second: up and left
    levels = sheet[210, ::28, 0].astype(int)
    assert levels[0] > 240
    assert levels[-1] < 15
    assert (np.diff(levels) <= 0).all()  # ink on paper: the first latent runs right
    _, plain = pages.latent_plane(Plane(), images, labels)
    assert np.abs(plain.astype(int) + sheet - 255).max() <= 1  # as it is decoded, unless ink is asked for


@pytest.mark.parametrize("columns", [1, 2, 12])
def test_latent_plane_decodes_at_a_tile_what_the_scatter_shows_there(monkeypatch, columns):
    model, decoded, boxes = Plane(), [], []
    decode, scatter = model.decode, pages.scatter
    model.decode = lambda z: decoded.append(z) or decode(z)
    monkeypatch.setattr(pages, "scatter", lambda *given: boxes.append(given[2]) or scatter(*given))
    images = torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    pages.latent_plane(model, images, torch.zeros(60).long(), columns)
    low, high = boxes[0]
    centers = (np.arange(columns) + 0.5) / columns
    grid = decoded[0].view(columns, columns, 2).numpy()
    np.testing.assert_allclose(grid[0, :, 0], low[0] + centers * (high - low)[0], atol=1e-6)
    np.testing.assert_allclose(grid[::-1, 0, 1], low[1] + centers * (high - low)[1], atol=1e-6)


def test_latent_plane_wants_two_latents():
    model = Plane()
    model.encode = lambda x: x.flatten(1)[:, :3]
    with pytest.raises(ValueError, match=r"codes of shape \(3,\), expected 2 latents"):
        pages.latent_plane(model, torch.rand(5, 1, 4, 4), torch.zeros(5).long())
    with pytest.raises(ValueError, match="images is empty"):
        pages.latent_plane(Plane(), torch.rand(0, 1, 4, 4), torch.zeros(0).long())


def test_scatter_puts_points_where_they_belong():
    points = np.array([[0.25, 0.25]] * 2 + [[0.75, 0.5]])
    picture = pages.scatter(points, np.array([3, 3, 9]), np.array([[0, 0], [1, 1]]), size=100, radius=12)
    for place, label in (((75, 35), 3), ((50, 85), 9)):  # beside the class's name, which stands on the point
        assert np.abs(picture[place].astype(int) - style.CLASSES[label]).sum() < 10
    assert (picture[10, 50] > 240).all()


def test_scatter_names_every_class_even_where_all_lie_on_one_spot():
    labels = np.arange(10)
    for spot in ((0.5, 0.5), (0.02, 0.98)):  # in the middle, and in a corner, where there is less room
        picture = pages.scatter(np.tile(spot, (10, 1)), labels, np.array([[0, 0], [1, 1]]), size=420)
        for color in style.CLASSES:  # most of each disc is its class's colour: none is covered by another
            shown = (np.abs(picture.astype(int) - color).sum(-1) < 10).sum()
            assert shown > 0.5 * np.pi * (420 / 36) ** 2


@given(arrays(np.float64, (10, 2), elements=st.floats(-500, 500)), st.floats(5, 40))
def test_names_end_inside_and_apart(spots, distance):
    ends = pages._apart(spots, distance, size=420)
    gaps = np.linalg.norm(ends[:, None] - ends, axis=-1)[~np.eye(10, dtype=bool)]
    assert gaps.min() > 0.9 * distance
    assert ends.min() >= distance / 2
    assert ends.max() <= 420 - distance / 2


def test_corners_have_the_digits_that_tell_them_apart(monkeypatch):
    told, text = [], ImageDraw.ImageDraw.text
    listen = lambda draw, place, it, **how: told.append(it) or text(draw, place, it, **how)  # noqa: E731
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", listen)
    for box in ([[-20, 1], [3, 2]], [[-0.004, 0], [0.005, 0.1]]):
        pages.scatter(np.zeros((0, 2)), np.zeros(0, int), np.array(box, float))
    assert told == ["(−20.0, 1.0)", "(3.0, 2.0)", "(−0.0040, 0.0000)", "(0.0050, 0.1000)"]


def test_scatter_knows_ten_classes():
    with pytest.raises(ValueError, match="labels run from 0 to 10"):
        pages.scatter(np.zeros((2, 2)), np.array([0, 10]), np.array([[0, 0], [1, 1]]))


def test_sheet_lays_images_row_by_row():
    images = torch.arange(6).view(6, 1, 1, 1).expand(6, 1, 2, 3) / 10
    sheet = pages.sheet(images, columns=3)
    assert sheet.shape == (4, 9, 3)
    assert np.array_equal(sheet[::2, ::3, 0], np.round([[0, 25.5, 51], [76.5, 102, 127.5]]).astype(np.uint8))
    gap = pages.sheet(images, columns=3, gap=1)
    assert (gap[0] == 255).all()


@pytest.mark.parametrize(("count", "channels", "columns", "gap"), [(6, 1, 4, 0), (7, 3, 3, 2), (2, 3, 5, 1)])
def test_a_sheet_is_that_of_torchvision(count, channels, columns, gap):
    images = torch.rand(count, channels, 4, 5, generator=torch.Generator().manual_seed(0))
    grid = make_grid(images, nrow=columns, padding=gap, pad_value=1)
    assert np.array_equal(pages.sheet(images, columns, gap), (255 * grid).round().byte().permute(1, 2, 0))


def test_sprites_stand_at_their_points_in_their_colors():
    made = sprites.factors(3, torch.Generator().manual_seed(0), kinds=["circle"], background=(0.1, 0.1))
    made = made._replace(color=torch.eye(3))
    points, box = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]]), np.array([[0.0, 0.0], [1.0, 1.0]])
    page = pages.sprites(points, made, box, size=101, width=11)
    assert page.shape == (101, 101, 3)
    for (row, column), color in zip([(95, 5), (95, 95), (5, 50)], np.eye(3) * 255, strict=True):
        assert page[row, column].tolist() == color.tolist()
    assert page[50, 50].tolist() == [26] * 3  # the ground, where no point lies


def test_sprites_show_the_kind_of_a_shape():
    made = sprites.factors(2, torch.Generator().manual_seed(0), kinds=["ring"], background=(0, 0))
    page = pages.sprites(np.array([[0, 0], [1, 1]]), made, np.array([[0, 0], [1, 1]]), size=80, width=31)
    assert page[64, 15].max() == 0  # the hole
    assert page[64, 3].max() > 100  # the ring
