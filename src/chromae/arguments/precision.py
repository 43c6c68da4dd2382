"""What keeps digits and time: float32 under mixed precision, constants that stay on their device."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from jaxtyping import Float, Real
from torch import Tensor

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

HALVES = (torch.bfloat16, torch.float16)


def full(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half-precision numbers as float32; others, float64 among them, as they are."""
    return values.float() if values.dtype in HALVES else values


def check_finite(**arguments: Float[Tensor, "*_shape"]) -> None:
    """Raises ValueError, by its name, for an argument with nan or infinite values. It waits for the device."""
    for name, values in arguments.items():
        if not values.isfinite().all():
            raise ValueError(f"{name} holds nan or infinite values, expected numbers")


def check_some(**arguments: Real[Tensor, "*_shape"]) -> None:
    """Raises ValueError, by its name, for an argument without any numbers."""
    for name, values in arguments.items():
        if values.numel() == 0:
            raise ValueError(f"{name} has shape {tuple(values.shape)}, expected one number or more")


def in_float32(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A function of tensors that computes in float32 whatever mixed precision hands over, and in float64 if given it.

    Autocast would round matrix products to bfloat16's eight binary digits, on a CPU much else, too: too few for
    colours, sums over pixels and logarithms. Without autocast and half-precision arguments nothing changes.
    """

    @functools.wraps(function)
    def precise(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        device = None
        for value in (*arguments, *named.values()):
            if isinstance(value, Tensor):
                device = device or value.device.type
                if value.dtype in HALVES:
                    arguments, named = _full(arguments), dict(zip(named, _full(named.values()), strict=True))
                    break
        # To leave autocast takes longer than a small loss does.
        if device in (None, "meta") or not torch.is_autocast_enabled(device):
            return function(*arguments, **named)
        with torch.autocast(device, enabled=False):
            return function(*arguments, **named)

    return precise


def _full(values):
    return tuple(full(value) if isinstance(value, Tensor) else value for value in values)


def constant(
    values: tuple[float, ...] | tuple[tuple[float, ...], ...], like: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Numbers, in nested tuples, as a tensor on the device of `like` and, unless told, of its dtype.

    It is made once: to bring numbers to an accelerator each time would wait for it. Not to be changed in place.
    """
    key = (values, dtype or like.dtype, like.device, getattr(like, "fake_mode", None))  # a tracer's have its own
    if key not in _made:
        with torch.inference_mode(False):  # what is made there cannot be learnt with
            tensor = torch.tensor(values, dtype=key[1], device=like.device)
        if torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return tensor  # part of a graph, or of a transform such as `torch.func.grad` that will be over
        _made[key] = tensor
    return _made[key]


_made: dict[tuple, Tensor] = {}
