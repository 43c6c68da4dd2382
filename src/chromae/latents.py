"""Ways through a latent space, and what a decoder makes of it: lines, arcs, planes; tangents, area, the best codes."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from chromae.arguments import gave
from chromae.arguments.kinds import Count, Device, Natural
from chromae.arguments.precision import full

Decode = Callable[[Tensor], Tensor]


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


def unit_square(size: Natural = 200, device: torch.device | Device = "cpu") -> Float[Tensor, "pixels 2"]:
    """The latents of a size × size map of (0, 1)², row by row; the first latent runs right, the second up."""
    axis = (torch.arange(size, device=device) + 0.5) / size
    second, first = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    return torch.stack([first, second], dim=-1).view(-1, 2)


def tangents(
    decode: Decode, codes: Float[Tensor, "n 2"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """The decoded colours, and how each moves with the first code and with the second: the columns of the Jacobian J.

    `decode` is to treat every code on its own, as all decoders without batch norm do.
    """
    with torch.enable_grad():
        codes = codes.detach().requires_grad_()
        decoded = gave("decode", decode(codes), Float[Tensor, "n channels"])
        rows = [torch.autograd.grad(channel.sum(), codes, retain_graph=True)[0] for channel in decoded.unbind(1)]
    first, second = torch.stack(rows, dim=1).unbind(2)
    return decoded.detach(), first, second


@torch.no_grad()
def stretch(decode: Decode, codes: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """How much larger a small piece of the sheet is than the piece of the unit square that codes it: √det(JᵀJ)."""
    _, first, second = tangents(decode, codes)
    return torch.linalg.cross(first, second).norm(dim=1)


def area(decode: Decode, codes: Float[Tensor, "n 2"], cells: Count = 64) -> float:
    """The area of the sheet in use, in units of a face of the cube: the integral of √det(JᵀJ) where codes lie.

    A cell of the unit square, cells × cells in all, counts if one of the codes, in [0, 1], lies in it. Take many more
    codes than cells. To leading order no code of area A has a mean squared error, per channel, below 1 / (36 A²).
    Raises ValueError for codes outside [0, 1].
    """
    if len(codes) == 0 or not (codes.min() >= 0 and codes.max() <= 1):
        raise ValueError(f"codes are {len(codes)}, not all in [0, 1], expected one or more in the unit square")
    columns, rows = (codes * cells).long().clamp(max=cells - 1).unbind(1)
    used = torch.zeros(cells, cells, dtype=torch.bool, device=codes.device)
    used[cells - 1 - rows, columns] = True  # as `unit_square` has them, the second code upwards
    return stretch(decode, unit_square(cells, codes.device).to(codes)[used.flatten()]).mean().item() * (
        used.double().mean().item()
    )


@torch.no_grad()
def search(
    decode: Decode, colors: Float[Tensor, "n 3"], grid: Count = 200, steps: Natural = 8, rows: Count = 50_000
) -> Float[Tensor, "n 2"]:
    """The best code in the unit square for every colour in [0, 1], whatever an encoder would say.

    The nearest of grid × grid decoded codes, then Gauss–Newton steps (Levenberg's, a little damped), of which those
    that help are kept. Raises ValueError for a colour outside [0, 1].
    """
    if len(colors) and not (colors.min() >= 0 and colors.max() <= 1):
        raise ValueError(f"colors run from {colors.min():g} to {colors.max():g}, expected colours in [0, 1]")
    codes = unit_square(grid, colors.device).to(colors)
    decoded = [gave("decode", decode(part), Float[Tensor, "_ 3"]) for part in codes.split(rows)]
    tree = cKDTree(full(torch.cat(decoded)).cpu().numpy())
    nearest = torch.from_numpy(tree.query(full(colors).cpu().numpy())[1]).to(colors.device)
    parts = zip(codes[nearest].split(rows), colors.split(rows), strict=True)
    return torch.cat([_refined(decode, *part, steps) for part in parts])


def _refined(decode: Decode, codes: Tensor, colors: Tensor, steps: int) -> Tensor:
    best, error = codes, torch.full_like(colors[:, 0], torch.inf)
    for _ in range(steps + 1):
        decoded, first, second = tangents(decode, codes)
        missing = colors - decoded
        better = missing.square().sum(1) < error
        best, error = torch.where(better[:, None], codes, best), torch.where(better, missing.square().sum(1), error)
        a, b, c = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
        damping = 1e-3 * (a + c) + 1e-12
        u, v = (first * missing).sum(1), (second * missing).sum(1)
        a, c = a + damping, c + damping
        step = torch.stack([c * u - b * v, a * v - b * u], dim=1) / (a * c - b * b)[:, None]
        codes = (codes + step.clamp(-0.02, 0.02)).clamp(0, 1)
    return best
