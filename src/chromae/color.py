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
