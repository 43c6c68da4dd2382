"""The one training loop."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from chromae import settings
from chromae.arguments import gave
from chromae.datasets.rows import Batch, length, take
from chromae.training import distributed, progress
from chromae.training.batches import RANK_STRIDE, Data, batches, check, steps_of
from chromae.training.checkpoints import State, describe
from chromae.training.optimizers import Adam
from chromae.training.progress import Progress

Objective = Callable[[nn.Module, Batch], Mapping[str, Tensor | float] | Tensor]
History = dict[str, list]
Returned = Mapping[str, Tensor | float] | Tensor

NOISE = 0x7F4A7C15  # sets the seeds of what objectives and models draw apart from those of the data


class StopTraining(Exception):
    """Raised by a callback, it ends training as well as the last epoch would have."""


def fit(
    model: nn.Module,
    data: Data,
    objective: Objective,
    *,
    epochs: int | None = None,
    steps: int | None = None,
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
        data: a tensor, or a tuple of equally long ones, on the model's device or the CPU: uint8 (read as value / 255),
            floats (in [0, 1] if it is the first tensor) or integers, reshuffled every epoch. Or a function
            `sample(n, generator)` that makes n examples, with `epoch_size` of them an epoch. Or a loader: what gives
            batches whenever it is gone through, such as a DataLoader; order and random numbers are its own, and no
            bits are promised. A list is refused, for it may be a pair of tensors or two batches: ready batches come in
            a `DataLoader(batches, batch_size=None)`. Or None, for what learns without data, such as a picture: then a
            batch is a generator of random numbers, and `steps` takes the place of epochs, with an entry each in the
            history.
        epochs, epoch_size, batch_size: how often the data are gone through; for a function, how many examples an epoch
            has; how many examples a step sees.
        lr, optimizer: learning rate, and what makes an optimiser of parameters and `lr`, by default an Adam.
        objective: `objective(model, batch) -> {"loss": …, …}`, or the loss alone. A loss of several elements is summed
            for the gradient (an ensemble has one per member).
        schedule: learning-rate factor as a function of the training progress in [0, 1), such as `one_cycle`.
        clip: largest norm of the gradient.
        bf16: mixed precision where the hardware has bfloat16, in validation, too; float32 elsewhere.
        validation: a tensor, or a tuple of them, as `data` may be; its terms are logged as "val_…", in eval mode.
        callback: `callback(epoch, model, history)` after epochs 1 … epochs, in eval mode, without gradients. A resumed
            run calls back from the epoch of its checkpoint on: what a callback noted before that is in `history`, or
            in files, or lost.
        checkpoint: file that keeps the state after every epoch. If it exists, training goes on from it and, on
            a CPU, ends with the same bits as if it had never stopped.
        seed: seeds data and torch, whose own random state is left as it was. On a CPU the same seed gives the same
            bits, and what objectives and models draw is not what the data were drawn from.

    A callback ends training early by raising `StopTraining`. Without a schedule, which is bound to its end, a run with
    a checkpoint can be lengthened: call again with more epochs. Groups of parameters keep their own learning rates, to
    which `schedule` is a factor.
    A model of fewer than 10,000 parameters trains on one CPU thread, for to wake a second costs more than it brings.
    Ctrl-C ends training: the model keeps what it learnt, the history of the finished epochs is returned. With a
    checkpoint, from which the same call goes on, and inside `study.run`, the interrupt itself goes on: what follows
    would take a half-trained model for a trained one.
    An ensemble goes on without members that diverge, if nothing is clipped (which would see them all); a line says
    which, and their history is nan.
    Under torchrun every process takes its share of each batch, gradients are averaged, batch norms see the whole
    batch, and the first process logs (its own share), calls back, and reads and writes checkpoints. A loader is to
    share out by itself, as a DistributedSampler does; without data all do the same steps.

    Raises:
        ValueError: an argument out of range, unfit data, or a checkpoint that is broken or made by another recipe.
        FloatingPointError: the loss or a weight is no longer finite; names the step and leaves the model with its
            weights from the end of the epoch before, or, with `data=None` and neither callback nor checkpoint, from up
            to a hundred steps before.
    """
    _check_numbers(model, data, validation, epochs, steps, batch_size, lr, clip, seed)
    device, size = next(model.parameters()).device, check("data", data, next(model.parameters()).device, epoch_size)
    check("validation", validation, device)
    # Without data a step is an epoch if somebody looks on after each; else all steps are one, which is quicker.
    one_epoch = data is None and callback is None and checkpoint is None
    epochs, size = (1, int(steps)) if one_epoch else (int(epochs if steps is None else steps), size)
    rank, workers = distributed.join()
    state = State(model, _made(optimizer, model, float(lr)), {"epochs": epochs, "seed": int(seed), "lr": float(lr)})
    if checkpoint is not None:
        recipe = {"batch_size": int(batch_size), "size": size, "bf16": bf16, "clip": clip and float(clip)}
        functions = {"schedule": schedule, "optimizer": optimizer, "objective": objective, "data": data}
        state.recipe |= recipe | {name: describe(function) for name, function in functions.items()}
    resumed, stop = _resume(state, checkpoint, workers), False
    autocast = settings.mixed_precision(device, bf16)
    log = Progress(state, epochs, steps_of(data, size, batch_size), lr, clip is not None, workers, one_epoch)
    try:
        with settings.random_state_kept(device), distributed.whole_batch_norms(model, workers) as whole:
            if resumed:  # it may have been killed after its checkpoint, before its callback
                stop = _stops(callback, state, rank, workers)
            while state.epoch < epochs and not stop:
                model.train()
                # Every epoch seeds itself, so that resuming needs no random state.
                epoch_seed = 1_000_003 * int(seed) + state.epoch
                settings.seed_everything((epoch_seed + RANK_STRIDE * rank) ^ NOISE, device)
                with log.epoch():
                    for done, share, count, batch in batches(data, size, batch_size, epoch_seed, device, rank, workers):
                        if schedule is not None:
                            factor = gave("schedule", schedule((state.epoch + done) / epochs), float)
                            for group in state.optimizer.param_groups:
                                group["lr"] = group["initial_lr"] * factor
                        if data is None:
                            settings.seed_everything(batch.initial_seed() ^ NOISE, device)
                        for parameter in log.parameters:
                            parameter.grad = None  # what zero_grad() does, at a tenth of its cost
                        whole.share, whole.size = share, count
                        with autocast:
                            terms = progress.named(gave("objective", objective(model, batch), Returned))
                        loss = terms["loss"] if workers == 1 else share * terms["loss"]
                        (loss.sum() if loss.ndim else loss).backward()
                        if workers > 1:
                            distributed.sum_gradients(model)
                        if clip is not None:
                            nn.utils.clip_grad_norm_(log.parameters, clip)
                        state.optimizer.step()
                        log.add(terms, count)
                if validation is not None:
                    log.validation = _validate(model, objective, validation, batch_size, autocast)
                log.note()
                state.epoch += 1
                if rank == 0 and checkpoint is not None:
                    state.save(checkpoint)
                stop = _stops(callback, state, rank, workers)
    except KeyboardInterrupt:
        log.say_stopped()
        if checkpoint is not None or settings.in_study.get():
            raise
    finally:
        log.bar.close()
        model.eval()
    return state.history


def _made(optimizer: Callable[..., torch.optim.Optimizer], model: nn.Module, lr: float) -> torch.optim.Optimizer:
    if isinstance(optimizer, nn.Module):
        raise ValueError(f"optimizer is a {type(optimizer).__name__}, expected a class of optimisers")
    try:
        inspect.signature(optimizer).bind([], lr=lr)
    except TypeError as error:
        raise ValueError(f"optimizer cannot be called with parameters and lr ({error})") from error
    made = gave("optimizer", optimizer(list(model.parameters()), lr=lr), torch.optim.Optimizer)
    for group in made.param_groups:
        group.setdefault("initial_lr", group["lr"])  # of which the schedule gives a factor
    return made


def _resume(state: State, checkpoint: str | Path | None, workers: int) -> bool:
    """Go back to the checkpoint if there is one, every process to what the first has read; whether there was."""
    if workers == 1:
        content = _content(checkpoint)
    else:
        content = distributed.from_first(lambda: _content(checkpoint))
        distributed.share_weights(state.model)
    if content is not None:
        state.load(checkpoint, content)
        for group in state.optimizer.param_groups:  # which earlier checkpoints do not hold
            group.setdefault("initial_lr", state.recipe["lr"])
    return content is not None


def _content(checkpoint: str | Path | None) -> bytes | None:
    return Path(checkpoint).read_bytes() if checkpoint is not None and Path(checkpoint).exists() else None


@torch.no_grad()
def _validate(
    model: nn.Module, objective: Objective, data: Batch, batch_size: int, autocast: AbstractContextManager
) -> dict[str, list]:
    model.eval()
    parameters, lengths = list(model.parameters()), []
    block = []
    for start in range(0, length(data), batch_size):
        batch = take(data, slice(start, start + batch_size), parameters[0].device)
        with autocast:
            block.append(progress.named(objective(model, batch), learns=False))
        lengths.append(length(batch))
    terms, _ = progress.fetch(block, parameters)
    return {f"val_{name}": [mean] for name, mean in progress.means([terms], lengths).items()}


@torch.no_grad()
def _stops(callback: Callable[[int, nn.Module, History], None] | None, state: State, rank: int, workers: int) -> bool:
    """Call back, in the first process; whether training ends with that."""
    stop = False
    if callback is not None and rank == 0:
        state.model.eval()
        try:
            callback(state.epoch, state.model, state.history)
        except StopTraining:
            stop = True
        except Exception as error:
            error.add_note(f"The callback failed after epoch {state.epoch}: the model keeps what it learnt.")
            raise
    if callback is not None and workers > 1:
        stop = not distributed.all_agree(not stop, next(state.model.parameters()).device)
    return stop


def _check_numbers(
    model: nn.Module, data: Data, validation: Batch | None, epochs: int | None, steps: int | None, batch_size: int,
    lr: float, clip: float | None, seed: int,
) -> None:  # fmt: skip
    if not list(model.parameters()):
        raise ValueError(f"model is a {type(model).__name__} without parameters, expected one that can learn")
    name, count, other = ("steps", steps, epochs) if data is None else ("epochs", epochs, steps)
    if count is None or other is not None:
        there = "without data" if data is None else "with data"
        raise ValueError(f"epochs is {epochs} and steps is {steps}, expected {name} alone {there}")
    if data is None and validation is not None:
        raise ValueError("validation is given, expected None without data")
    if count < 0:
        raise ValueError(f"{name} is {count}, expected 0 or more")
    if not 0 <= seed < 2**40:
        raise ValueError(f"seed is {seed}, expected a whole number from 0 to 2^40")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
    if not lr > 0:
        raise ValueError(f"lr is {lr}, expected a number above 0")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip is {clip}, expected None or a number above 0")
