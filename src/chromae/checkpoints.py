"""All that a training run needs to go on where it stopped."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from chromae import files


@dataclass
class State:
    """A training run between two epochs. `recipe` holds the arguments that a resumed run must repeat.

    No random state is kept: `training.fit` seeds every epoch from its number.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: dict
    epoch: int = 0
    history: dict[str, list] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, to a temporary name first: a kill leaves the old file or the new one."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        saved = {"recipe": self.recipe, "epoch": self.epoch, "history": self.history}
        with files.replacing(path) as part:
            torch.save(saved | {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, part)

    def load(self, path: str | Path) -> None:
        """Go back to a checkpoint. Raises ValueError, before anything changes, if it has another recipe."""
        saved = torch.load(path, map_location="cpu", weights_only=True)
        for name, value in self.recipe.items():
            if saved["recipe"].get(name) != value:
                raise ValueError(
                    f"{name} is {value}, but the checkpoint {path} was made with {saved['recipe'].get(name)}: "
                    "repeat its arguments, or remove the file to start anew"
                )
        shapes = [
            {name: value.shape for name, value in state.items()} for state in (saved["model"], self.model.state_dict())
        ]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the checkpoint {path} holds a model of other parameters than model: remove it to start anew"
            )
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.epoch, self.history = saved["epoch"], saved["history"]
