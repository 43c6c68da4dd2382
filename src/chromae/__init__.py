"""Chromae: a small lab for colour and representation learning. Start with notebooks/01_color_autoencoder.ipynb.

Every function of the package checks its arguments when it is called: their types and shapes are those of its
signature. CHROMAE_CHECK=off leaves that out; `training.fit` checks its first step and leaves the others alone.
"""

import collections.abc
import contextlib
import functools
import importlib.abc
import importlib.machinery
import inspect
import itertools
import os
import re
import sys
import threading
import types
import typing
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from beartype import BeartypeConf
from beartype.door import is_bearable
from jaxtyping import AbstractArray, jaxtyped

__version__ = "0.1.0"

_ON = os.environ.get("CHROMAE_CHECK") != "off"
_paused = 0 if _ON else 1  # how many blocks, in all threads, want no checks at the moment
_lock = threading.Lock()
_INTS_ARE_FLOATS = BeartypeConf(is_pep484_tower=True)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """No signature is checked inside the block: for loops that call the same functions in the same way."""
    global _paused
    with _lock:
        _paused += 1
    try:
        yield
    finally:
        with _lock:
            _paused -= 1


def bare(function: Callable) -> Callable:
    """A function of this package without its check; another function as it is."""
    while getattr(function, "__code__", None) is _CHECKED:
        function = function.__wrapped__
    return function


def checked(function: Callable) -> Callable:
    """The same function, but a call that does not fit its signature is one sentence: what came, what was expected.

    Raises ValueError for an array of another shape or dtype, TypeError for something else altogether.
    """
    signature = inspect.signature(function)
    returns = not inspect.isgeneratorfunction(inspect.unwrap(function))
    name = f"{function.__module__.removeprefix('chromae.')}.{function.__qualname__}"
    hints: dict[str, object] = {}

    @functools.wraps(function)
    def call(*args, **kwargs):
        if _paused or _compiling():
            return function(*args, **kwargs)
        if not hints:  # on the first call, when all that they name is defined
            hints.update(typing.get_type_hints(function, include_extras=True) | {"": None})
        args = tuple(_plain(it) for it in args)
        kwargs = {key: _plain(it) for key, it in kwargs.items()}
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        with jaxtyped("context"):  # in which n is the same n everywhere
            for argument, value in given.items():
                if argument in hints:
                    for place, one in _each(value, signature.parameters[argument].kind):
                        _check(name, argument + place, one, hints[argument], given)
            try:
                result = function(*args, **kwargs)
            except (RuntimeError, IndexError, TypeError) as error:  # torch does not say whose tensors do not fit
                theirs = any(callable(it) and not hasattr(it, "parameters") for it in given.values())
                theirs = theirs and "meta" not in f"{error}"  # else the error is that of what it was given to call
                inside = function.__name__.startswith("_") or theirs
                reason = None if inside else _apart(given, error) or _unread(given, error)
                if reason is None:
                    raise
                raise ValueError(f"{name}: {reason}") from error
            if returns and "return" in hints and not _fits(result, hints["return"]):
                wanted = f"its signature says {_wanted(hints['return'])}"
                raise TypeError(f"{name} returned {_came(result)}, {wanted}{_shapes(given)}")
        return result

    return call


def _each(value: object, kind: object) -> Iterator[tuple[str, object]]:
    """The values that one annotation speaks of: several for *arguments and **arguments."""
    match kind:
        case inspect.Parameter.VAR_POSITIONAL:
            yield from ((f"[{index}]", one) for index, one in enumerate(value))
        case inspect.Parameter.VAR_KEYWORD:
            yield from ((f"[{key!r}]", one) for key, one in value.items())
        case _:
            yield "", value


def _check(name: str, argument: str, value: object, hint: object, given: dict) -> None:
    if not _fits(value, hint):
        sentence = f"{name}: {argument} is {_came(value)}, expected {_wanted(hint)}"
        if not _is_array(value):
            kinds = [one for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is typing.Annotated]
            out_of_range = any(one.__origin__ in (int, float, str) and _fits(value, one.__origin__) for one in kinds)
            raise (ValueError if out_of_range else TypeError)(sentence)
        raise ValueError(sentence + _shapes(given, argument))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        for place, one in enumerate(value[:100]):
            if hasattr(one, "_fields"):
                _check(name, f"{argument}[{place}]", one, type(one), given)
    elif isinstance(value, tuple):
        for field, part in typing.get_type_hints(type(value), include_extras=True).items():
            _check(name, f"{argument}.{field}", getattr(value, field), part, given)


def _shapes(given: dict, but: str = "") -> str:
    shapes = [f"{name} has shape {tuple(it.shape)}" for name, it in given.items() if name != but and _is_array(it)]
    return f" ({', '.join(shapes)})" if shapes else ""


def _plain(value: object) -> object:
    """NumPy's numbers are as good as Python's, and become them."""
    if type(value) in (list, tuple) and any(isinstance(it, np.generic) for it in value[:100]):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _fits(value: object, hint: object) -> bool:
    """As `is_bearable`, which looks at one item of a collection, at random; this looks at the first hundred.

    A word is no sequence of words, and True is no number.
    """
    kind, of = typing.get_origin(hint), typing.get_args(hint)
    value = _plain(value)
    if kind in (types.UnionType, typing.Union):
        return any(_fits(value, one) for one in of)
    if isinstance(value, bool) and (hint in (int, float) or kind is typing.Annotated):
        return False
    if kind is tuple and of[-1:] != (...,):
        return isinstance(value, tuple) and len(value) == len(of) and all(map(_fits, value, of))
    if kind in (tuple, list, collections.abc.Sequence):
        many = isinstance(value, kind) and not isinstance(value, str | bytes)
        return many and all(_fits(one, of[0]) for one in value[:100])
    if kind in (dict, collections.abc.Mapping):
        some = isinstance(value, kind) and list(itertools.islice(value.items(), 100))
        return some is not False and all(_fits(key, of[0]) and _fits(one, of[1]) for key, one in some)
    if kind is collections.abc.Callable and of and isinstance(of[0], list):
        return callable(value) and takes(value, len(of[0]))
    return is_bearable(value, hint, conf=_INTS_ARE_FLOATS)


def takes(function: Callable, count: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # one of C says nothing of its arguments
        pass
    return True


def gave(what: str, value: Any, hint: object) -> Any:
    """What a caller's own model or function gave, if it fits; its n is that of the signature of who asks.

    Raises ValueError, which says `what` gave it, if it does not.
    """
    if not _paused and not _compiling() and not _fits(value, hint):
        raise ValueError(f"{what} gave {_came(value)}, expected {_wanted(hint)}")
    return value


def _apart(given: dict, error: Exception) -> str | None:
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
    elif _is_array(value) and not isinstance(value, np.ndarray):
        yield name, value


def _unread(given: dict, error: Exception) -> str | None:
    """What a method of a model was to read, and why torch could not."""
    inputs = [f"{key} has shape {tuple(it.shape)}" for key, it in given.items() if _is_array(it)]
    ours = isinstance(error, TypeError) or "memory" in f"{error}"
    if ours or not (hasattr(given.get("self"), "parameters") and inputs):
        return None
    return f"{' and '.join(inputs)}, which this {type(given['self']).__name__} cannot read ({_line(f'{error}')})"


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _compiling() -> bool:
    torch = sys.modules.get("torch")  # which takes seconds to import, and films need none
    return torch is not None and torch.compiler.is_compiling()


def _came(value: object) -> str:
    if _is_array(value):
        kind = "array" if isinstance(value, np.ndarray) else "tensor"
        return f"a {kind} of {f'{value.dtype}'.removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list) and not all(isinstance(it, int | float | str) for it in value):
        kinds = [type(it).__name__ for it in value[:5]] + ["…"] * (len(value) > 5)
        return f"a {type(value).__name__} of {', '.join(kinds)}"
    return "None" if value is None else f"{type(value).__name__} {_line(repr(value))}"


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) < 80 else text[:77] + "…"


def _wanted(hint: object) -> str:
    if isinstance(hint, type):
        return hint.__name__ if issubclass(hint, AbstractArray) else hint.__qualname__
    modules = (
        r"\b(typing|collections\.abc|jaxtyping|pathlib|numpy|torch\._C|torch|nn\.modules\.module|beartype\.vale)\."
    )
    return re.sub(r"Annotated\[(\w+), Is\[_?(\w+)\]\]", _in_words, re.sub(modules, "", f"{hint}"))


def _in_words(kind: re.Match) -> str:
    return f"{kind[1]} {kind[2].replace('_', ' ')}"


def _check_all(module: ModuleType) -> None:
    """Every function that a module defines, and every method of its classes, from now on `checked`."""
    classes = [it for it in vars(module).values() if inspect.isclass(it) and it.__module__ == module.__name__]
    for owner in (module, *classes):
        for name, it in list(vars(owner).items()):
            if inspect.isfunction(it) and it.__module__ == module.__name__:
                setattr(owner, name, checked(it))


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        self.source = self.get_data(self.path)  # before it runs, so that an edit in between is one
        super().exec_module(module)
        if _ON:
            _check_all(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name.startswith(f"{__name__}.") else None
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(name, spec.origin)
        return spec


_CHECKED = next(it for it in checked.__code__.co_consts if inspect.iscode(it) and it.co_name == "call")

sys.meta_path.insert(0, _Finder())
__spec__.loader.source = __spec__.loader.get_data(__file__)  # for `fingerprint`, as that of the other modules
