"""Colour spaces, differentiable."""

import torch
from jaxtyping import Float
from torch import Tensor


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


def hsv_to_rgb(hsv: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """RGB in [0, 1] of hue (cyclic, a turn is 1), saturation and value in [0, 1].

    Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978; equals `colorsys.hsv_to_rgb`.
    """
    hue, saturation, value = hsv.unbind(-1)
    sextants = torch.stack([6 * hue + 5, 6 * hue + 3, 6 * hue + 1], dim=-1) % 6
    ramp = torch.minimum(sextants, 4 - sextants).clamp(0, 1)
    return value[..., None] * (1 - saturation[..., None] * ramp)


def rgb_to_hsv(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Hue (a turn is 1), saturation and value in [0, 1] of RGB in [0, 1]: `hsv_to_rgb` undone, as `colorsys` does."""
    value = rgb.amax(-1)
    chroma = value - rgb.amin(-1)
    saturation = torch.where(value == 0, 0, chroma / torch.where(value == 0, 1, value))
    return torch.stack([rgb_to_hsl(rgb)[..., 0], saturation, value], dim=-1)
