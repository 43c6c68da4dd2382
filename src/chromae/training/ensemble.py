"""Many copies of a tiny model trained at once: spreads over seeds for little more than the cost of one run."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from chromae import settings
from chromae.arguments import gave, takes
from chromae.arguments.kinds import Seed


class Ensemble(nn.Module):
    """Independent members with stacked parameters, run side by side by `torch.func.vmap`.

    `make_model()` is called once per seed. Every parameter gains a leading axis of members. Elementwise
    optimisers (SGD, Adam, RMSprop) then train each member exactly as they would train it alone; clipping does not,
    for it sees one norm for all. Raises ValueError for models with buffers, such as batch norm's.
    """

    def __init__(self, make_model: Callable[[], nn.Module], seeds: Sequence[Seed]):
        super().__init__()
        if not seeds:
            raise ValueError("seeds is empty, expected one or more")
        members = []
        for seed in seeds:
            settings.seed_everything(seed)
            members.append(gave("make_model", make_model(), nn.Module))
        if buffers := [name for name, _ in members[0].named_buffers()]:
            raise ValueError(f"make_model makes models with buffers ({', '.join(buffers)}), expected parameters only")
        self.stacked = copy.deepcopy(members[0])
        for name, value in torch.func.stack_module_state(members)[0].items():
            owner, _, leaf = name.rpartition(".")
            setattr(self.stacked.get_submodule(owner), leaf, nn.Parameter(value.detach()))
        self.size = len(members)

    def map(self, function: Callable, *inputs: Tensor, shared: bool = False):
        """`function(member, *inputs)` for every member, results stacked along a new first axis.

        Each input's first axis runs over the members, unless `shared`: then all members get the same inputs.
        """
        if isinstance(function, nn.Module) or not takes(function, 1 + len(inputs)):
            raise ValueError(f"function is {function}, expected one of a member and {len(inputs)} inputs")
        for number, one in enumerate(inputs if not shared else ()):
            if one.shape[:1] != (self.size,):
                raise ValueError(f"inputs[{number}] has shape {tuple(one.shape)}, expected {self.size} members first")

        def call(parameters: dict[str, Tensor], *inputs: Tensor):
            result = torch.func.functional_call(bound, parameters, inputs)
            return gave("function", result, Tensor | Mapping[str, Tensor] | tuple[Tensor, ...])

        bound = _Bound(self.stacked, function)
        axes = (0, *[None if shared else 0] * len(inputs))
        # What a member draws at random, such as dropout, is its own.
        return torch.func.vmap(call, in_dims=axes, randomness="different")(dict(bound.named_parameters()), *inputs)

    def member(self, index: int) -> nn.Module:
        """One member as a model of its own; its weights are a copy. Raises ValueError for a number that none has."""
        if not -self.size <= index < self.size:
            raise ValueError(f"index is {index}, expected 0 to {self.size - 1}")
        model = copy.deepcopy(self.stacked)
        for owner in model.modules():
            for name, value in list(owner.named_parameters(recurse=False)):
                setattr(owner, name, nn.Parameter(value.detach()[index].clone()))
        return model

    def objective(self, objective: Callable[[nn.Module, Tensor], Mapping[str, Tensor] | Tensor]) -> Callable:
        """An objective of single models as one of this ensemble: its terms hold one value per member."""
        return lambda ensemble, batch: ensemble.map(objective, batch)

    def sample(self, sample: Callable[[int, Generator], Tensor]) -> Callable[[int, Generator], Tensor]:
        """A made data set that hands every member its own n examples: shape (members, n, …)."""
        return lambda n, generator: sample(self.size * n, generator).unflatten(0, (self.size, n))


class _Bound(nn.Module):
    """`function(model, …)` as a module, which `functional_call` can give other parameters."""

    def __init__(self, model: nn.Module, function: Callable):
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs):
        return self.function(self.model, *inputs)
