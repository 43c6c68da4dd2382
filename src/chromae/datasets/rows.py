"""What a batch is: rows of a tensor, or of several equally long ones."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

Batch = Tensor | tuple[Tensor, ...]


Sample = Callable[[int, Generator], Batch]


def take(data: Batch, index: Int[Tensor, " k"] | Bool[Tensor, " n"] | slice) -> Batch:
    """The examples at `index`; uint8 becomes float32 in [0, 1]. Raises ValueError for an index that they lack."""
    if isinstance(data, tuple):
        return tuple(take(tensor, index) for tensor in data)
    try:
        return data[index] / 255 if data.dtype == torch.uint8 else data[index]
    except IndexError as error:
        raise ValueError(f"index does not fit data of shape {tuple(data.shape)} ({error})") from error


def length(data: Batch) -> int:
    """The number of examples. Raises ValueError for a tensor without an axis of them."""
    first = data[0] if isinstance(data, tuple) else data
    if first.ndim == 0:
        raise ValueError("data has shape (), expected examples along its first axis")
    return len(first)
