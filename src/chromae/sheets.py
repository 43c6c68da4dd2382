"""Sheets in the colour cube: what a decoder makes of two numbers, how large it is, and the best code on it."""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Real
from scipy.spatial import cKDTree
from torch import Tensor, nn

from chromae import gave
from chromae.kinds import Count, Natural, Positive
from chromae.models.color import unit_square
from chromae.numeric import full

Decoder = Callable[[Tensor], Tensor]


def tangents(
    decode: Decoder, codes: Float[Tensor, "n 2"]
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
def stretch(decode: Decoder, codes: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """How much larger a small piece of the sheet is than the piece of the unit square that codes it: √det(JᵀJ)."""
    _, first, second = tangents(decode, codes)
    return torch.linalg.cross(first, second).norm(dim=1)


def area(decode: Decoder, codes: Float[Tensor, "n 2"], cells: Count = 64) -> float:
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
    decode: Decoder, colors: Float[Tensor, "n 3"], grid: Count = 200, steps: Natural = 8, rows: Count = 50_000
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


def _refined(decode: Decoder, codes: Tensor, colors: Tensor, steps: int) -> Tensor:
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


class Leaves(nn.Module):
    """A sheet folded by hand: k parallel leaves in the cube, each joined to the next at alternate ends.

    Codes lie in the unit square, the first along all leaves and the strips that join them, the second across. Its
    area is k + (k − 1) / k, its mean squared error about 1 / (36 k²): the nearest sheet of this kind. It has no
    parameters. Raises ValueError for less than one leaf.
    """

    def __init__(self, leaves: int):
        super().__init__()
        if leaves < 1:
            raise ValueError(f"leaves is {leaves}, expected 1 or more")
        depths = (torch.arange(leaves) + 0.5) / leaves
        ends = torch.tensor([0.0, 1.0]).repeat(leaves).view(leaves, 2)
        ends[1::2] = ends[1::2].flip(1)
        self.register_buffer("corners", torch.stack([depths.repeat_interleave(2), ends.flatten()], dim=1))
        lengths = self.corners.diff(dim=0).norm(dim=1)
        self.register_buffer("starts", torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]) / lengths.sum())

    def encode(self, rgb: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2"]:
        """The code of the nearest point: it jumps from leaf to leaf, which no continuous encoder can."""
        start, along = self.corners[:-1], self.corners.diff(dim=0)
        away = rgb[:, None, :2] - start
        part = ((away * along).sum(-1) / along.square().sum(-1)).clamp(0, 1)
        nearest = (away - part[..., None] * along).square().sum(-1).argmin(1, keepdim=True)
        first = self.starts[:-1] + part * self.starts.diff()
        return torch.cat([first.gather(1, nearest), rgb[:, 2:]], dim=1)

    def decode(self, codes: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        """The colours of codes in the unit square."""
        last = len(self.starts) - 2
        piece = (torch.searchsorted(self.starts, codes[:, 0].contiguous(), right=True) - 1).clamp(0, last)
        part = (codes[:, 0] - self.starts[piece]) / self.starts.diff()[piece]
        place = self.corners[piece] + part[:, None] * self.corners.diff(dim=0)[piece]
        return torch.cat([place, codes[:, 1:]], dim=1)

    def forward(self, rgb: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return self.decode(self.encode(rgb))


def distance_preservation(grid: Real[np.ndarray, "height width channels"], norm: Positive = 16) -> float:
    """How well a grid of colours, or of other vectors, keeps near what is alike: 1 at best, about 0.3 by chance.

    DPQ₁₆ of Barthel, Hezel, Jung and Schall, "Improved evaluation and generation of grid layouts using distance
    preservation quality and linear assignment sorting", 2023 (https://arxiv.org/abs/2205.04255), section 3, without
    wrapping: for every k, how much nearer than chance the k nearest cells' vectors are, against the k nearest vectors.
    Raises ValueError for a grid of less than two cells, or of cells that are all alike.
    """
    if not np.isfinite(grid).all():
        raise ValueError("grid holds nan or infinite values, expected numbers")
    if norm > 100:
        raise ValueError(f"norm is {norm:g}, expected at most 100, beyond which powers underflow")
    vectors = np.asarray(grid, float).reshape(math.prod(grid.shape[:2]), grid.shape[2])
    places = np.stack(np.indices(grid.shape[:2]), axis=-1).reshape(-1, 2)
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        raise ValueError(f"grid has {len(vectors)} cells, expected two or more that are not all alike")
    apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    between = np.square(places[:, None] - places).sum(2)
    rows = np.arange(len(vectors))[:, None]
    found = apart[rows, np.lexsort((apart, between))[:, 1:]]  # the nearest cells first; of equally near ones the likest
    best = np.sort(apart, axis=1)[:, 1:]
    counts = np.arange(1, len(vectors))

    def gain(sorted_distances: np.ndarray) -> np.ndarray:
        means = (sorted_distances.cumsum(1) / counts).mean(0)
        return np.clip(1 - means / best.mean(), 0, None)

    return float(np.linalg.norm(gain(found), norm) / np.linalg.norm(gain(best), norm))
