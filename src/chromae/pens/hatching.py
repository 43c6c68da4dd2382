"""From a picture of few colours to lines for N pens: hatches and outlines, in the order in which they are drawn."""

import math
from itertools import pairwise
from typing import NamedTuple

import contourpy
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from matplotlib.colors import CSS4_COLORS, to_rgb
from scipy import ndimage
from torch import Tensor

from chromae import color
from chromae.arguments.kinds import Finite, Part, Positive, Size
from chromae.arguments.precision import check_some

Line = Float[np.ndarray, "_points 2"]  # x and y in mm from the page's upper left corner

Rgb = tuple[Part, Part, Part]
WHITE = (1.0, 1.0, 1.0)
OVERLAP = 0.1  # of a pen's width, from one hatch to the next: no paper shows between them
GRAY = 0.02  # a colour of less chroma is a grey
SAME = 0.05  # colours that differ by less than this ΔE are one to a pen on paper


class Layer(NamedTuple):
    """What one pen draws, in this order."""

    name: str
    color: Rgb
    lines: list[Line]


class Plot(NamedTuple):
    """All pens' lines on a page; lengths in mm. `box` is the picture's: left, top, right, bottom."""

    page: tuple[Positive, Positive]
    box: tuple[Finite, Finite, Finite, Finite]
    pen_width: Positive
    paper: Rgb
    layers: list[Layer]


def plot(
    labels: Int[Tensor, "height width"],
    palette: Float[Tensor, "n 3"],
    page: tuple[Finite, Finite] = (210.0, 297.0),
    margin: Size = 15.0,
    pen_width: Finite = 0.5,
    paper: Rgb = WHITE,
    outlines: bool = True,
) -> Plot:
    """Lines that fill every colour's regions: hatches that just overlap, each pen at its own angle, and outlines.

    The picture is as large as the page and its margins (all in mm) allow, in the middle. A colour of the paper is not
    drawn. Raises ValueError for a page that its margins or the pen leave no room on, for labels without a colour, and
    for colours outside [0, 1].
    """
    width, height = (side - 2 * margin for side in page)
    if pen_width <= 0:
        raise ValueError(f"pen_width is {pen_width:g}, expected more than 0 mm")
    if min(width, height) < 10 * pen_width:
        raise ValueError(
            f"page is {page[0]:g} × {page[1]:g} mm, expected twice the margin, {margin:g} mm, and ten times the pen's "
            f"width, {pen_width:g} mm, or more"
        )
    check_some(labels=labels)
    color.check(palette=palette)
    if labels.min() < 0 or labels.max() >= len(palette):
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}, expected 0 to {len(palette) - 1}")
    rows, columns = labels.shape
    pixel = min(width / columns, height / rows)
    corner = np.array([(page[0] - pixel * columns) / 2, (page[1] - pixel * rows) / 2])
    grid = labels.cpu().numpy()
    seen = [int(index) for index in np.unique(grid) if color.delta_e(palette[index], palette.new_tensor(paper)) > SAME]
    seen.sort(key=lambda index: -color.rgb_to_oklab(palette[index])[0].item())  # the lightest first
    layers = []
    for place, index in enumerate(seen):
        mask = grid == index
        angle = math.pi * (1 / 4 + place / len(seen))
        lines = hatches(mask, (1 - OVERLAP) * pen_width / pixel, angle)
        lines += contours(mask, pen_width / pixel) if outlines else []
        rgb = tuple(palette[index].tolist())
        layers.append(Layer(f"{place + 1}-{name_of(rgb)}", rgb, ordered([corner + pixel * line for line in lines])))
    left, top = corner.tolist()
    return Plot(page, (left, top, left + pixel * columns, top + pixel * rows), pen_width, paper, layers)


def hatches(mask: Bool[np.ndarray, "height width"], spacing: Positive, angle: Finite) -> list[Line]:
    """Parallel lines `spacing` pixels apart over the true pixels of a mask, in pixels; every other one runs back."""
    rows, columns = mask.shape
    reach = math.hypot(rows, columns) / 2
    along, across = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    step = min(spacing, 1.0) / 4
    t = np.arange(-reach, reach, step)
    lines = []
    for turn, offset in enumerate(np.arange(-reach + spacing / 2, reach, spacing)):
        points = np.array([columns, rows]) / 2 + t[:, None] * along + offset * across
        x, y = np.floor(points).astype(int).T
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        inside[inside] = mask[y[inside], x[inside]]
        ends = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
        pieces = [points[[start, stop - 1]] for start, stop in ends.reshape(-1, 2) if stop - start > 1]
        lines += [piece[::-1] for piece in reversed(pieces)] if turn % 2 else pieces
    return lines


def contours(mask: Bool[np.ndarray, "height width"], inset: Positive) -> list[Line]:
    """The outlines of a mask's regions, in pixels, about half a pen's width (`inset`) inside of them."""
    times = min(4, math.ceil(2 / inset))  # finer where the pen is
    fine = np.pad(mask, 2).repeat(times, 0).repeat(times, 1)
    depth = ndimage.distance_transform_edt(fine) / times
    lines = contourpy.contour_generator(z=depth, line_type="Separate").lines(max(inset / 2, 0.13))
    return [(np.asarray(line) + 0.5) / times - 2 for line in lines if len(line) > 2]


def ordered(lines: list[Line]) -> list[Line]:
    """The same lines, the next one always that which begins or ends nearest; what ends nearest is drawn backwards."""
    if not lines:
        return []
    _check_lines(lines=lines)
    ends = np.array([[line[0], line[-1]] for line in lines])
    left = np.ones(len(lines), dtype=bool)
    here, result = np.zeros(2), []
    for _ in lines:
        away = np.square(ends - here).sum(-1)
        away[~left] = np.inf
        index, end = np.unravel_index(away.argmin(), away.shape)
        left[index] = False
        result.append(lines[index][::-1] if end else lines[index])
        here = result[-1][-1]
    return result


def _check_lines(**arguments: list[Line]) -> None:
    for name, lines in arguments.items():
        if not all(map(len, lines)):
            raise ValueError(f"one line of {name} has no points, expected one or more")


def name_of(rgb: Rgb) -> str:
    """The nearest of the colours that have a name in CSS; of a grey, the nearest grey."""
    named = torch.tensor([to_rgb(value) for value in CSS4_COLORS.values()])
    away = color.delta_e(named, torch.tensor(rgb).expand_as(named))
    gray = [color.rgb_to_oklab(each)[..., 1:].norm(dim=-1) < GRAY for each in (torch.tensor(rgb), named)]
    return list(CSS4_COLORS)[int(away.where(gray[1] | ~gray[0], math.inf).argmin())]


def statistics(plot: Plot, labels: Int[Tensor, "height width"]) -> dict[str, float]:
    """What it takes to draw: regions of one colour, pens, lines, lifts, and metres with the pen down and up.

    A pen is lifted once a layer, and where its next line begins further away than it is wide: over less it stays down.
    """
    lines = [line for layer in plot.layers for line in layer.lines]
    _check_lines(plot=lines)
    return {
        "regions": regions(labels),
        "pens": len(plot.layers),
        "lines": len(lines),
        "lifts": sum(1 + sum(move > plot.pen_width for move in _moves(layer.lines)) for layer in plot.layers),
        "down_m": sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines) / 1000,
        "up_m": sum(_moves(lines)) / 1000,
    }


def _moves(lines: list[Line]) -> list[float]:
    """From the end of every line to the beginning of the next."""
    return [math.dist(before[-1], after[0]) for before, after in pairwise(lines)]


def regions(labels: Int[Tensor, "height width"]) -> int:
    """How many pieces a picture falls into: pixels of one colour side by side are one."""
    grid = labels.cpu().numpy()
    return sum(ndimage.label(grid == index)[1] for index in np.unique(grid))
