"""More colour spaces, both ways, and all of them by name. Neighbours of `color`, whose conventions they share."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from chromae.color import (
    hsv_to_rgb,
    oklab_to_rgb,
    rgb_to_hsl,
    rgb_to_hsv,
    rgb_to_oklab,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from chromae.numeric import constant, in_float32

# Chromaticities of sRGB's primaries and of its white, D65 (IEC 61966-2-1). All matrices are derived from them: with
# constants rounded to a few digits, as most programs have them, CIELAB is off by 0.02.
_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_WHITE = (0.3127, 0.3290)


def _xyz(x: float, y: float) -> Float[Tensor, "3"]:
    return torch.tensor([x / y, 1, (1 - x - y) / y], dtype=torch.float64)


def _matrices() -> tuple[tuple, tuple]:
    """Linear RGB → XYZ as shares of white's, and back, for columns."""
    primaries, white = torch.stack([_xyz(*one) for one in _PRIMARIES], dim=1), _xyz(*_WHITE)
    matrix = primaries * torch.linalg.solve(primaries, white) / white[:, None]
    return tuple(map(tuple, matrix.tolist())), tuple(map(tuple, matrix.inverse().tolist()))


_TO_XYZ, _FROM_XYZ = _matrices()
_BEND = 6 / 29  # where CIELAB's root turns into a line


@in_float32
def rgb_to_linear(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Amounts of light in [0, 1], which add, of sRGB in [0, 1] (IEC 61966-2-1); negative values pass on a line."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


@in_float32
def linear_to_rgb(linear: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """`rgb_to_linear` undone."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


@in_float32
def rgb_to_lab(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """CIELAB under D65, divided by 100, of sRGB in [0, 1]: lightness in [0, 1], a and b in about ±1.

    CIE 15, with white as it follows from its chromaticity. Near black its root is a line, so that gradients stay
    finite, and by that line values go on outside of sRGB.
    """
    shares = rgb_to_linear(rgb) @ constant(_TO_XYZ, rgb).T
    roots = torch.where(shares > _BEND**3, shares.clamp_min(_BEND**3) ** (1 / 3), shares / (3 * _BEND**2) + 4 / 29)
    x, y, z = roots.unbind(-1)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], dim=-1)


@in_float32
def lab_to_rgb(lab: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """`rgb_to_lab` undone. Much of CIELAB lies outside sRGB: what falls outside [0, 1] is left there."""
    lightness, a, b = lab.unbind(-1)
    y = (lightness + 0.16) / 1.16
    roots = torch.stack([y + a / 5, y, y - b / 2], dim=-1)
    shares = torch.where(roots > _BEND, roots**3, 3 * _BEND**2 * (roots - 4 / 29))
    return linear_to_rgb(shares @ constant(_FROM_XYZ, shares).T)


@in_float32
def rgb_to_oklch(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """OKLab in polar form of sRGB in [0, 1]: lightness, chroma in [0, 0.33], hue (a turn is 1).

    Below a chroma of 1e-7, that of greys but for rounding, hue is 0 by agreement. Gradients are finite: at black they
    are those of `rgb_to_oklab`, where there is no chroma its own is 0, and the hue's, which grow towards greys, are
    0 where the hue is 0 by agreement.
    """
    lightness, a, b = rgb_to_oklab(rgb).unbind(-1)
    chroma, hue = _polar(a, b)
    return torch.stack([lightness, chroma, hue], dim=-1)


@in_float32
def oklch_to_rgb(lch: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """`rgb_to_oklch` undone; what falls outside [0, 1] is left there."""
    lightness, chroma, hue = lch.unbind(-1)
    angle = 2 * math.pi * hue
    return oklab_to_rgb(torch.stack([lightness, chroma * angle.cos(), chroma * angle.sin()], dim=-1))


@in_float32
def hsl_to_rgb(hsl: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """RGB in [0, 1] of hue (cyclic, a turn is 1), saturation and lightness in [0, 1]: `rgb_to_hsl` undone.

    Joblove and Greenberg 1978; equals `colorsys.hls_to_rgb`.
    """
    hue, saturation, lightness = hsl.unbind(-1)
    reach = saturation * torch.minimum(lightness, 1 - lightness)  # from the lightness to the highest channel
    value = lightness + reach
    safe = torch.where(value == 0, 1, value)
    return hsv_to_rgb(torch.stack([hue, torch.where(value == 0, 0, 2 * reach / safe), value], dim=-1))


@in_float32
def rgb_to_cone(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """HSV without its seam: hue as a pair, chroma · (cos, sin), each in [−1, 1], and value in [0, 1].

    Chroma is saturation times value, so that hue counts for nothing where a colour has none.
    """
    hue, saturation, value = rgb_to_hsv(rgb).unbind(-1)
    angle, chroma = 2 * math.pi * hue, saturation * value
    return torch.stack([chroma * angle.cos(), chroma * angle.sin(), value], dim=-1)


@in_float32
def cone_to_rgb(cone: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """`rgb_to_cone` undone; a chroma above the value is taken to be as large as it."""
    first, second, value = cone.unbind(-1)
    chroma, hue = _polar(first, second)
    safe = torch.where(value <= 0, 1, value)
    return hsv_to_rgb(torch.stack([hue, torch.where(value <= 0, 0, chroma / safe).clamp_max(1), value], dim=-1))


def _polar(first: Float[Tensor, "*n"], second: Float[Tensor, "*n"]) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """Radius and angle (a turn is 1, in [0, 1)) of points of the plane; within 1e-7 of its centre the angle is 0."""
    square = first.square() + second.square()
    center, near = square == 0, square < 1e-14
    radius = torch.where(center, 0, torch.where(center, 1, square).sqrt())
    turn = torch.atan2(torch.where(near, 0, second), torch.where(near, 1, first)) / (2 * math.pi)
    return radius, torch.where(turn < 0, turn + 1, turn) % 1


class Space(NamedTuple):
    """A colour space: what its three numbers are called, and the functions from sRGB to it and back."""

    axes: tuple[str, str, str]
    to: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


def space(name: str) -> Space:
    """The colour space of this name, one of `NAMES`: "RGB", "CIELAB" … Raises ValueError for another."""
    if name not in _SPACES:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(_SPACES)}")
    return _SPACES[name]


def _same(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    return rgb


_SPACES = {
    "RGB": Space(("R", "G", "B"), _same, _same),
    "linear RGB": Space(("R", "G", "B"), rgb_to_linear, linear_to_rgb),
    "YCbCr": Space(("Y", "Cb", "Cr"), rgb_to_ycbcr, ycbcr_to_rgb),
    "CIELAB": Space(("L", "a", "b"), rgb_to_lab, lab_to_rgb),
    "OKLab": Space(("L", "a", "b"), rgb_to_oklab, oklab_to_rgb),
    "OKLCh": Space(("L", "C", "h"), rgb_to_oklch, oklch_to_rgb),
    "HSV": Space(("H", "S", "V"), rgb_to_hsv, hsv_to_rgb),
    "HSL": Space(("H", "S", "L"), rgb_to_hsl, hsl_to_rgb),
    "HSV, hue as a pair": Space(("C cos h", "C sin h", "V"), rgb_to_cone, cone_to_rgb),
}
NAMES = tuple(_SPACES)
