"""Colour spaces of light and of the eye: linear RGB, CIELAB, OKLab, OKLCh, and how far apart two colours look."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from chromae.arguments.precision import constant, in_float32
from chromae.color.spaces import polar

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
    chroma, hue = polar(a, b)
    return torch.stack([lightness, chroma, hue], dim=-1)


@in_float32
def oklch_to_rgb(lch: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """`rgb_to_oklch` undone; what falls outside [0, 1] is left there."""
    lightness, chroma, hue = lch.unbind(-1)
    angle = 2 * math.pi * hue
    return oklab_to_rgb(torch.stack([lightness, chroma * angle.cos(), chroma * angle.sin()], dim=-1))


# Ottosson's two matrices (https://bottosson.github.io/posts/oklab/), for rows of linear sRGB and of cubic roots.
_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)


_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def _inverse(matrix: tuple) -> tuple:
    return tuple(map(tuple, torch.tensor(matrix, dtype=torch.float64).inverse().tolist()))


_FROM_CONES, _FROM_LAB = _inverse(_TO_CONES), _inverse(_TO_LAB)


@in_float32
def rgb_to_oklab(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """OKLab lightness in [0, 1], a and b (in about ±0.4) of sRGB in [0, 1]. Equal steps in it look about equal.

    Ottosson, "A perceptual color space for image processing", 2020. Outside of sRGB roots keep their sign. Gradients
    grow without end towards black, for they are those of cubic roots; that of black itself is taken to be 0.
    """
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    cones = linear @ constant(_TO_CONES, linear).T
    black = cones == 0
    roots = torch.where(black, 0, cones.sign() * torch.where(black, 1, cones).abs() ** (1 / 3))
    return roots @ constant(_TO_LAB, roots).T


@in_float32
def oklab_to_rgb(lab: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """`rgb_to_oklab` undone. Much of OKLab lies outside sRGB: what falls outside [0, 1] is left there."""
    cones = (lab @ constant(_FROM_LAB, lab).T) ** 3
    linear = cones @ constant(_FROM_CONES, cones).T
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


@in_float32
def delta_e(rgb: Float[Tensor, "*n 3"], other: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
    """Colour difference ΔE: the distance in OKLab of two sRGB colours in [0, 1]; black and white lie 1 apart."""
    return (rgb_to_oklab(rgb) - rgb_to_oklab(other)).norm(dim=-1)
