"""The book-keeping of `training.fit`: the terms of every step, looked at now and then, and what to do if one is nan."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn
from tqdm import tqdm

from chromae import settings
from chromae.arguments import unchecked
from chromae.arguments.kinds import Count, Natural
from chromae.training import distributed
from chromae.training.checkpoints import State
from chromae.training.ensemble import Ensemble

Terms = dict[str, Tensor]

LOOK_EVERY = 100  # steps between two looks at the terms: a look waits for the device
TINY = 10_000  # models of fewer parameters train on one thread


class Progress:
    """What a run has seen of its epoch: `add` takes the terms of a step, `means` gives those of the epoch."""

    def __init__(
        self, state: State, epochs: Natural, steps: Natural, lr: float, clip: bool, workers: Count, every_step: bool
    ):
        """`every_step`: one epoch, each of whose steps counts as one: it has an entry of its own in the history."""
        self.state, self.epochs, self.lr, self.workers, self.every_step = state, epochs, lr, workers, every_step
        # Clipping sees one norm for all members of an ensemble: with it, one that diverges stops them all.
        self.members = state.model.size if isinstance(state.model, Ensemble) and not clip else 0
        self.parameters = list(state.model.parameters())
        self.tiny = sum(parameter.numel() for parameter in self.parameters) < TINY
        self.lost: set[int] = set()  # members of an ensemble that diverged
        self.steps = 0  # of this call
        self.validation: dict[str, list] = {}
        self.seen: list[Terms] = []  # of this epoch, looked at
        self.block: list[Terms] = []  # not yet
        self.lengths: list[int] = []  # of its batches
        silent = {"disable": True} if distributed.rank() else {}  # else tqdm's own default, which TQDM_DISABLE sets
        self.bar = tqdm(total=epochs * steps, initial=state.epoch * steps, unit="step", **silent)

    @contextlib.contextmanager
    def epoch(self) -> Iterator[None]:
        """The steps of an epoch run inside: a tiny model's on one thread, and unchecked after the very first."""
        self.seen, self.block, self.lengths = [], [], []
        self._keep()
        with contextlib.ExitStack() as self.stack:
            if self.tiny:
                self.stack.enter_context(settings.one_thread())
            if self.steps:
                self.stack.enter_context(unchecked())
            yield
            if self.block:
                self.look()

    def add(self, terms: Terms, length: Count) -> None:
        """Note the terms of a step on so many examples. Raises FloatingPointError as `fit`, within LOOK_EVERY steps."""
        self.block.append({name: value.detach() for name, value in terms.items()})
        self.lengths.append(length)
        self.steps += 1
        if self.steps == 1:
            self.stack.enter_context(unchecked())
        if len(self.block) == LOOK_EVERY:
            self.look()

    def look(self) -> None:
        """Bring the terms of the last steps to the CPU, in one transfer, and see whether they are finite."""
        terms, finite = fetch(self.block, self.parameters, self.members)
        self.block = []
        self.seen.append(terms)
        loss = terms["loss"]
        if self.members and loss.shape[1:] == (self.members,):  # one that diverges does no harm to the others
            broken = (~loss.isfinite()).any(0) | ~finite
            fine = not bool(broken.all())
            self._say_lost({int(member) for member in broken.nonzero()})
        else:
            fine = bool(loss.isfinite().all()) and bool(finite.all())
        if self.workers > 1 and not distributed.all_agree(fine, self.parameters[0].device):
            self._stop("on another process, in" if fine else self._step_of(loss))
        elif not fine:
            self._stop(self._step_of(loss))
        if self.every_step:
            self._keep()
        shown = ", ".join(f"{name} {value[-1].nanmean():.4g}" for name, value in terms.items())
        self.bar.set_postfix_str(f"epoch {self.state.epoch + 1}/{self.epochs}, {shown}", refresh=False)
        self.bar.update(len(loss))

    def _keep(self) -> None:
        self.weights = {name: value.clone() for name, value in self.state.model.state_dict().items()}

    def _say_lost(self, members: set[int]) -> None:
        if new := sorted(members - self.lost):
            self.lost |= members
            which = ", ".join(map(str, new[:8])) + (" …" if len(new) > 8 else "")
            print(
                f"Of {self.members} members, {which} diverged in epoch {self.state.epoch + 1}: "
                "their history is nan from here."
            )

    def _step_of(self, loss: Tensor) -> str:
        return f"at step {self._done() + first_broken(loss)} of"

    def _done(self) -> int:
        """Steps of the epoch up to the last look that found nothing."""
        return sum(len(terms["loss"]) for terms in self.seen[:-1])

    def _stop(self, where: str) -> None:
        self.state.model.load_state_dict(self.weights)
        epoch, back = f"epoch {self.state.epoch + 1}", f"at the end of epoch {self.state.epoch}"
        if self.every_step:
            epoch, back = f"{self.bar.total}", f"at step {self._done()}"
        advice = f"try a smaller lr than {self.lr:g}, or clip=1"
        raise FloatingPointError(f"the loss is not finite {where} {epoch}; the model is back {back}: {advice}")

    def note(self) -> None:
        """Add the epoch to the history: the mean of every term, or its value at every step; and validation."""
        for name, values in ((self.values() if self.every_step else self.means()) | self.validation).items():
            self.state.history.setdefault(name, []).extend(values)

    def say_stopped(self) -> None:
        """Say what Ctrl-C leaves; the steps of the one epoch that runs, if there is no other, go to the history.

        Raises FloatingPointError if they have led to nan, which no look has seen yet.
        """
        if self.block and self.workers == 1:  # other processes may not have been stopped
            self.look()
        done, unit = self.state.epoch, "epochs"
        if self.every_step and not done:
            self.note()
            done, unit = len(self.lengths), "steps"
        of = self.bar.total if self.every_step else self.epochs
        print(f"Stopped after {done} of {of} {unit}: the model keeps what it learnt.")

    def means(self) -> dict[str, list]:
        """Every term's mean over the examples of the epoch, alone in a list."""
        return {name: [mean] for name, mean in means(self.seen, self.lengths).items()}

    def values(self) -> dict[str, list]:
        """Every term at every step of the epoch."""
        left = [fetch(self.block, self.parameters, self.members)[0]] if self.block else []
        seen = self.seen + left  # if Ctrl-C ended it
        return {name: torch.cat([terms[name] for terms in seen]).tolist() for name in (seen[0] if seen else {})}


def _as_it_is(value: Tensor) -> Tensor:
    """A term as it is now: a copy of what the next step may change in place, such as a parameter or a part of one."""
    return value.clone() if value.is_leaf or value._is_view() else value


def named(result: Mapping[str, Tensor | float] | Tensor, learns: bool = True) -> Terms:
    """What an objective gave, as named tensors. Raises ValueError without a loss, and, if it `learns`, a gradient."""
    results = {"loss": result} if isinstance(result, Tensor) else result
    terms = {name: _as_it_is(torch.as_tensor(value)) for name, value in results.items()}
    if "loss" not in terms:
        raise ValueError(
            f"objective returned {', '.join(terms) or 'nothing'}, expected a result with a term named 'loss'"
        )
    if learns and not terms["loss"].requires_grad:
        raise ValueError(
            "objective returned a loss that does not depend on model's parameters, expected a result that does"
        )
    return terms


def fetch(
    block: list[Terms], parameters: list[nn.Parameter], members: Natural = 0
) -> tuple[Terms, Bool[Tensor, " members"]]:
    """The terms of several steps, stacked, on the CPU in float64, and whether all weights are finite: one transfer.

    The weights of an ensemble are so for every one of its `members`.
    """
    if not (block and parameters):
        raise ValueError(
            f"block has {len(block)} steps and parameters {len(parameters)} tensors, expected some of both"
        )
    if members and any(parameter.shape[:1] != (members,) for parameter in parameters):
        raise ValueError(f"members is {members}, expected the first axis of all parameters to be as long")
    device = parameters[0].device
    stacked = {name: torch.stack([terms[name] for terms in block]) for name in block[0]}
    each = [parameter.isfinite().reshape(members or 1, -1).all(1).to(device) for parameter in parameters]
    finite = torch.stack(each).all(0)
    flat = torch.cat([finite.float(), *(value.flatten().to(device) for value in stacked.values())])
    finite, *parts = flat.cpu().double().split([len(finite), *(value.numel() for value in stacked.values())])
    return {k: part.view(v.shape) for (k, v), part in zip(stacked.items(), parts, strict=True)}, finite.bool()


def first_broken(loss: Float[Tensor, "steps *member"]) -> int:
    """The first step, counted from 1, whose loss is not finite; the last one if only the weights are."""
    broken = (~loss.isfinite()).flatten(1).any(1) if loss.ndim > 1 else ~loss.isfinite()
    return 1 + (int(broken.nonzero()[0]) if broken.any() else len(loss) - 1)


def means(seen: list[dict[str, Float64[Tensor, "_ ..."]]], lengths: list[Count]) -> dict[str, float | list]:
    """Every term's mean over the examples of an epoch, whose batches had these lengths."""
    counts = torch.tensor(lengths).double()
    values = {name: torch.cat([terms[name] for terms in seen]) for name in (seen[0] if seen else {})}
    for name, value in values.items():
        if len(value) != len(counts):
            raise ValueError(f"seen holds {len(value)} steps of {name}, expected as many as lengths, {len(counts)}")
    return {name: torch.tensordot(counts / counts.sum(), value, dims=1).tolist() for name, value in values.items()}
