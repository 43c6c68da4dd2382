"""Sentences about arguments: what came, what was expected, and what may be wrong with it."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import AbstractArray


def came(value: object) -> str:
    if is_array(value):
        kind = "array" if isinstance(value, np.ndarray) else "tensor"
        return f"a {kind} of {f'{value.dtype}'.removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list) and not all(isinstance(it, int | float | str) for it in value):
        kinds = [type(it).__name__ for it in value[:5]] + ["…"] * (len(value) > 5)
        return f"a {type(value).__name__} of {', '.join(kinds)}"
    return "None" if value is None else f"{type(value).__name__} {line(repr(value))}"


def line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) < 80 else text[:77] + "…"


def wanted(hint: object) -> str:
    if isinstance(hint, type):
        return hint.__name__ if issubclass(hint, AbstractArray) else hint.__qualname__
    modules = (
        r"\b(typing|collections\.abc|jaxtyping|pathlib|numpy|torch\._C|torch|nn\.modules\.module|beartype\.vale)\."
    )
    return re.sub(r"Annotated\[(\w+), Is\[_?(\w+)\]\]", _in_words, re.sub(modules, "", f"{hint}"))


def _in_words(kind: re.Match) -> str:
    return f"{kind[1]} {kind[2].replace('_', ' ')}"


def is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def shapes(given: dict, but: str = "") -> str:
    shapes = [f"{name} has shape {tuple(it.shape)}" for name, it in given.items() if name != but and is_array(it)]
    return f" ({', '.join(shapes)})" if shapes else ""


def apart(given: dict, error: Exception) -> str | None:
    """Which arguments are on another device, or of another precision, than the first of them, if that was the error."""
    said = f"{error}".lower()
    if "memory" in said or not re.search(r"dtype|device|same type|scalar type|meta|double|float|half", said):
        return None
    found = dict(pair for argument, value in given.items() for pair in _tensors(argument, value))
    for argument, one in found.items():
        first, other = next(iter(found.items()))
        if one.device != other.device:
            return f"{argument} is on {one.device}, expected the device of {first}, {other.device}"
        if one.device.type == "meta":
            return f"{argument} is on meta, expected a device that holds numbers"
    floats = {argument: one for argument, one in found.items() if one.is_floating_point()}
    for argument, one in floats.items():
        first, other = next(iter(floats.items()))
        if one.dtype != other.dtype:
            return f"{argument} is of {one.dtype}, expected that of {first}, {other.dtype}".replace("torch.", "")
    return None


def _tensors(name: str, value: object) -> Iterator[tuple[str, Any]]:
    """The tensors in an argument, by name; of a model, one of its parameters."""
    if hasattr(value, "parameters"):
        value = next(value.parameters(), None)
    if isinstance(value, tuple | list | dict):
        fields = getattr(value, "_fields", None)
        names = (
            [f".{it}" for it in fields]
            if fields
            else [f"[{it!r}]" for it in (value if isinstance(value, dict) else range(len(value)))]
        )
        for place, one in zip(names, value.values() if isinstance(value, dict) else value, strict=True):
            yield from _tensors(name + place, one)
    elif is_array(value) and not isinstance(value, np.ndarray):
        yield name, value


def unread(given: dict, error: Exception) -> str | None:
    """What a method of a model was to read, and why torch could not."""
    inputs = [f"{key} has shape {tuple(it.shape)}" for key, it in given.items() if is_array(it)]
    ours = isinstance(error, TypeError) or "memory" in f"{error}"
    if ours or not (hasattr(given.get("self"), "parameters") and inputs):
        return None
    return f"{' and '.join(inputs)}, which this {type(given['self']).__name__} cannot read ({line(f'{error}')})"
