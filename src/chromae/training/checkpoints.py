"""All that a training run needs to go on where it stopped."""

import ast
import contextlib
import functools
import hashlib
import inspect
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from chromae import files
from chromae.arguments import bare


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
            longer = name == "epochs" and self.recipe.get("schedule") == "None" and value >= saved["epoch"]
            if saved["recipe"].get(name) != value and not longer:
                raise ValueError(
                    f"{name} is {value}, but the checkpoint {path} was made with {saved['recipe'].get(name)}: "
                    "repeat its arguments, or remove the file to start anew"
                )
        shapes = [
            {name: (value.shape, value.dtype) for name, value in state.items()}
            for state in (saved["model"], self.model.state_dict())
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


def describe(value: object, seen: frozenset[int] = frozenset()) -> str:
    """What a recipe says of an argument: two that describe alike train alike, as far as can be told without running.

    A function is its name, a digest of its source, its defaults, and what it was made with: the arguments of a
    partial, the values that a closure holds, the object of a method. An object is its class and its plain values, a
    tensor its shape, its type and a digest of up to 64 of its examples. Lists, which may be filled on the way, and
    what is in `seen`, described already, are their type.
    """
    inner = functools.partial(describe, seen=seen | {id(value)})
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, Tensor):
        some = value[:: max(1, len(value) // 64)] if value.ndim else value
        return f"{value.dtype} {tuple(value.shape)} {digest([some])[:8]}"
    if id(value) in seen or isinstance(value, list | type | nn.Module):
        return value.__qualname__ if isinstance(value, type) else type(value).__qualname__
    if isinstance(value, tuple):
        return f"({', '.join(map(inner, value))})"
    if isinstance(value, functools.partial):
        given = [*map(inner, value.args), *(f"{key}={inner(it)}" for key, it in sorted(value.keywords.items()))]
        return f"{inner(value.func)}({', '.join(given)})"
    if inspect.isroutine(value):
        return _describe_function(bare(value), inner)
    plain = {key: it for key, it in getattr(value, "__dict__", {}).items() if isinstance(it, bool | int | float | str)}
    return f"{type(value).__qualname__}({', '.join(f'{key}={it!r}' for key, it in sorted(plain.items()))})"


def _describe_function(function: Callable, inner: Callable[[object], str]) -> str:
    kept = [inner(function.__self__)] if inspect.ismethod(function) else []
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # it may have no value yet
            kept.append(inner(cell.cell_contents))
    defaults = (getattr(function, "__defaults__", None) or (), getattr(function, "__kwdefaults__", None) or {})
    kept += [*map(inner, defaults[0]), *(f"{key}={inner(it)}" for key, it in sorted(defaults[1].items()))]
    name = f"{function.__qualname__} {hashlib.sha256(_text(function).encode()).hexdigest()[:8]}"
    return f"{name}({', '.join(kept)})" if kept else name


def _text(function: Callable) -> str:
    """What a function's source says, but for its docstring and layout; without one of its own, its instructions."""
    code = getattr(function, "__code__", None)
    if code is not None and code.co_name == "<lambda>":  # several may share a line
        return (
            f"{code.co_code.hex()} {code.co_names} {[it for it in code.co_consts if isinstance(it, float | int | str)]}"
        )
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return getattr(code, "co_code", b"").hex()
    body = getattr(tree.body[0], "body", None)
    if isinstance(body, list) and ast.get_docstring(tree.body[0]) is not None:
        del body[0]
    return ast.dump(tree)
