"""What a film's frame looks like: titled pictures in a row over a strip of curves. Plain Pillow, a few milliseconds."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

MARGIN, TITLE, STRIP = 16, 28, 132
INK, FAINT, PAPER = (34, 34, 34), (150, 150, 150), (255, 255, 255)
# Okabe and Ito's colour-blind-safe palette (https://jfly.uni-koeln.de/color/): vermillion, blue, green, purple.
COLORS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167))


class Axes(NamedTuple):
    """The strip's axes: x runs from 0 to `steps`, y from `low` to `high`; `limit` is drawn as a dashed line."""

    label: str
    steps: int
    low: float
    high: float
    limit: float
    limit_label: str


def frame(
    pictures: Mapping[str, UInt8[np.ndarray, "size size 3"]],
    curves: Sequence[Sequence[float]],
    axes: Axes,
    zoom: int = 2,
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures under their titles, enlarged `zoom` times, over curves drawn up to their last values.

    The first curve has the colour of the first title, and so on. Raises ValueError if there are more pictures or
    curves than colours.
    """
    if max(len(pictures), len(curves)) > len(COLORS):
        raise ValueError(
            f"got {len(pictures)} pictures and {len(curves)} curves, expected at most {len(COLORS)} of each"
        )
    pictures = {title: np.asarray(picture).repeat(zoom, 0).repeat(zoom, 1) for title, picture in pictures.items()}
    height = max(len(picture) for picture in pictures.values())
    width = sum(picture.shape[1] + MARGIN for picture in pictures.values()) + MARGIN
    page = Image.new("RGB", (width, TITLE + height + STRIP), PAPER)
    draw = ImageDraw.Draw(page)
    x = MARGIN
    for (title, picture), color in zip(pictures.items(), COLORS, strict=False):
        draw.text((x, TITLE / 2), title, fill=color, font=_font(16), anchor="lm")
        page.paste(Image.fromarray(picture), (x, TITLE))
        x += picture.shape[1] + MARGIN
    page.paste(_strip(curves, axes, width), (0, TITLE + height))
    return np.asarray(page)


def _strip(curves: Sequence[Sequence[float]], axes: Axes, width: int) -> Image.Image:
    """The axes and the curves over them; the lines are drawn twice as large, then halved, which smooths them."""
    left, right, top, bottom = MARGIN + 44, width - MARGIN - 8, 16, STRIP - 30

    def place(step: float, value: float) -> tuple[float, float]:
        part = (min(max(value, axes.low), axes.high) - axes.low) / (axes.high - axes.low)
        return left + (right - left) * step / axes.steps, bottom - (bottom - top) * part

    def twice(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(2 * x, 2 * y) for x, y in points]

    lines = Image.new("RGB", (2 * width, 2 * STRIP), PAPER)
    draw = ImageDraw.Draw(lines)
    draw.line(twice((left, top), (left, bottom), (right, bottom)), fill=FAINT, width=2)
    _, limit = place(0, axes.limit)
    for x in range(left, right, 12):
        draw.line(twice((x, limit), (x + 6, limit)), fill=INK, width=2)
    for curve, color in zip(curves, COLORS, strict=False):
        points = [place(step, value) for step, value in enumerate(curve, start=1)]
        draw.line(twice(*points), fill=color, width=4, joint="curve")
        x, y = points[-1]
        draw.ellipse(twice((x - 4, y - 4), (x + 4, y + 4)), fill=color)

    strip = lines.reduce(2)
    text = functools.partial(ImageDraw.Draw(strip).text, fill=INK, font=_font(12))
    for value in (axes.low, axes.high):
        text((left - 5, place(0, value)[1]), f"{value:g}", anchor="rm")
    for step in (0, axes.steps):
        text((place(step, 0)[0], bottom + 4), f"{step}", anchor="mt")
    text((right, limit + 3), axes.limit_label, anchor="rt")
    text((right, top), f"{axes.label}, epoch {len(curves[0])}", anchor="rm")
    return strip


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
