"""What a batch is: rows of a tensor, or of several equally long ones."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

Batch = Tensor | tuple[Tensor, ...]


Sample = Callable[[int, Generator], Batch]


def take(
    data: Batch, index: Int[Tensor, " k"] | Bool[Tensor, " n"] | slice, device: torch.device | None = None
) -> Batch:
    """The examples at `index`, where they lie or on `device`; there, uint8 becomes float32 in [0, 1].

    Raises ValueError for an index that they lack.
    """
    if isinstance(data, tuple):
        return tuple(take(tensor, index, device) for tensor in data)
    try:
        rows = data[index]
    except IndexError as error:
        raise ValueError(f"index does not fit data of shape {tuple(data.shape)} ({error})") from error
    rows = rows if device is None else rows.to(device, non_blocking=device.type != "cpu")
    return rows / 255 if rows.dtype == torch.uint8 else rows


def length(data: Batch) -> int:
    """The number of examples. Raises ValueError for a tensor without an axis of them."""
    first = data[0] if isinstance(data, tuple) else data
    if first.ndim == 0:
        raise ValueError("data has shape (), expected examples along its first axis")
    return len(first)
