"""All that a training run needs to go on where it stopped."""

import functools
import hashlib
import inspect
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

import torch
from torch import Tensor, nn

from chromae import files


@dataclass
class State:
    """A training run between two epochs. `recipe` holds what a resumed run must repeat.

    No random state is kept: `training.fit` seeds every epoch from its number.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: dict
    epoch: int = 0
    history: dict[str, list] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, to a temporary name first: a kill leaves the old file or the new one.

        Raises OSError, which names the file, if it cannot be written.
        """
        saved = {
            "recipe": self.recipe, "epoch": self.epoch, "history": self.history,
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        with files.replacing(Path(path)) as part:
            try:
                torch.save(saved | {"digest": digest(saved)}, part)
            except RuntimeError as error:  # torch's writer does not tell what the disk said
                reason = str(error).split("\n")[0]
                raise OSError(f"{path} was not written, is the disk full? ({reason})") from error

    def load(self, path: str | Path, content: bytes | None = None) -> None:
        """Go back to a checkpoint, whose bytes are `content` if they have been read already.

        Raises ValueError, before anything changes, if it is broken, or has another recipe or model. No code in it runs.
        """
        try:
            saved = torch.load(path if content is None else io.BytesIO(content), map_location="cpu", weights_only=True)
            whole = digest({name: value for name, value in saved.items() if name != "digest"})
            broken = None if saved["digest"] == whole else "its content does not have the checksum that it says"
        except Exception as error:  # torch has no one error for what is no checkpoint
            broken = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
        if broken:
            raise ValueError(f"{path} is broken, or no checkpoint ({broken}): remove it to start anew")
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
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():  # laid out as its parameter: fused kernels walk through raw memory
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        self.epoch, self.history = saved["epoch"], saved["history"]


def digest(saved: object) -> str:
    """SHA-256 of tensors, numbers and strings in nested dictionaries and lists: a flipped bit changes it."""
    found = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, Tensor):
            found.update(f"{value.dtype} {tuple(value.shape)}".encode())
            found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping):
            for key, part in value.items():
                add(key)
                add(part)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found.update(f"{len(value)}".encode())
            for part in value:
                add(part)
        else:
            found.update(repr(value).encode())

    add(saved)
    return found.hexdigest()


def describe(value: object) -> str:
    """What a recipe says of an argument: two that describe alike train alike, as far as can be told without running.

    A function is its name, a digest of its code, and what it was made with: the arguments of a partial, the values
    that a closure holds. A tensor is its shape, its type and a digest of up to 64 of its examples. Lists, which a
    closure may fill as it goes, and objects are their type.
    """
    if isinstance(value, functools.partial):
        given = [*map(describe, value.args), *(f"{key}={describe(it)}" for key, it in sorted(value.keywords.items()))]
        return f"{describe(value.func)}({', '.join(given)})"
    if isinstance(value, Tensor):
        some = value[:: max(1, len(value) // 64)] if value.ndim else value
        return f"{value.dtype} {tuple(value.shape)} {digest([some])[:8]}"
    if isinstance(value, tuple):
        return f"({', '.join(map(describe, value))})"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if not inspect.isroutine(value):
        return getattr(value, "__qualname__", None) or type(value).__qualname__
    function = inspect.unwrap(value)
    code = getattr(function, "__code__", None)
    if code is None:
        return function.__qualname__
    kept = [cell.cell_contents for cell in function.__closure__ or () if cell.cell_contents is not function]
    name = f"{function.__qualname__} {hashlib.sha256(_instructions(code)).hexdigest()[:8]}"
    return f"{name}({', '.join(map(describe, kept))})" if kept else name


def _instructions(code: CodeType) -> bytes:
    consts = [_instructions(it) if isinstance(it, CodeType) else repr(it).encode() for it in code.co_consts]
    return b"\n".join([code.co_code, repr(code.co_names).encode(), *consts])
