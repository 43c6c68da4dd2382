"""Colour spaces that are arithmetic on RGB: HSL, HSV, the cone of hues, YCbCr. Differentiable."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from chromae.arguments.precision import in_float32

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
    chroma, hue = polar(first, second)
    safe = torch.where(value <= 0, 1, value)
    return hsv_to_rgb(torch.stack([hue, torch.where(value <= 0, 0, chroma / safe).clamp_max(1), value], dim=-1))


def polar(first: Float[Tensor, "*n"], second: Float[Tensor, "*n"]) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """Radius and angle (a turn is 1, in [0, 1)) of points of the plane; within 1e-7 of its centre the angle is 0."""
    square = first.square() + second.square()
    center, near = square == 0, square < 1e-14
    radius = torch.where(center, 0, torch.where(center, 1, square).sqrt())
    turn = torch.atan2(torch.where(near, 0, second), torch.where(near, 1, first)) / (2 * math.pi)
    return radius, torch.where(turn < 0, turn + 1, turn) % 1
