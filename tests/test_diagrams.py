"""Diagrams: every one is a light figure whose texts lie on the page, and clear of each other."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from chromae.figures import diagrams, style

ALL = {
    name: made
    for name, made in vars(diagrams).items()
    if getattr(made, "__module__", "") == diagrams.__name__ and made.__annotations__.get("return") is Figure
}


@pytest.fixture(autouse=True)
def drawn_off_screen():
    with matplotlib.rc_context():
        matplotlib.use("agg")
        style.use()
        yield
    plt.close("all")


@pytest.mark.parametrize("name", ALL)
def test_its_texts_lie_on_the_page_and_none_on_another(name):
    figure = ALL[name]()
    figure.canvas.draw()
    page, texts = figure.bbox, [text for axes in figure.axes for text in axes.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert texts
    for text, one in zip(texts, boxes, strict=True):
        assert page.contains(one.x0, one.y0), text.get_text()
        assert page.contains(one.x1, one.y1), text.get_text()
    for (a, one), (b, other) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not one.overlaps(other), (a.get_text(), b.get_text())


@pytest.mark.parametrize("name", ALL)
def test_it_stands_on_white(name):
    figure = ALL[name]()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 255).all()
    assert (pixels[..., :3] < 255).any()


def test_a_network_shows_the_sizes_that_it_is_given():
    figure = diagrams.autoencoder(3072, (256, 128), 64)
    told = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert all(size in told for size in ("3,072 pixels", "256 → 128", "64 numbers", "128 → 256"))


def test_a_box_holds_its_text_and_a_cloud_its_middle():
    figure, axes = diagrams.canvas(2, 1)
    diagrams.box(axes, (10, 5), (8, 4), "a box", style.GREEN)
    diagrams.cloud(axes, (5, 5), (4, 2))
    assert axes.texts[0].get_position() == (10, 5)
    assert [patch.get_center() for patch in axes.patches[-3:]] == [(5, 5)] * 3
    assert tuple(figure.get_size_inches()) == (2, 1)


@pytest.mark.parametrize("size", [(0, 4), (-1, 4)])
def test_a_box_without_a_size_is_refused(size):
    _, axes = diagrams.canvas(2, 1)
    with pytest.raises(TypeError, match=r"size is tuple .*, expected"):
        diagrams.box(axes, (1, 1), size)
