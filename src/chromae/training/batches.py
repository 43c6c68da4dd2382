"""How `training.fit` reads its data, checked, batch by batch: tensors, a function that makes examples, a loader."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Generator, Tensor

from chromae.arguments import gave
from chromae.arguments.kinds import Count, Natural, Seed
from chromae.datasets.rows import Batch, Sample, length, take
from chromae.training import distributed

Data = Batch | Sample | Iterable | None

RANK_STRIDE = 1_000_000_007  # far apart seeds for the processes of one run


def batches(
    data: Data,
    size: Natural,
    batch_size: Count,
    seed: Seed,
    device: torch.device,
    rank: Natural = 0,
    workers: Count = 1,
) -> Iterator[tuple[float, float, int, Batch | Generator]]:
    """(part of the epoch done, this process's share, length, batch) over one epoch, all of it following from `seed`.

    Process `rank` of `workers` takes every `workers`-th example of a batch; of a batch with fewer examples than
    processes, every process takes all. Of five examples in batches of four, the second of two processes takes the
    examples 1 and 3, then 4, as the first one does; its share is a half of both batches. A loader decides on order and
    lengths itself, in every process, until one of them has no more; without data, a batch is a generator of random
    numbers, seeded for its step, the same in all.
    Raises ValueError for data of another size, and for a loader without batches.
    """
    if data is None:
        for step in range(size):
            yield step / size, 1 / workers, 1, Generator(device).manual_seed(seed + step)
    elif callable(data) or isinstance(data, Tensor | tuple):
        draw = _drawn(data, size, seed + RANK_STRIDE * rank if callable(data) else seed, device)
        for start in range(0, size, batch_size):
            stop = min(start + batch_size, size)
            split = stop - start >= workers
            mine = range(start + rank, stop, workers) if split else range(start, stop)
            share = len(mine) / (stop - start) if split else 1 / workers
            yield start / size, share, stop - start, draw(mine)
    else:
        for step, batch in enumerate(_loaded(data, seed, device, workers)):
            yield min(step, size - 1) / size, 1 / workers, workers * length(batch), take(batch, slice(None), device)


def _loaded(data: Iterable, seed: int, device: torch.device, workers: int) -> Iterator[Batch]:
    """A loader's batches, as long as every process has one. Raises ValueError, in all of them, if there is none."""
    batches_of = getattr(data, "batch_sampler", None)
    sampler = getattr(data if batches_of is None else batches_of, "sampler", None)
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(seed)  # a DistributedSampler, which would repeat its order
    batches, end = iter(data), object()
    for number in itertools.count():
        batch = next(batches, end)
        more = batch is not end
        if workers > 1:
            more = distributed.all_agree(more, device)
        if not more and number == 0:
            raise ValueError("data gave no batch, expected one or more in every epoch")
        if not more:
            return
        tensors = batch if isinstance(batch, list | tuple) else [batch]
        if not (tensors and all(isinstance(one, Tensor) for one in tensors)):
            raise ValueError(f"data gave a {type(batch).__name__}, expected a tensor, or a tuple or list of them")
        yield tuple(batch) if isinstance(batch, list) else batch


def _drawn(data: Batch | Sample, size: int, seed: int, device: torch.device) -> Callable[[range], Batch]:
    """What gives the examples of these numbers: of an order drawn once, or as many new ones."""
    if callable(data):
        generator = Generator(device).manual_seed(seed)
        return lambda numbers: gave("data", data(len(numbers), generator), Batch)
    if length(data) != size:
        raise ValueError(f"size is {size}, but data holds {length(data)} examples")
    here = (data[0] if isinstance(data, tuple) else data).device
    order = torch.randperm(size, generator=Generator(here).manual_seed(seed), device=here)
    return lambda numbers: take(data, order[numbers.start : numbers.stop : numbers.step], device)


def steps_of(data: Data, size: Natural, batch_size: Count) -> int:
    """How many batches an epoch has."""
    return -(-size // batch_size) if callable(data) or isinstance(data, Tensor | tuple) else size


def check(name: str, data: object, device: torch.device, epoch_size: int | None = None) -> int:
    """The examples in an epoch of `data`, or a loader's batches; ValueError, in one sentence, if it cannot be used."""
    if data is None:
        if epoch_size is not None:
            raise ValueError(f"epoch_size is {epoch_size}, expected None without data")
        return 1
    if callable(data) and name == "validation":
        raise ValueError("validation is a function, expected tensors: the same examples after every epoch")
    if callable(data):
        if epoch_size is None or epoch_size < 1:
            raise ValueError(f"epoch_size is {epoch_size}, expected 1 or more, since {name} is a function")
        return epoch_size
    if name == "data" and isinstance(data, Iterator):
        raise ValueError(f"data is a {type(data).__name__}, which ends, expected what gives batches in every epoch")
    if isinstance(data, Tensor | tuple) or name == "validation" or not _is_loader(data):
        _check_tensors(name, data, device)
        size = length(data)
    elif epoch_size is not None:
        raise ValueError(f"epoch_size is {epoch_size}, expected None, for a loader's epoch is all that it gives")
    else:
        size = _length_of(data)
    if epoch_size not in (None, size):
        raise ValueError(f"epoch_size is {epoch_size}, expected None, for {name} has {size} examples an epoch")
    return size


def _length_of(loader: Iterable) -> int:
    """How many batches a loader says it has; 1 if it does not, as those of streams: its schedule goes by epochs."""
    try:
        return max(1, len(loader))
    except TypeError:
        return 1


def _is_loader(data: object) -> bool:
    return isinstance(data, Iterable) and not isinstance(data, list | dict | str | bytes | np.ndarray)


def _check_tensors(name: str, data: object, device: torch.device) -> None:
    if isinstance(data, tuple) and not data:
        raise ValueError(f"{name} is an empty tuple, expected one tensor or more")
    tensors = data if isinstance(data, tuple) else (data,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            wanted = "a tensor, a tuple of tensors" + (
                ", a function(n, generator) or a loader" if name == "data" else ""
            )
            raise ValueError(f"{name} is a {type(tensor).__name__}, expected {wanted}")
        if tensor.ndim == 0 or len(tensor) == 0:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, expected one example or more along the first axis"
            )
        if len(tensor) != len(tensors[0]):
            raise ValueError(
                f"{name} holds tensors of {len(tensors[0])} and {len(tensor)} examples, expected equal lengths"
            )
        if tensor.device not in (device, torch.device("cpu")) or tensor.device != tensors[0].device:
            raise ValueError(
                f"{name} is on {tensor.device}, expected all of it on the model's device, {device}, or cpu"
            )
    if tensors[0].is_floating_point() and tensors[0].numel():  # others are targets, of whatever size
        low, high = (value.item() for value in tensors[0].aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"{name} has values from {low:g} to {high:g}, expected floats in [0, 1], or uint8")
