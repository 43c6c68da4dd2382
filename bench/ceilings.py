"""What a device does at best, and what a step asks of it."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

import torch
from side_by_side import seconds
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

ROUNDS = 7


class Work(NamedTuple):
    """What a step does: floating-point operations of its matrix products, bytes that its operations read and write."""

    flops: int
    bytes: int


class Traffic(TorchDispatchMode):
    """Counts the bytes of what every operation is given and gives, but for views: as if none were kept in a cache."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if not function.is_view:
            held = [one for one in tree_leaves((args, kwargs, made)) if isinstance(one, Tensor)]
            self.bytes += sum(one.numel() * one.element_size() for one in held)
        return made


def work(step: Callable[[], object]) -> Work:
    """What one call does, its backward pass included."""
    with Traffic() as traffic, FlopCounterMode(display=False) as counter:
        step()
    return Work(counter.get_total_flops(), traffic.bytes)


def settled(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def matrix_product(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """GFLOP/s of the product of two square matrices, median of seven."""
    a, b = torch.rand(2, size, size, device=device).to(dtype)
    return 2 * size**3 / _time_of(lambda: a @ b, device) / 1e9


def bandwidth(device: torch.device, megabytes: int = 256) -> float:
    """GB/s of a copy, its bytes read and written, median of seven."""
    source = torch.zeros(megabytes * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _time_of(lambda: target.copy_(source), device) / 1e9


def _time_of(function: Callable[[], object], device: torch.device, calls: int = 8) -> float:
    def several() -> None:
        for _ in range(calls):
            function()
        settled(device)

    several()
    return statistics.median(seconds(several) for _ in range(ROUNDS)) / calls
