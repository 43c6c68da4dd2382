"""How a network is made, as JSON: a call of a maker of this package, whose arguments may be such calls themselves."""

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

# Makers outside of `models`: the trained network that models of colour look through.
OTHERS = ("excitation.feature_extractor",)


def describe(made: partial) -> dict:
    """What `make` reads, for the call that a partial stands for.

    `partial(vae.VAE, partial(dense.encoder, [1, 28, 28], [100], 4), …)` becomes {"call": "models.vae.VAE", "with":
    {"encoder": {"call": "models.dense.encoder", "with": …}, …}}: a partial among the arguments is a call, too, and its
    result is the argument. Other arguments are numbers, words, None, lists of them, float32 tensors, and functions or
    classes by their names ({"name": "torch.nn.SiLU"}). Raises ValueError for others, and for makers outside of
    `chromae.models`.
    """
    return _described(made)


def _described(value: object) -> object:
    if isinstance(value, partial):
        name = _name(value.func)
        try:
            given = inspect.signature(value.func).bind(*value.args, **value.keywords).arguments
        except TypeError as error:
            raise ValueError(f"made calls {name} with other arguments than it has: {error}") from None
        _find(name, called=True)
        return {"call": name, "with": {key: _described(it) for key, it in given.items()}}
    if isinstance(value, Tensor) and value.dtype == torch.float32 and value.ndim and value.numel():
        return {"tensor": value.tolist()}
    if isinstance(value, list | tuple):
        return [_described(it) for it in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if inspect.isfunction(value) or inspect.isclass(value):
        _find(_name(value), called=False)
        return {"name": _name(value)}
    raise ValueError(f"made holds a {type(value).__name__}, expected numbers, words, float32 tensors or partials")


def make(recipe: dict) -> nn.Module:
    """The network that a recipe of `describe` makes, with fresh weights.

    Only what `chromae.models` defines is called, and the one maker of feature extractors: a recipe runs no other code.
    Raises ValueError for anything else, and for what makes no network.
    """
    made = _made(recipe)
    if not isinstance(made, nn.Module):
        raise ValueError(f"recipe makes a {type(made).__name__}, expected a network")
    return made


def _made(recipe: object) -> object:
    match recipe:
        case {"call": str(name), "with": dict(given), **rest} if not rest:
            return _find(name, called=True)(**{key: _made(it) for key, it in given.items()})
        case {"name": str(name), **rest} if not rest:
            return _find(name, called=False)
        case {"tensor": list(values), **rest} if not rest:
            return torch.tensor(values, dtype=torch.float32)
        case list():
            return [_made(it) for it in recipe]
        case None | str() | int() | float():
            return recipe
    raise ValueError(f"recipe holds {str(recipe)[:60]}, expected a call, a name, a tensor, a list, a number or a word")


def _name(maker: Callable) -> str:
    """Where a maker is found: "models.vae.VAE", "torch.nn.SiLU"."""
    if inspect.isclass(maker) and getattr(nn, maker.__name__, None) is maker:
        return f"torch.nn.{maker.__name__}"
    return f"{getattr(maker, '__module__', '')}.{getattr(maker, '__qualname__', maker)}".removeprefix("chromae.")


def _find(name: str, called: bool) -> Callable:
    """The function or class of this name, if a recipe may call it; or may pass it on, as it may a layer of torch's."""
    if not called and (layer := re.fullmatch(r"torch\.nn\.([A-Z]\w*)", name)):
        found = getattr(nn, layer[1], None)
        if inspect.isclass(found) and issubclass(found, nn.Module):
            return found
    elif re.fullmatch(r"models\.[a-z]\w*\.[A-Za-z]\w*", name) or name in OTHERS:
        module, _, own = f"chromae.{name}".rpartition(".")
        if importlib.util.find_spec(module) is not None:
            found = getattr(importlib.import_module(module), own, None)
            if callable(found) and getattr(found, "__module__", None) == module:  # no module that it imports, either
                return found
    raise ValueError(f"recipe names {name[:60]}, expected what chromae.models defines")
