"""A sheet of colours folded by hand, to which those that networks learn are compared."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
