"""How far every pixel lies from the edge of a shape, negative inside: one function a shape.

Lengths are in pixels, angles counter-clockwise, y runs down; `scratch` is memory to compute in, for to fetch new memory
from the system takes longer than the arithmetic.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Rows = Float[Tensor, "n size"]


Each = Float[Tensor, " n"]


Distance = Float[Tensor, "n size size"]


Scratch = Float[Tensor, "4 n size size"]  # memory to compute in


def _along(x: Rows, y: Rows, angle: Each, out: Distance) -> Distance:
    """How far every pixel lies in a direction, given as a counter-clockwise angle; y runs down."""
    return torch.sub((torch.cos(angle)[:, None] * x)[:, None, :], (torch.sin(angle)[:, None] * y)[:, :, None], out=out)


def _triangle(x: Rows, y: Rows, radius: Each, angle: Each, scratch: Scratch) -> Distance:
    nearest = _along(x, y, angle, scratch[0])
    for side in (1, 2):
        torch.maximum(nearest, _along(x, y, angle + 2 * math.pi * side / 3, scratch[1]), out=nearest)
    return nearest.sub_(radius[:, None, None] / 2)


def _from_center(x: Rows, y: Rows, out: Distance) -> Distance:
    return torch.add(x.square()[:, None, :], y.square()[:, :, None], out=out).sqrt_()


def _circle(x: Rows, y: Rows, radius: Each, angle: Each, scratch: Scratch) -> Distance:
    return _from_center(x, y, scratch[0]).sub_(radius[:, None, None])


def _ring(x: Rows, y: Rows, radius: Each, angle: Each, scratch: Scratch) -> Distance:
    """Its hole is half as wide as the ring."""
    radius = radius[:, None, None]
    return _from_center(x, y, scratch[0]).sub_(0.75 * radius).abs_().sub_(0.25 * radius)


def _across_and_up(x: Rows, y: Rows, angle: Each, scratch: Scratch) -> list[Distance]:
    return [_along(x, y, angle + turn, out).abs_() for turn, out in zip((0, math.pi / 2), scratch[:2], strict=True)]


def _square(x: Rows, y: Rows, radius: Each, angle: Each, scratch: Scratch) -> Distance:
    across, up = _across_and_up(x, y, angle, scratch)
    return torch.maximum(across, up, out=across).sub_(radius[:, None, None] / math.sqrt(2))


def _cross(x: Rows, y: Rows, radius: Each, angle: Each, scratch: Scratch) -> Distance:
    """Two bars, three times as long as wide."""
    long = radius[:, None, None] * 3 / math.sqrt(10)
    across, up = _across_and_up(x, y, angle, scratch)
    lying = torch.maximum(
        torch.sub(across, long, out=scratch[2]), torch.sub(up, long / 3, out=scratch[3]), out=scratch[2]
    )
    standing = torch.maximum(up.sub_(long), across.sub_(long / 3), out=up)
    return torch.minimum(lying, standing, out=lying)


def _star(x: Rows, y: Rows, radius: Each, angle: Each, scratch: Scratch) -> Distance:
    """The pentagram: inside at least four of the five half-planes of its edges, so their second largest counts."""
    first, second = _along(x, y, angle, scratch[0]), scratch[1].fill_(-torch.inf)
    for side in (1, 2, 3, 4):
        other = _along(x, y, angle + 2 * math.pi * side / 5, scratch[2])
        torch.maximum(second, torch.minimum(first, other, out=scratch[3]), out=second)
        torch.maximum(first, other, out=first)
    return second.sub_(radius[:, None, None] * math.cos(2 * math.pi / 5))


DISTANCES = {
    "triangle": _triangle, "circle": _circle, "square": _square, "star": _star, "ring": _ring, "cross": _cross,
}  # fmt: skip
