"""Pictures of the RGB cube, with a sheet or lines in it, each point in its own colour."""

import itertools
import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from chromae.arguments.kinds import Count, Finite
from chromae.figures import pages

PAPER, INK = (255, 255, 255), (120, 120, 120)
_UP = np.ones(3) / 3**0.5  # the grey diagonal stands upright, black below


def view(
    sheet: Float[np.ndarray, "rows columns 3"] | None = None,
    turn: Finite = 0.1,
    lift: Finite = 0.06,
    size: Count = 420,
    lines: Float[np.ndarray, "n 2 3"] | None = None,
) -> UInt8[np.ndarray, "size size 3"]:
    """The cube of colours seen from afar, standing on black, in it a sheet given by the colours at its grid points.

    A colour is its own place. `turn` turns the cube about its grey diagonal, `lift` raises the eye, both in parts of a
    full turn; `lines` are ends of lines drawn in the colours they run through. Pieces are painted from the farthest to
    the nearest, twice as large, then halved, which smooths them. Takes about 0.1 s for a grid of 100 × 100.
    Raises ValueError for a sheet of less than 2 × 2 points, and for what is not finite.
    """
    if sheet is not None and min(sheet.shape[:2]) < 2:
        raise ValueError(f"sheet has {sheet.shape[0]} × {sheet.shape[1]} points, expected 2 × 2 or more")
    pages.check_finite(sheet=sheet, lines=lines)
    axes = _camera(turn, lift)
    page = Image.new("RGB", (2 * size, 2 * size), PAPER)
    draw = ImageDraw.Draw(page)
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    edges = [pair for pair in itertools.combinations(corners, 2) if np.abs(pair[0] - pair[1]).sum() == 1]
    far, near = (corners[pick(_project(corners, axes, size)[:, 2])] for pick in (np.argmin, np.argmax))
    for edge in edges:
        if not any((end == near).all() for end in edge):
            draw.line(
                _flat(edge, axes, size), fill=(200, 200, 200) if any((e == far).all() for e in edge) else INK, width=3
            )
    pieces = [*(_quads(sheet, axes, size) if sheet is not None else []), *_dashes(lines, axes, size)]
    for _, points, color, width in sorted(pieces, key=lambda piece: piece[0]):
        if width:
            draw.line(points, fill=color, width=width)
        else:
            draw.polygon(points, fill=color)
    for edge in edges:
        if any((end == near).all() for end in edge):
            draw.line(_flat(edge, axes, size), fill=INK, width=3)
    return np.asarray(page.reduce(2))


def _camera(turn: float, lift: float) -> Float[np.ndarray, "3 3"]:
    """Unit vectors to the right, up and towards the eye."""
    side = np.array([1, -1, 0]) / 2**0.5
    level = math.cos(2 * math.pi * turn) * side + math.sin(2 * math.pi * turn) * np.cross(_UP, side)
    eye = math.cos(2 * math.pi * lift) * level + math.sin(2 * math.pi * lift) * _UP
    right = np.cross(_UP, level)
    return np.stack([right, np.cross(eye, right), eye])


def _project(points: Float[np.ndarray, "*n 3"], axes: Float[np.ndarray, "3 3"], size: int) -> Float[np.ndarray, "*n 3"]:
    """Column and row on the page, and nearness."""
    seen = (points - 0.5) @ axes.T
    return np.stack([size * (1 + 1.08 * seen[..., 0]), size * (1 - 1.08 * seen[..., 1]), seen[..., 2]], axis=-1)


def _flat(points, axes: Float[np.ndarray, "3 3"], size: int) -> list[tuple[float, float]]:
    return list(map(tuple, _project(np.asarray(points), axes, size)[:, :2].tolist()))


def _quads(sheet: Float[np.ndarray, "rows columns 3"], axes: Float[np.ndarray, "3 3"], size: int) -> list[tuple]:
    """The sheet's meshes: how near, their corners on the page, their colour, darker where they are seen aslant."""
    around = np.stack([sheet[:-1, :-1], sheet[:-1, 1:], sheet[1:, 1:], sheet[1:, :-1]], axis=2).reshape(-1, 4, 3)
    normal = np.cross(around[:, 2] - around[:, 0], around[:, 3] - around[:, 1])
    light = (axes[2] + 0.6 * axes[1] - 0.4 * axes[0]) / np.linalg.norm([1, 0.6, 0.4])
    facing = np.abs(normal @ light) / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    colors = (around.mean(1).clip(0, 1) * (0.7 + 0.3 * facing[:, None]) * 255).round().astype(int)
    seen = _project(around, axes, size)
    depths, points = seen[..., 2].mean(1).tolist(), seen[..., :2].reshape(-1, 8).tolist()
    return [(d, p, tuple(c), 0) for d, p, c in zip(depths, points, colors.tolist(), strict=True)]


def _dashes(lines: Float[np.ndarray, "n 2 3"] | None, axes: Float[np.ndarray, "3 3"], size: int) -> list[tuple]:
    """Lines in short pieces, each in its own colour, so that a sheet may hide parts of them."""
    pieces = []
    for start, end in lines if lines is not None else ():
        points = start + np.linspace(0, 1, 61)[:, None] * (end - start)
        seen, colors = _project(points, axes, size), (255 * points.clip(0, 1)).round().astype(int)
        for a, b, color in zip(seen[:-1], seen[1:], colors[:-1].tolist(), strict=True):
            pieces.append((float(a[2] + b[2]) / 2, [tuple(a[:2]), tuple(b[:2])], tuple(color), 9))
    return pieces
