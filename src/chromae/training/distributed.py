"""Data parallelism for `training.fit`: nothing here acts unless torchrun started the process."""

import atexit
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from types import MethodType, SimpleNamespace
from typing import TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

Value = TypeVar("Value")
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def join() -> tuple[int, int]:
    """(rank, number of processes) within the group that torchrun launched; (0, 1) for an ordinary run."""
    if not dist.is_torchelastic_launched():
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group()
        atexit.register(lambda: dist.destroy_process_group() if dist.is_initialized() else None)
    return dist.get_rank(), dist.get_world_size()


def rank() -> int:
    """This process's number within the group; 0 for an ordinary run."""
    return dist.get_rank() if dist.is_initialized() else 0


def from_first(make: Callable[[], Value]) -> Value:
    """What `make()` gives in the first process, handed to all: only there need a file exist."""
    made = [make() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(made, src=0)
    return made[0]


def share_weights(model: nn.Module) -> None:
    """Give every process the weights and buffers of the first."""
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, src=0)


def sum_gradients(model: nn.Module) -> None:
    """Replace every gradient by its sum over the processes."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


def all_agree(yes: bool, device: torch.device) -> bool:
    """Whether every process says yes."""
    votes = torch.tensor(int(yes), device=device)
    dist.all_reduce(votes, dist.ReduceOp.MIN)
    return bool(votes)


@contextlib.contextmanager
def whole_batch_norms(model: nn.Module, workers: int) -> Iterator[SimpleNamespace]:
    """Inside, batch norms in training take their statistics from the whole batch, not from one process's share.

    Set `share` and `size`, the process's share of the batch and the batch's length, before every step. As
    `nn.SyncBatchNorm`, which has no CPU kernels; with one of `workers` nothing changes.
    Raises ValueError for batch norms of other classes than torch's own.
    """
    batch = SimpleNamespace(share=1.0, size=1)
    modules = model.modules() if workers > 1 else []
    norms = [module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if others := {type(norm).__name__ for norm in norms if type(norm) not in NORMS}:
        raise ValueError(f"model has norms of class {', '.join(others)}, expected torch's own under torchrun")
    for norm in norms:
        norm.forward = MethodType(partial(_normalize, batch=batch), norm)  # a method, so that a copy has its own
    try:
        yield batch
    finally:
        for norm in norms:
            del norm.forward  # and the class's own is seen again


def _normalize(norm: nn.Module, x: Float[Tensor, "n channels *place"], batch: SimpleNamespace) -> Tensor:
    """Batch normalisation (https://arxiv.org/abs/1502.03167, algorithm 1) over the batch of all processes."""
    if not norm.training:
        return type(norm).forward(norm, x)
    count = batch.size * x[0, 0].numel()
    if count < 2:
        raise ValueError(f"a batch has {count} value a channel, expected 2 or more for batch norm: change batch_size")
    axes, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
    values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    mean = all_reduce(batch.share * values.mean(axes))
    variance = all_reduce(batch.share * (values - mean.view(shape)).square().mean(axes))
    if norm.track_running_stats:
        with torch.no_grad():
            norm.num_batches_tracked += 1
            momentum = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * count / (count - 1), momentum)
    out = (values - mean.view(shape)) / (variance.view(shape) + norm.eps).sqrt()
    if norm.affine:
        out = out * norm.weight.view(shape) + norm.bias.view(shape)
    return out.to(x.dtype)
