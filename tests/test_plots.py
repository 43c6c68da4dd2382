"""The figures' style, their parts and how they are published."""

import io
import struct
import zlib

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib import colors
from matplotlib.collections import LineCollection, PathCollection
from PIL import Image

from chromae.figures import plots, png, style


@pytest.fixture
def axes():
    """Axes in the figures' style, which ends with the test."""
    with plt.rc_context():
        style.use()
        figure, axes = plt.subplots(figsize=(4, 3))
        yield axes
        plt.close(figure)


def test_style_sets_the_parameters():
    with plt.rc_context():
        mpl.rcdefaults()
        style.use()
        figure, axes = plt.subplots()
        (line,) = axes.plot([0, 1])
        assert plt.rcParams["savefig.dpi"] == 150
        assert plt.rcParams["lines.linewidth"] == line.get_linewidth() == 1.8
        assert line.get_color() == style.VERMILLION
        assert not axes.spines["top"].get_visible()
        assert not axes.spines["right"].get_visible()
        assert axes.spines["left"].get_visible()
        assert figure.get_constrained_layout()
        assert not plt.rcParams["legend.frameon"]
        plt.close(figure)


def test_limit_is_a_named_dashed_line(axes):
    plots.limit(axes, 0.25, "linear limit")
    (line,) = axes.lines
    assert list(line.get_ydata()) == [0.25, 0.25]
    assert line.get_linestyle() == "--"
    assert line.get_color() == style.INK
    (note,) = axes.texts
    assert note.get_text() == "linear limit"
    assert note.xy == (1, 0.25)


def test_limit_crosses_all_of_the_axes(axes):
    axes.plot([3, 40], [0, 1])
    plots.limit(axes, 0.5, "")
    ends = axes.lines[-1].get_transform().transform([(0, 0.5), (1, 0.5)])
    box = axes.get_window_extent()
    np.testing.assert_allclose(ends[:, 0], [box.x0, box.x1])


def test_band_is_the_mean_and_one_deviation(axes):
    curves = np.random.default_rng(0).random((7, 5))
    plots.band(axes, curves, "ours", style.BLUE)
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(line.get_ydata(), [sum(row) / 5 for row in curves])
    assert (line.get_label(), line.get_color()) == ("ours", style.BLUE)

    (fill,) = axes.collections
    corners = fill.get_paths()[0].vertices
    for step, row in enumerate(curves, start=1):
        heights = corners[corners[:, 0] == step][:, 1]
        deviation = np.sqrt(((row - row.mean()) ** 2).sum() / 4)
        np.testing.assert_allclose([heights.min(), heights.max()], [row.mean() - deviation, row.mean() + deviation])
    np.testing.assert_allclose(fill.get_facecolor()[0, :3], colors.to_rgb(style.BLUE))
    assert fill.get_facecolor()[0, 3] < 0.5


def test_a_band_of_one_seed_is_its_curve(axes):
    plots.band(axes, np.arange(7.0)[:, None], "alone", style.BLUE)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), np.arange(7))
    assert not axes.collections


def test_dots_show_every_seed_and_the_mean(axes):
    groups = {"ours": [1.0, 2.0, 6.0], "theirs": [4.0, 5.0]}
    plots.dots(axes, groups, [style.BLUE, style.GREEN])
    scatters = [each for each in axes.collections if isinstance(each, PathCollection)]
    bars = [each for each in axes.collections if isinstance(each, LineCollection)]
    for place, (values, scatter, bar, color) in enumerate(
        zip(groups.values(), scatters, bars, [style.BLUE, style.GREEN], strict=True)
    ):
        offsets = scatter.get_offsets()
        np.testing.assert_array_equal(offsets[:, 1], values)
        assert np.abs(offsets[:, 0] - place).max() < 0.3
        assert len(set(offsets[:, 0])) == len(values), "dots hide each other"
        ((start, end),) = bar.get_segments()
        assert start[1] == end[1] == pytest.approx(sum(values) / len(values))
        assert (start[0] + end[0]) / 2 == pytest.approx(place)
        np.testing.assert_allclose(scatter.get_facecolor()[0, :3], colors.to_rgb(color))
        np.testing.assert_allclose(bar.get_color()[0, :3], colors.to_rgb(color))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ours", "theirs"]


def test_dots_want_a_color_a_group(axes):
    with pytest.raises(ValueError, match="colors are 1, expected as many as groups, 2"):
        plots.dots(axes, {"ours": [1.0], "theirs": [2.0]}, [style.BLUE])


def test_dots_want_a_value_a_group(axes):
    with pytest.raises(ValueError, match=r"groups\['theirs'\] is empty, expected one value or more"):
        plots.dots(axes, {"ours": [1.0], "theirs": []}, [style.BLUE, style.GREEN])


def test_picture_shows_its_pixels_without_ticks(axes):
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    plots.picture(axes, image, "a map")
    (shown,) = axes.images
    np.testing.assert_array_equal(shown.get_array(), image)
    assert shown.get_interpolation() == "nearest"
    assert (list(axes.get_xticks()), list(axes.get_yticks())) == ([], [])
    assert axes.get_title(loc="left") == "a map"


def test_a_picture_of_one_channel_is_grey(axes):
    plots.picture(axes, np.full((4, 4, 1), 0.25))
    (shown,) = axes.images
    np.testing.assert_array_equal(shown.get_array(), np.full((4, 4, 3), 0.25))


def test_caption_stands_under_the_figure(axes):
    plots.caption(axes.figure, "4 seeds, standard preset")
    axes.figure.canvas.draw()
    assert axes.figure.get_supxlabel() == "4 seeds, standard preset"
    (text,) = axes.figure.texts
    assert text.get_window_extent().y1 < axes.get_window_extent().y0


def test_publish_writes_the_same_bytes_twice(axes, tmp_path):
    axes.plot([0, 1, 0.5])
    axes.set_title("a title")
    first, second = tmp_path / "first.webp", tmp_path / "second.webp"
    plots.publish(axes.figure, first)
    plots.publish(axes.figure, second)
    assert first.read_bytes() == second.read_bytes()
    axes.figure.savefig(tmp_path / "same.png")
    drawn, kept = (np.asarray(Image.open(path).convert("RGB")) for path in (tmp_path / "same.png", first))
    assert kept.shape == (450, 600, 3)
    assert np.array_equal(drawn, kept)
    (tmp_path / "same.png").unlink()
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_publish_takes_a_string_and_makes_its_folder(axes, tmp_path):
    plots.publish(axes.figure, str(tmp_path / "new" / "figure.webp"))
    assert Image.open(tmp_path / "new" / "figure.webp").format == "WEBP"


def test_publish_writes_webp_only(axes, tmp_path):
    with pytest.raises(ValueError, match=r"^path is '[^']*figure.png', expected a name that ends in .webp$"):
        plots.publish(axes.figure, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_publish_keeps_the_earlier_figure_on_a_full_disk(axes, tmp_path):
    path = tmp_path / "figure.webp"
    plots.publish(axes.figure, path)
    before = path.read_bytes()
    axes.plot([0, 1])
    resource = pytest.importorskip("resource", reason="Windows has no limits of files' sizes")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            plots.publish(axes.figure, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_ink_turns_white_strokes_into_ink_on_paper(axes):
    digits = torch.zeros(4, 1, 6, 5)
    digits[1] = 1
    plots.ink(axes, digits, columns=2, rows=["first", "second"])
    (image,) = axes.images
    assert image.get_array().shape[:2] == (12, 10)
    assert (image.get_array()[:6, :5] == 255).all()
    assert (image.get_array()[:6, 5:] == 0).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert list(axes.get_yticks()) == [3, 9]


def few_colors(height, width, seed):
    """Noise of six colours."""
    generator = torch.Generator().manual_seed(seed)
    palette = torch.randint(0, 256, (6, 3), generator=generator, dtype=torch.uint8)
    return palette[torch.randint(6, (height, width), generator=generator)].numpy()


@pytest.mark.parametrize("dpi", [72, 150])
def test_a_wall_shows_every_pixel_as_a_square_of_its_colour(monkeypatch, dpi):
    monkeypatch.setitem(plt.rcParams, "figure.dpi", dpi)
    pictures = {"one": few_colors(40, 33, 0), "two": few_colors(21, 50, 1), "a longer title": few_colors(17, 31, 2)}
    figure, shown = plots.wall(pictures, columns=2, zoom=3, room=7), []
    plots.caption(figure, "no data: noise")
    monkeypatch.setattr("IPython.display.display", shown.append)
    plots.show_png(figure)
    page = np.asarray(Image.open(io.BytesIO(shown[0].data)).convert("RGB"))
    assert page.shape[1] == plots.CAPTION  # for a caption has more room than these pictures need
    for axes, picture in zip(figure.axes, pictures.values(), strict=True):
        left, bottom, right, top = axes.bbox.extents.round().astype(int)
        expected = picture.repeat(3, 0).repeat(3, 1)
        assert np.array_equal(page[len(page) - top : len(page) - bottom, left:right], expected)
    assert not plt.fignum_exists(figure.number)


def test_a_wall_wants_a_picture():
    with pytest.raises(ValueError, match="pictures is empty"):
        plots.wall({}, columns=2)


@pytest.mark.parametrize("colors", [2, 200, 5000])
@pytest.mark.parametrize("alpha", [None, 255, 7])
def test_a_smaller_png_has_the_same_pixels(colors, alpha):
    pixels = np.random.default_rng(0).integers(0, 256, (colors, 3), dtype=np.uint8)
    picture = pixels[np.random.default_rng(1).integers(0, colors, (80, 90))]
    if alpha is not None:
        picture = np.dstack([picture, np.full((80, 90), alpha, np.uint8)])
    before = io.BytesIO()
    Image.fromarray(picture).save(before, "PNG", dpi=(72, 72))
    data = png.smaller(before.getvalue())
    with Image.open(io.BytesIO(data)) as again:
        assert again.mode == ("P" if colors < 257 and alpha != 7 else again.mode)
        assert (np.asarray(again.convert("RGBA")) == np.asarray(Image.fromarray(picture).convert("RGBA"))).all()
        assert again.info["dpi"] == pytest.approx((72, 72), abs=0.1)
    assert len(data) <= len(before.getvalue())
    assert png.smaller(data) == data


def test_a_png_that_moves_or_has_16_bits_stays_as_it_is():
    deep, moving = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 2**16, (40, 40), dtype=np.uint16)).save(deep, "PNG")
    shots = [Image.new("RGB", (40, 40), (number, 0, 0)) for number in range(5)]
    shots[0].save(moving, "PNG", save_all=True, append_images=shots[1:])

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))  # 2 × 1 pixels of 3 × 16 bits
    colored = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(range(13)), 0)) + chunk(b"IEND", b"")
    for data in (deep.getvalue(), colored, moving.getvalue()):
        assert png.smaller(data) == data


def test_what_is_no_png_is_refused():
    with pytest.raises(ValueError, match="data is no PNG"):
        png.smaller(b"not a picture")
