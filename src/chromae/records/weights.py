"""Weights worth keeping: small files that any model of the same shape reads."""

import hashlib
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize
from torch import Tensor, nn

from chromae import files, settings

# The files that the run of a study saves, for its record: their names, and SHA-256 of the tensors in them.
saved: ContextVar[dict[str, str] | None] = ContextVar("saved", default=None)


def save(model: nn.Module, path: str | Path) -> Path:
    """Write a model's weights in half precision, to a temporary name first; returns the path.

    A tensor that half precision does not hold stays in float32: a matrix or larger whose error would be above a
    thousandth of it as a whole, a vector or scalar any of whose numbers would be off by more.
    Raises ValueError if a weight is NaN.
    """
    path = Path(path)
    tensors = {name: _small(name, value.detach()).cpu().contiguous() for name, value in model.state_dict().items()}
    digest = _digest(tensors)
    with files.replacing(path) as part:
        part.write_bytes(serialize(tensors, {"sha256": digest}))
    if saved.get() is not None:
        saved.get()[path.name] = digest
    return path


def load(model: nn.Module, path: str | Path) -> nn.Module:
    """Give `model` the weights of a file, as float32, and return it in eval mode.

    The file may be that of `path`, or what is published in its stead (`settings.find`). Raises ValueError if it is
    missing, broken or of a model with other parameters.
    """
    try:
        with safe_open(settings.find(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it has no iterator
            digest = (file.metadata() or {}).get("sha256")
        if digest not in (None, _digest(tensors)):
            raise RuntimeError("its tensors do not have the checksum that it says, so it is broken: make it anew")
        model.load_state_dict({key: it.float() if it.is_floating_point() else it for key, it in tensors.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} does not hold weights of this {type(model).__name__}: {reason}") from error
    return model.eval()


def adopt(name: str, digest: str) -> None:
    """Publish the weights of this name that a run by hand left, if SHA-256 of their tensors is `digest`.

    Raises FileNotFoundError if it left none, and ValueError if what lies there is broken or of another run.
    """
    left, path = (settings.of_preset(settings.ROOT / top / "weights") / name for top in ("build", "results"))
    data = left.read_bytes()  # once, for a run that goes on may replace the file between a look and a copy
    try:
        found = _digest(deserialize(data))
    except SafetensorError as error:
        raise ValueError(f"name is {name!r}, expected that of whole weights: {left} is broken ({error})") from error
    if found != digest:
        raise ValueError(f"digest is {digest!r}, expected that of the tensors in {left}, {found}")
    with files.replacing(path) as part:
        part.write_bytes(data)


def _small(name: str, value: Tensor) -> Tensor:
    """The same tensor in half precision, or in float32 if half precision loses more of it than it may."""
    if not value.is_floating_point():
        return value.clone()  # batch norms count their batches in integers
    if value.isnan().any():
        raise ValueError(f"{name} of model is NaN, expected numbers: weights that are worth keeping")
    half, value = value.half(), value.float()
    lost, size = (half.float() - value).abs(), value.abs()
    if value.ndim > 1:  # in which small numbers beside large ones weigh little
        lost, size = lost.norm(), size.norm()
    return half if (lost <= 1e-3 * size).all() else value.clone()


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
