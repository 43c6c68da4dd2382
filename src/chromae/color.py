"""Colour spaces, differentiable."""

import torch
from jaxtyping import Float
from torch import Tensor

from chromae.numeric import constant, in_float32

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in BT.601's luma


def check(**arguments: Float[Tensor, "*_n 3"]) -> None:
    """Raises ValueError, by its name, for an argument with values outside [0, 1]. It waits for the device."""
    for name, rgb in arguments.items():
        if rgb.numel() and not (rgb.min() >= 0 and rgb.max() <= 1):
            raise ValueError(f"{name} has values from {rgb.min():g} to {rgb.max():g}, expected RGB in [0, 1]")


@in_float32
def rgb_to_hsl(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Hue, saturation and lightness, all in [0, 1], of RGB in [0, 1]; a grey has hue and saturation 0.

    Joblove and Greenberg, "Color Spaces for Computer Graphics", SIGGRAPH 1978; equals `colorsys.rgb_to_hls`.
    """
    r, g, b = rgb.unbind(-1)
    high, low = rgb.amax(-1), rgb.amin(-1)
    chroma = high - low
    lightness = (high + low) / 2
    grey = chroma == 0
    safe = torch.where(grey, 1, chroma)
    sextant = torch.where(
        high == r, ((g - b) / safe) % 6, torch.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4)
    )
    room = torch.minimum(high + low, (1 - high) + (1 - low))  # 1 − |2l − 1|, without its cancellation near the ends
    saturation = torch.where(grey, 0, chroma / torch.where(grey, 1, room))
    return torch.stack([torch.where(grey, 0, sextant / 6), saturation, lightness], dim=-1)


@in_float32
def hsv_to_rgb(hsv: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """RGB in [0, 1] of hue (cyclic, a turn is 1), saturation and value in [0, 1].

    Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978; equals `colorsys.hsv_to_rgb`.
    """
    hue, saturation, value = hsv.unbind(-1)
    sextants = torch.stack([6 * hue + 5, 6 * hue + 3, 6 * hue + 1], dim=-1) % 6
    ramp = torch.minimum(sextants, 4 - sextants).clamp(0, 1)
    return value[..., None] * (1 - saturation[..., None] * ramp)


@in_float32
def rgb_to_hsv(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Hue (a turn is 1), saturation and value in [0, 1] of RGB in [0, 1]: `hsv_to_rgb` undone, as `colorsys` does."""
    value = rgb.amax(-1)
    chroma = value - rgb.amin(-1)
    saturation = torch.where(value == 0, 0, chroma / torch.where(value == 0, 1, value))
    return torch.stack([rgb_to_hsl(rgb)[..., 0], saturation, value], dim=-1)


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


@in_float32
def rgb_to_ycbcr(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Luma and the two chroma differences, each in [0, 1] with no colour at Cb = Cr = ½, of RGB in [0, 1].

    ITU-R BT.601-7 in JPEG's full range (ITU-T T.871, eq. 7.1), as Pillow's "YCbCr" but without its rounding.
    """
    red, green, blue = rgb.unbind(-1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return torch.stack([luma, 0.5 + (blue - luma) / 1.772, 0.5 + (red - luma) / 1.402], dim=-1)


@in_float32
def ycbcr_to_rgb(ycbcr: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """`rgb_to_ycbcr` undone. Most of the YCbCr cube lies outside RGB: what falls outside [0, 1] is left there."""
    luma, cb, cr = ycbcr.unbind(-1)
    red, blue = luma + 1.402 * (cr - 0.5), luma + 1.772 * (cb - 0.5)
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], dim=-1)
