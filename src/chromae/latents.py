"""Ways through a latent space: lines, arcs and planes of points to decode."""

import torch
from jaxtyping import Float
from torch import Tensor

from chromae.kinds import Natural


def linear(start: Float[Tensor, " d"], end: Float[Tensor, " d"], steps: Natural) -> Float[Tensor, "steps d"]:
    """Points at equal distances on the line from `start` to `end`, both included."""
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    return start + t * (end - start)


def spherical(start: Float[Tensor, " d"], end: Float[Tensor, " d"], steps: Natural) -> Float[Tensor, "steps d"]:
    """Points at equal angles on the arc around the origin from `start` to `end`, both included.

    Slerp (Shoemake 1985; for latents White, https://arxiv.org/abs/1609.04468). Samples of a high-dimensional
    normal lie near a sphere: an arc stays there, where a line cuts through the empty middle.
    Raises ValueError if the two point in opposite directions (or one is zero), where no arc is shorter than others.
    """
    cosine = torch.dot(start, end) / (start.norm() * end.norm())
    if not cosine > -1 + 1e-6:
        raise ValueError("start and end point in opposite directions or one is zero: no arc between them is shortest")
    angle = torch.arccos(cosine.clamp(max=1))
    if angle < 1e-3:
        return linear(start, end, steps)
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


def plane(
    origin: Float[Tensor, " d"], right: Float[Tensor, " d"], up: Float[Tensor, " d"], size: Natural
) -> Float[Tensor, "points d"]:
    """A size × size grid over the plane through three points, row by row, for a mosaic.

    `origin` is the lower left point, `right` the lower right, `up` the upper left; the upper right is
    right + up − origin. With the corners of a box it is that box; with the latents of three images, a walk
    between them.
    """
    axis = torch.linspace(0, 1, size, dtype=origin.dtype, device=origin.device)
    rows, columns = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    return origin + columns.reshape(-1, 1) * (right - origin) + rows.reshape(-1, 1) * (up - origin)
