"""The one training loop."""

import contextlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from chromae import distributed, settings
from chromae.batches import RANK_STRIDE, Batch, Sample, batches, check, length, take
from chromae.checkpoints import State
from chromae.optimizers import Adam

Terms = dict[str, Tensor]
Objective = Callable[[nn.Module, Batch], Terms]
History = dict[str, list]

LOOK_EVERY = 100  # steps between two looks at the terms: a look waits for the device
TINY = 10_000  # models of fewer parameters train on one thread


def cosine(progress: float) -> float:
    """Learning-rate factor: half a cosine from 1 to 0 (https://arxiv.org/abs/1608.03983, eq. 5, no restart)."""
    return (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: float, warmup: float = 0.3, start: float = 0.04, end: float = 1e-4) -> float:
    """Learning-rate factor: cosine up from `start` to 1, then down to `end` (https://arxiv.org/abs/1708.07120)."""
    if progress < warmup:
        return start + (1 - start) * cosine(1 - progress / warmup)
    return end + (1 - end) * cosine((progress - warmup) / (1 - warmup))


def fit(
    model: nn.Module,
    data: Batch | Sample,
    objective: Objective,
    *,
    epochs: int,
    batch_size: int = 128,
    epoch_size: int | None = None,
    lr: float = 1e-3,
    optimizer: Callable[..., torch.optim.Optimizer] = Adam,
    schedule: Callable[[float], float] | None = None,
    clip: float | None = None,
    bf16: bool = False,
    validation: Batch | None = None,
    callback: Callable[[int, nn.Module, History], None] | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
) -> History:
    """Train `model` in place; return, for every term of the objective, its mean over each epoch.

    Args:
        data: a tensor, or a tuple of equally long ones, on the model's device: uint8 (read as value / 255),
            floats in [0, 1] or integer labels, reshuffled every epoch. Or a function `sample(n, generator)`
            that makes n examples, with `epoch_size` of them an epoch.
        objective: `objective(model, batch) -> {"loss": …, …}`. A loss of several elements is summed for the
            gradient (an ensemble has one per member).
        schedule: learning-rate factor as a function of the training progress in [0, 1), such as `one_cycle`.
        clip: largest norm of the gradient.
        bf16: mixed precision where the hardware has bfloat16; float32 elsewhere.
        validation: like `data`; its terms are logged as "val_…", in eval mode.
        callback: `callback(epoch, model, history)` after epochs 1 … epochs, in eval mode, without gradients.
        checkpoint: file that keeps the state after every epoch. If it exists, training goes on from it and, on
            a CPU, ends with the same bits as if it had never stopped.
        seed: seeds data and torch; on a CPU the same seed gives the same bits.

    Ctrl-C ends training: the model keeps what it learnt, the history of the finished epochs is returned.
    Under torchrun every process takes its share of each batch, gradients are averaged, and the first process
    logs (its own share), calls back and writes checkpoints.

    Raises:
        ValueError: an argument out of range, unfit data, or a checkpoint made by another recipe.
        FloatingPointError: the loss or a weight is no longer finite; names the step and leaves the model with
            its weights from the end of the epoch before.
    """
    device = next(model.parameters()).device
    _check_numbers(epochs, batch_size, lr, clip)
    size = check("data", data, device, epoch_size)
    if validation is not None:
        check("validation", validation, device)
    rank, workers = distributed.join()
    recipe = {
        "epochs": epochs,
        "batch_size": batch_size,
        "size": size,
        "lr": lr,
        "clip": clip,
        "bf16": bf16,
        "seed": seed,
    }
    recipe |= {"schedule": _name(schedule), "optimizer": _name(optimizer)}
    parameters = list(model.parameters())
    state = State(model, optimizer(parameters, lr=lr), recipe)
    if checkpoint is not None and Path(checkpoint).exists():
        state.load(checkpoint)
        if rank == 0:
            _call(callback, state)  # the run may have been killed after its checkpoint, before its callback
    if workers > 1:
        distributed.share_weights(model)
    autocast = settings.mixed_precision(device, bf16)

    def train_step(start: int, share: float, batch: Batch) -> Terms:
        if schedule is not None:
            for group in state.optimizer.param_groups:
                group["lr"] = lr * schedule((state.epoch + start / size) / epochs)
        for parameter in parameters:
            parameter.grad = None  # what zero_grad() does, at a tenth of its cost
        with autocast:
            terms = objective(model, batch)
        loss = terms["loss"]
        loss.backward(torch.ones_like(loss) if loss.ndim else None)
        if workers > 1:
            distributed.average_gradients(model, share)
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        state.optimizer.step()
        return {name: value.detach() for name, value in terms.items()}

    tiny = sum(parameter.numel() for parameter in parameters) < TINY
    steps = math.ceil(size / batch_size)
    silent = {"disable": True} if rank else {}  # else tqdm's own default, which TQDM_DISABLE sets
    bar = tqdm(total=epochs * steps, initial=state.epoch * steps, unit="step", **silent)
    try:
        while state.epoch < epochs:
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            model.train()
            # Every epoch seeds itself, so that resuming needs no random state.
            epoch_seed = 1_000_003 * seed + state.epoch
            settings.seed_everything(epoch_seed + RANK_STRIDE * rank)
            epoch_batches = batches(data, size, batch_size, epoch_seed, device, rank, workers)
            seen: list[Terms] = []
            while True:
                with settings.one_thread() if tiny else contextlib.nullcontext():
                    block = [train_step(*batch) for batch in itertools.islice(epoch_batches, LOOK_EVERY)]
                if not block:
                    break
                seen.append(_fetch(block))
                if not _finite(seen[-1]["loss"], *parameters):
                    model.load_state_dict(weights)
                    step = (len(seen) - 1) * LOOK_EVERY + _first_broken(seen[-1]["loss"])
                    raise FloatingPointError(
                        f"the loss is not finite at step {step} of epoch {state.epoch + 1}; the model is back "
                        f"at the end of epoch {state.epoch}: try a smaller lr than {lr:g}, or clip=1"
                    )
                shown = ", ".join(f"{name} {value[-1].mean():.4g}" for name, value in seen[-1].items())
                bar.set_postfix_str(f"epoch {state.epoch + 1}/{epochs}, {shown}", refresh=False)
                bar.update(len(block))
            means = _means(seen, size, batch_size)
            if validation is not None:
                means |= _validate(model, objective, validation, batch_size)
            for name, mean in means.items():
                state.history.setdefault(name, []).append(mean)
            state.epoch += 1
            if rank == 0 and checkpoint is not None:
                state.save(checkpoint)
            if rank == 0:
                _call(callback, state)
    except KeyboardInterrupt:
        print(f"Stopped after {state.epoch} of {epochs} epochs: the model keeps what it learnt.")
    finally:
        bar.close()
        model.eval()
    return state.history


def _fetch(block: list[Terms]) -> Terms:
    """The terms of several steps, stacked along the first axis and brought to the CPU in float64."""
    return {name: torch.stack([terms[name] for terms in block]).cpu().double() for name in block[0]}


def _finite(*tensors: Tensor) -> bool:
    return all(tensor.isfinite().all() for tensor in tensors)


def _first_broken(loss: Tensor) -> int:
    """The first step, counted from 1, whose loss is not finite; the last one if only the weights are."""
    broken = (~loss.isfinite()).flatten(1).any(1) if loss.ndim > 1 else ~loss.isfinite()
    return 1 + (int(broken.nonzero()[0]) if broken.any() else len(loss) - 1)


def _means(seen: list[Terms], size: int, batch_size: int) -> dict[str, float | list]:
    """Every term's mean over the examples of an epoch; the last batch may be smaller."""
    counts = torch.tensor([min(batch_size, size - start) for start in range(0, size, batch_size)]).double()
    values = {name: torch.cat([terms[name] for terms in seen]) for name in seen[0]}
    return {name: torch.tensordot(counts / size, value, dims=1).tolist() for name, value in values.items()}


@torch.no_grad()
def _validate(model: nn.Module, objective: Objective, data: Batch, batch_size: int) -> dict[str, float | list]:
    model.eval()
    size = length(data)
    terms = [objective(model, take(data, slice(i, i + batch_size))) for i in range(0, size, batch_size)]
    return {f"val_{name}": mean for name, mean in _means([_fetch(terms)], size, batch_size).items()}


@torch.no_grad()
def _call(callback: Callable[[int, nn.Module, History], None] | None, state: State) -> None:
    if callback is None:
        return
    state.model.eval()
    try:
        callback(state.epoch, state.model, state.history)
    except Exception as error:
        error.add_note(f"The callback failed after epoch {state.epoch}: the model keeps what it learnt.")
        raise


def _name(function: Callable | None) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _check_numbers(epochs: int, batch_size: int, lr: float, clip: float | None) -> None:
    if epochs < 0:
        raise ValueError(f"epochs is {epochs}, expected 0 or more")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
    if not lr > 0:
        raise ValueError(f"lr is {lr}, expected a number above 0")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip is {clip}, expected None or a number above 0")
