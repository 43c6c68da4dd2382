"""Data parallelism for `training.fit`: nothing here acts unless torchrun started the process."""

import torch
import torch.distributed as dist
from torch import nn


def join() -> tuple[int, int]:
    """(rank, number of processes) within the group that torchrun launched; (0, 1) for an ordinary run."""
    if not dist.is_torchelastic_launched():
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group()
    return dist.get_rank(), dist.get_world_size()


def share_weights(model: nn.Module) -> None:
    """Give every process the weights and buffers of the first."""
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, src=0)


def average_gradients(model: nn.Module, share: float) -> None:
    """Replace every gradient by its mean over the processes, weighted by their shares of the batch."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = share * torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
