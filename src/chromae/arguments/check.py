"""Every function of the package checks its arguments when it is called: types and shapes are those of its signature."""

import collections.abc
import contextlib
import functools
import importlib.abc
import importlib.machinery
import inspect
import itertools
import os
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
from jaxtyping import jaxtyped

from chromae.arguments.sentences import apart, came, is_array, shapes, unread, wanted

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
            raise TypeError(f"{_name(function)}: {error}") from None
        with jaxtyped("context"):  # in which n is the same n everywhere
            for argument, value in given.items():
                if argument in hints:
                    for place, one in _each(value, signature.parameters[argument].kind):
                        _check(function, argument + place, one, hints[argument], given)
            try:
                result = function(*args, **kwargs)
            except (RuntimeError, IndexError, TypeError) as error:  # torch does not say whose tensors do not fit
                theirs = any(callable(it) and not hasattr(it, "parameters") for it in given.values())
                theirs = theirs and "meta" not in f"{error}"  # else the error is that of what it was given to call
                inside = function.__name__.startswith("_") or theirs
                reason = None if inside else apart(given, error) or unread(given, error)
                if reason is None:
                    raise
                raise ValueError(f"{_name(function)}: {reason}") from error
            if returns and "return" in hints and not _fits(result, hints["return"]):
                says = f"its signature says {wanted(hints['return'])}"
                raise TypeError(f"{_name(function)} returned {came(result)}, {says}{shapes(given)}")
        return result

    return call


def _name(function: Callable) -> str:
    """Where a caller finds a function: "datasets.pairs.crop", or where a folder hands it out: "training.fit"."""
    module, name = function.__module__, function.__qualname__
    folder = module.rpartition(".")[0]
    handed_out = name.partition(".")[0] in getattr(sys.modules.get(folder), "__all__", ())
    return f"{folder if handed_out else module}.{name}".removeprefix("chromae.")


def _each(value: object, kind: object) -> Iterator[tuple[str, object]]:
    """The values that one annotation speaks of: several for *arguments and **arguments."""
    match kind:
        case inspect.Parameter.VAR_POSITIONAL:
            yield from ((f"[{index}]", one) for index, one in enumerate(value))
        case inspect.Parameter.VAR_KEYWORD:
            yield from ((f"[{key!r}]", one) for key, one in value.items())
        case _:
            yield "", value


def _check(function: Callable, argument: str, value: object, hint: object, given: dict) -> None:
    if not _fits(value, hint):
        sentence = f"{_name(function)}: {argument} is {came(value)}, expected {wanted(hint)}"
        if not is_array(value):
            kinds = [one for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is typing.Annotated]
            out_of_range = any(one.__origin__ in (int, float, str) and _fits(value, one.__origin__) for one in kinds)
            raise (ValueError if out_of_range else TypeError)(sentence)
        raise ValueError(sentence + shapes(given, argument))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        for place, one in enumerate(value[:100]):
            if hasattr(one, "_fields"):
                _check(function, f"{argument}[{place}]", one, type(one), given)
    elif isinstance(value, tuple):
        for field, part in typing.get_type_hints(type(value), include_extras=True).items():
            _check(function, f"{argument}.{field}", getattr(value, field), part, given)


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
        raise ValueError(f"{what} gave {came(value)}, expected {wanted(hint)}")
    return value


def _compiling() -> bool:
    torch = sys.modules.get("torch")  # which takes seconds to import, and films need none
    return torch is not None and torch.compiler.is_compiling()


def _check_all(module: ModuleType) -> None:
    """Every function that a module defines, and every method of its classes, from now on `checked`."""
    classes = [it for it in vars(module).values() if inspect.isclass(it) and it.__module__ == module.__name__]
    for owner in (module, *classes):
        for name, it in list(vars(owner).items()):
            if inspect.isfunction(it) and it.__module__ == module.__name__:
                setattr(owner, name, checked(it))


def keep_source(module: ModuleType) -> None:
    """Note what a module's file says as it is imported, so that `fingerprint` sees an edit after that."""
    module.__spec__.loader.source = module.__spec__.loader.get_data(module.__file__)


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with all its functions `checked`."""

    def exec_module(self, module: ModuleType) -> None:
        keep_source(module)  # before it runs, so that an edit in between is one
        super().exec_module(module)
        if _ON:
            _check_all(module)


class Finder(importlib.abc.MetaPathFinder):
    """Has the modules of a package loaded by `Loader`."""

    def __init__(self, package: str):
        self.prefix = f"{package}."

    def find_spec(self, name, path, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name.startswith(self.prefix) else None
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(name, spec.origin)
        return spec


_CHECKED = next(it for it in checked.__code__.co_consts if inspect.iscode(it) and it.co_name == "call")
