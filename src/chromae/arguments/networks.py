"""Kinds of models that functions ask for, by what they can do: those of a reader as well as ours."""

from typing import Annotated

from beartype.vale import Is
from torch import nn


def _with_encode(model: nn.Module) -> bool:
    return hasattr(model, "encode")


def _with_decode(model: nn.Module) -> bool:
    return hasattr(model, "decode")


def _with_encode_and_decode(model: nn.Module) -> bool:
    return hasattr(model, "encode") and hasattr(model, "decode")


def _with_posterior_and_decode(model: nn.Module) -> bool:
    return hasattr(model, "posterior") and hasattr(model, "decode")


def _with_relaxed_and_logits(model: nn.Module) -> bool:
    return hasattr(model, "relaxed") and hasattr(model, "logits")


Encoder = Annotated[nn.Module, Is[_with_encode]]
Decoder = Annotated[nn.Module, Is[_with_decode]]
Coder = Annotated[nn.Module, Is[_with_encode_and_decode]]
Variational = Annotated[nn.Module, Is[_with_posterior_and_decode]]
Picture = Annotated[nn.Module, Is[_with_relaxed_and_logits]]
