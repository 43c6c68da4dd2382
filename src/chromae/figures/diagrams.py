"""Diagrams of architectures: boxes, arrows, clouds and layers in the house's inks, each diagram one function."""

import itertools
import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle, RegularPolygon

from chromae.arguments.kinds import Count, Finite, Positive
from chromae.figures import style
from chromae.figures.plots import Color

Point = tuple[Finite, Finite]


def canvas(width: Positive, height: Positive) -> tuple[Figure, Axes]:
    """A white page of so many inches on which things stand in tenths of an inch, (0, 0) at its lower left corner."""
    figure, axes = plt.subplots(figsize=(width, height), facecolor=style.PAPER)
    axes.set(xlim=(0, 10 * width), ylim=(0, 10 * height), aspect="equal")
    axes.axis("off")
    return figure, axes


def box(
    axes: Axes,
    center: Point,
    size: tuple[Positive, Positive],
    text: str = "",
    color: Color = style.BLUE,
    fill: float = 0.12,
) -> None:
    """A box with round corners around a text, tinted by its own colour: `fill` is how much of it."""
    (x, y), (width, height) = center, size
    corner, look = "round,pad=0,rounding_size=0.8", {"facecolor": (color, fill), "edgecolor": color, "linewidth": 1.4}
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, corner, **look))
    label(axes, center, text)


def funnel(
    axes: Axes,
    center: Point,
    width: Positive,
    heights: tuple[Positive, Positive],
    text: str = "",
    color: Color = style.BLUE,
) -> None:
    """A network that narrows, or widens, from the first height to the second, left to right, a text inside."""
    (x, y), (first, second) = center, heights
    left, right = x - width / 2, x + width / 2
    corners = [(left, y - first / 2), (left, y + first / 2), (right, y + second / 2), (right, y - second / 2)]
    look = {"facecolor": (color, 0.12), "edgecolor": color, "linewidth": 1.4, "joinstyle": "round"}
    axes.add_patch(Polygon(corners, **look))
    label(axes, center, text)


def cloud(axes: Axes, center: Point, size: tuple[Positive, Positive], color: Color = style.VERMILLION) -> None:
    """A normal distribution seen from above: ellipses at one, two and three deviations; `size` is that of the last."""
    for part in (1, 2 / 3, 1 / 3):
        axes.add_patch(Ellipse(center, part * size[0], part * size[1], facecolor=color, edgecolor="none", alpha=0.16))


def dot(axes: Axes, place: Point, color: Color = style.INK, size: Positive = 5) -> None:
    """A point, `size` of a text's points wide."""
    axes.plot(*place, marker="o", markersize=size, color=color, linestyle="none")


def arrow(
    axes: Axes,
    start: Point,
    end: Point,
    text: str = "",
    color: Color = style.INK,
    dashed: bool = False,
) -> None:
    """An arrow, its text above its middle; dashed, it is a choice."""
    line = "--" if dashed else "-"
    way = {"arrowstyle": "-|>", "mutation_scale": 11, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(start, end, **way, color=color, linewidth=1.4, linestyle=line))
    label(axes, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.7), text, size=8, color=color, low=True)


def label(axes: Axes, place: Point, text: str, size: Positive = 9, color: Color = style.INK, low: bool = False) -> None:
    """A text around a place, or, if `low`, standing on it."""
    axes.text(*place, text, ha="center", va="bottom" if low else "center", fontsize=size, color=color, linespacing=1.25)


def autoencoder(pixels: Count = 784, hidden: Sequence[Count] = (500, 500), latents: Count = 2) -> Figure:
    """Image → encoder → a few latents → decoder → image, and the error that trains both."""
    figure, axes = canvas(9.2, 2.5)
    widths = " → ".join(map(str, hidden))
    box(axes, (8, 14), (11, 11), f"image\n{pixels:,} pixels", style.FAINT)
    funnel(axes, (28, 14), 18, (14, 5), f"encoder\n{widths}")
    box(axes, (46, 14), (9, 5), f"{latents} numbers", style.VERMILLION, fill=0.25)
    funnel(axes, (64, 14), 18, (5, 14), "decoder\n" + " → ".join(map(str, reversed(hidden))), style.GREEN)
    box(axes, (84, 14), (11, 11), f"image again\n{pixels:,} pixels", style.FAINT)
    for start, end in ((13.5, 19), (37, 41.5), (50.5, 55), (73, 78.5)):
        arrow(axes, (start, 14), (end, 14))
    label(axes, (46, 18), "the code, or latents", 8, style.VERMILLION, low=True)
    _error(axes, 8, 84, 8.5, "loss: mean squared error between the two")
    return figure


def vae(hidden: Sequence[Count] = (500, 500), latents: Count = 2) -> Figure:
    """Image → a cloud of codes → one point of it → image: what is drawn at random, and the two costs."""
    figure, axes = canvas(9.8, 3.1)
    widths = " → ".join(map(str, hidden))
    box(axes, (7, 18), (10, 10), "image x", style.FAINT)
    funnel(axes, (23.5, 18), 15, (13, 6), f"encoder\n{widths}")
    box(axes, (39.5, 21), (9, 4.4), f"{latents} means μ", style.VERMILLION, fill=0.25)
    box(axes, (39.5, 15), (9, 4.4), f"{latents} widths σ", style.VERMILLION, fill=0.25)
    cloud(axes, (54, 18), (14, 9))
    dot(axes, (56.3, 19.1))
    label(axes, (54, 23.2), "the cloud, or posterior, q(z|x)", 8, style.VERMILLION, low=True)
    label(axes, (54, 11.2), "one point of it: z = μ + σ · ε,  ε from N(0, 1)", 8)
    funnel(axes, (73, 18), 15, (6, 13), "decoder\n" + " → ".join(map(str, reversed(hidden))), style.GREEN)
    box(axes, (90.5, 18), (12, 10), "a likelihood\np(x|z) of\nevery pixel", style.FAINT)
    for start, end in (((12, 18), (16, 18)), ((31, 19), (35, 21)), ((31, 17), (35, 15)), ((44, 21), (48, 19.5)),
                       ((44, 15), (48, 16.5)), ((57, 19), (65.5, 18)), ((80.5, 18), (84.5, 18))):  # fmt: skip
        arrow(axes, start, end)
    _error(axes, 7, 90.5, 13, "cost 1: nats for the pixels, −log p(x|z)", 4)
    label(axes, (54, 28), "cost 2: nats for the code, KL(q(z|x) ‖ N(0, 1)): how far the cloud strays from the prior", 8)
    return figure


def _error(axes: Axes, left: Finite, right: Finite, top: Finite, text: str, bottom: Finite = 3.5) -> None:
    """A bracket below two things that are compared."""
    axes.plot([left, left, right, right], [top, bottom, bottom, top], color=style.FAINT, linestyle="--", linewidth=1.2)
    axes.text(
        (left + right) / 2, bottom, text, ha="center", va="center", fontsize=8, bbox={"facecolor": style.PAPER, "lw": 0}
    )


def fields(pixels: Count = 32, seen: Count = 18, grid: Count = 8, latents: Count = 64) -> Figure:
    """What one number of a code sees of a photo: a patch, where convolutions alone make it, or all of it."""
    figure, axes = canvas(9.4, 2.9)
    side, patch = 16, 16 * min(seen / pixels, 1)
    for x, size, color in ((10, patch, style.BLUE), (58, side, style.GREEN)):
        _square(axes, (x, 14), side, style.FAINT, 0.10)
        _square(axes, (x, 14), size, color, 0.25)
        code = x + 21, 14.6 if x < 50 else 14
        cone = [(x + size / 2, 14 + size / 2), code, (x + size / 2, 14 - size / 2)]
        axes.add_patch(Polygon(cone, facecolor=color, edgecolor="none", alpha=0.18))
    for row in range(grid):
        for column in range(grid):
            dot(axes, (27.5 + 8.4 * column / grid, 10.4 + 8.4 * row / grid), style.FAINT, 2.2)
            dot(axes, (79, 7 + 14 * (row * grid + column) / grid**2), style.FAINT, 1.6)
    for place in ((27.5 + 8.4 * 3 / grid, 14.6), (79, 14)):
        dot(axes, place, style.VERMILLION, 6)
    for x, text in ((10, "a photo"), (58, "a photo"), (31.5, "its code, a grid"), (79, f"its code, {latents} numbers")):
        label(axes, (x, 24), text, 8, low=True)
    label(axes, (21, 3), f"convolutions alone: a number sees {seen} × {seen} pixels", 8, style.BLUE)
    label(axes, (68, 3), "and a dense layer: a number sees everything", 8, style.GREEN)
    return figure


def unet(width: Count = 48) -> Figure:
    """A U-Net that colours: luma down to a few wide maps and up again, what goes down added on the way up."""
    figure, axes = canvas(9.8, 3.6)
    levels = {level: (f"{width * 2**level} maps\n{16 >> level} × {16 >> level}") for level in range(3)}
    box(axes, (7, 28), (11, 6), "luma\n32 × 32", style.FAINT)
    box(axes, (91, 28), (11, 6), "chroma\n32 × 32", style.FAINT)
    for x, y, level, color in ((24, 28, 0, style.BLUE), (36, 19, 1, style.BLUE), (49, 10, 2, style.VERMILLION),
                               (62, 19, 1, style.GREEN), (74, 28, 0, style.GREEN)):  # fmt: skip
        box(axes, (x, y), (10, 5.4), levels[level], color)
    for start, end in (((12.5, 28), (19, 28)), ((26, 25.3), (33, 21.7)), ((38, 16.3), (45, 12.7)),
                       ((53, 12.7), (60, 16.3)), ((65, 21.7), (72, 25.3)), ((79, 28), (85.5, 28))):  # fmt: skip
        arrow(axes, start, end)
    arrow(axes, (29, 28), (69, 28), "skip: added on the way up", style.FAINT)
    arrow(axes, (41, 19), (57, 19), "skip", style.FAINT)
    label(axes, (49, 4.6), "here the mean of the whole picture\nis added everywhere", 8, style.VERMILLION)
    box(axes, (12, 11), (15, 8), "a classifier,\npretrained, frozen:\nour “eyes”", style.PURPLE)
    for start, end in (((7, 25), (9, 15)), ((16, 15), (22, 25.3)), ((19.5, 13), (31, 18)), ((19.5, 10), (44, 10))):
        arrow(axes, start, end, color=style.PURPLE, dashed=True)
    return figure


def palette(colors: Count = 6) -> Figure:
    """A picture of few colours: logits mixed softly while they learn, and decided at the end; the network sees both."""
    figure, axes = canvas(10.4, 3.5)
    box(axes, (9, 17), (14, 9), f"for every pixel\n{colors} logits", style.BLUE)
    box(axes, (33, 27), (18, 8), "softmax(logits / T)\nodds of each colour", style.BLUE)
    box(axes, (33, 7), (18, 8), "argmax(logits)\nthe likeliest colour", style.BLUE)
    box(axes, (33, 17), (18, 7), f"\n{colors} colours", style.FAINT)
    inks = (style.VERMILLION, style.BLUE, style.GREEN, style.PURPLE, style.ORANGE, style.SKY, style.INK, style.FAINT)
    for place, ink in enumerate(inks[:colors]):
        _square(axes, (33 + 1.9 * (place - (min(colors, len(inks)) - 1) / 2), 18.6), 1.4, ink, 1)
    box(axes, (60, 27), (17, 8), "relaxed picture:\ncolours mixed by odds", style.VERMILLION, fill=0.25)
    box(axes, (60, 7), (17, 8), "strict picture:\none colour a pixel", style.VERMILLION, fill=0.25)
    funnel(axes, (82, 17), 12, (14, 7), "a frozen\nclassifier", style.GREEN)
    box(axes, (98, 17), (9, 7), "logit of\na class", style.FAINT)
    for start, end in (((16, 19), (24, 25)), ((42, 27), (51.5, 27)), ((42, 18.5), (51.5, 24.5)), ((88, 17), (93.5, 17)),
                       ((68.5, 26), (76, 20))):  # fmt: skip
        arrow(axes, start, end)
    for start, end in (((16, 15), (24, 9)), ((42, 7), (51.5, 7)), ((42, 15.5), (51.5, 9.5)), ((68.5, 8), (76, 14))):
        arrow(axes, start, end, color=style.PURPLE, dashed=True)
    label(axes, (85, 27), "what is optimised: gradients\nflow back to logits and colours", 8, low=True)
    label(axes, (85, 5), "what can be drawn,\nand is judged in the end", 8, style.PURPLE, low=True)
    return figure


def cells(latents: Count = 128, cuts: Count = 6) -> Figure:
    """A decoder that cuts: the code sets lines, what lies inside all of them is a cell, and cells are filled."""
    figure, axes = canvas(9.8, 2.8)
    box(axes, (7, 15), (10, 6), f"{latents}\nnumbers", style.VERMILLION, fill=0.25)
    funnel(axes, (22, 15), 12, (6, 13), "two layers", style.GREEN)
    squares = {x: _square(axes, (x, 15), 16, style.FAINT, 0.10) for x in (40, 64, 88)}
    radius, tilt = 6.4, 1.9  # of the cell, a triangle
    for x, color, fill in ((64, style.INK, 0.2), (88, style.ORANGE, 0.9)):
        look = {"facecolor": color, "alpha": fill, "orientation": tilt + math.pi / 2}
        axes.add_patch(RegularPolygon((x, 15), 3, radius=radius, **look))
    for x, turn in itertools.product((40, 64), range(3)):
        right, up = math.cos(tilt + math.tau / 3 * turn), math.sin(tilt + math.tau / 3 * turn)
        middle = x + right * radius / 2, 15 + up * radius / 2
        cut = axes.axline(middle, (middle[0] + up, middle[1] - right), color=style.BLUE, linewidth=1.4)
        cut.set_clip_path(squares[x])
        if x == 40:
            arrow(axes, middle, (middle[0] - 2.4 * right, middle[1] - 2.4 * up), color=style.BLUE)
    for start, end in ((12, 16), (28, 31.5), (48.5, 55.5), (72.5, 79.5)):
        arrow(axes, (start, 15), (end, 15))
    for x, text in (
        (40, f"{cuts} cuts a cell (here three):\non which side is a pixel?"),
        (64, "a cell: inside of\nall its cuts, a product"),
        (88, "ground + cell · colour,\nsummed over all cells"),
    ):
        label(axes, (x, 3.4), text, 8)
    return figure


def views(dimensions: Count = 128) -> Figure:
    """Contrastive learning: two views of a shape are embedded alike, other shapes of the batch apart."""
    figure, axes = canvas(9.8, 3.4)
    rows = ((27, "a shape: the anchor", style.ORANGE, 3, 3.6), (17, "its view: the positive", style.BLUE, 3, 5.4),
            (7, "another shape: a negative", style.GREEN, 4, 3.6))  # fmt: skip
    for y, text, color, sides, radius in rows:
        edge = _square(axes, (24, y), 8.6, style.FAINT, 0.10)
        look = {"facecolor": color, "alpha": 0.9, "orientation": math.tau / 4 * (1 / sides - 1)}
        axes.add_patch(RegularPolygon((24, y - 0.4), sides, radius=radius, **look)).set_clip_path(edge)
        label(axes, (9.5, y), text, 8)
        arrow(axes, (29, y), (36.5, 17 + (y - 17) * 0.45))
    funnel(axes, (45, 17), 16, (15, 8), "one encoder\nfor all of them", style.BLUE)
    axes.add_patch(Ellipse((75, 17), 25, 25, facecolor="none", edgecolor=style.FAINT, linewidth=1.4))
    anchor, positive, negative = (64.2, 23.2), (66.7, 26.4), (83, 7.4)
    for place, color in ((anchor, style.ORANGE), (positive, style.BLUE), (negative, style.GREEN)):
        dot(axes, place, color, 9)
    arrow(axes, (53.5, 17), (61.5, 17))
    arrow(axes, (62.4, 20.4), (63.7, 22.3), color=style.VERMILLION)
    arrow(axes, (69.4, 28.2), (67.6, 27), color=style.VERMILLION)
    arrow(axes, (80.4, 9.6), (86.4, 4.4), color=style.PURPLE)
    label(axes, (72.5, 23.4), "pulled together", 8, style.VERMILLION)
    label(axes, (76.5, 12), "pushed away", 8, style.PURPLE)
    label(axes, (75, 17.6), f"a sphere in\n{dimensions} dimensions", 8, style.FAINT)
    return figure


def _square(axes: Axes, center: Point, side: Positive, color: Color, fill: float) -> Rectangle:
    corner = center[0] - side / 2, center[1] - side / 2
    return axes.add_patch(Rectangle(corner, side, side, facecolor=(color, fill), edgecolor=color, linewidth=1.2))
