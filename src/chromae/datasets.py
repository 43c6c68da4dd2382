"""Data as tensors on a device. A made data set is a function `sample(n, generator) -> batch` without end."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor


def colors(n: int, generator: Generator) -> Float[Tensor, "n 3"]:
    """n colours drawn uniformly from the RGB cube, in [0, 1], on the generator's device."""
    return torch.rand(n, 3, generator=generator, device=generator.device)


def color_triplets(n: int, generator: Generator, nudge: float = 0.005) -> Float[Tensor, "n 3 3"]:
    """n triplets (anchor, positive, negative) of RGB colours in [0, 1].

    The anchor is uniform; the positive lies at most `nudge` from it in every channel, clipped to the cube; the
    negative is uniform among the colours farther from the anchor than `nudge`.
    Raises ValueError for a nudge outside [0, 0.4], beyond which some anchors have no room for both.
    """
    if not 0 <= nudge <= 0.4:
        raise ValueError(f"nudge is {nudge}, expected a distance in [0, 0.4]")
    anchor, negative, shift = colors(3 * n, generator).view(3, n, 3)
    positive = (anchor + nudge * (2 * shift - 1)).clamp(0, 1)
    # A negative that fell too near (one in a million) moves half the cube away, around its edges.
    near = (negative - anchor).norm(dim=1, keepdim=True) <= nudge
    negative = torch.where(near, (negative + 0.5) % 1, negative)
    return torch.stack([anchor, positive, negative], dim=1)
