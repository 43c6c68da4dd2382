"""How `training.fit` reads its data: tensors in memory or a function that makes examples, checked, batch by batch."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from chromae.arguments import gave
from chromae.arguments.kinds import Count, Natural, Seed
from chromae.datasets.rows import Batch, Sample, length, take

RANK_STRIDE = 1_000_000_007  # far apart seeds for the processes of one run


def batches(
    data: Batch | Sample,
    size: Natural,
    batch_size: Count,
    seed: Seed,
    device: torch.device,
    rank: Natural = 0,
    workers: Count = 1,
) -> Iterator[tuple[int, float, Batch]]:
    """(index of the first example, this process's share, batch) over one epoch, all of it following from `seed`.

    Process `rank` of `workers` takes every `workers`-th example of a batch; of a batch with fewer examples than
    processes, every process takes all. Raises ValueError for data of another size.
    """
    if not callable(data) and length(data) != size:
        raise ValueError(f"size is {size}, but data holds {length(data)} examples")
    generator = Generator(device)
    if callable(data):
        generator.manual_seed(seed + RANK_STRIDE * rank)
    else:
        order = torch.randperm(size, generator=generator.manual_seed(seed), device=device)
    for start in range(0, size, batch_size):
        stop = min(start + batch_size, size)
        split = stop - start >= workers
        mine = range(start + rank, stop, workers) if split else range(start, stop)
        share = len(mine) / (stop - start) if split else 1 / workers
        if callable(data):
            yield start, share, gave("data", data(len(mine), generator), Batch)
        else:
            yield start, share, take(data, order[mine.start : mine.stop : mine.step])


def check(name: str, data: object, device: torch.device, epoch_size: int | None = None) -> int:
    """The number of examples in an epoch of `data`; ValueError, in one sentence about `name`, if it cannot be used."""
    if callable(data) and name == "validation":
        raise ValueError("validation is a function, expected tensors: the same examples after every epoch")
    if callable(data):
        if epoch_size is None or epoch_size < 1:
            raise ValueError(f"epoch_size is {epoch_size}, expected 1 or more, since {name} is a function")
        return epoch_size
    if isinstance(data, tuple) and not data:
        raise ValueError(f"{name} is an empty tuple, expected one tensor or more")
    for tensor in data if isinstance(data, tuple) else (data,):
        if not isinstance(tensor, Tensor):
            kind = type(tensor).__name__
            raise ValueError(f"{name} is a {kind}, expected a tensor, a tuple of tensors or a function(n, generator)")
        if tensor.ndim == 0 or len(tensor) == 0:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, expected one example or more along the first axis"
            )
        if len(tensor) != length(data):
            raise ValueError(
                f"{name} holds tensors of {length(data)} and {len(tensor)} examples, expected equal lengths"
            )
        if tensor.device != device:
            raise ValueError(f"{name} is on {tensor.device}, expected the model's device, {device}")
        if tensor.is_floating_point() and tensor.numel():
            low, high = (value.item() for value in tensor.aminmax())
            if not (low >= 0 and high <= 1):
                raise ValueError(f"{name} has values from {low:g} to {high:g}, expected floats in [0, 1], or uint8")
    if epoch_size not in (None, length(data)):
        raise ValueError(f"epoch_size is {epoch_size}, expected None, for {name} has {length(data)} examples an epoch")
    return length(data)
