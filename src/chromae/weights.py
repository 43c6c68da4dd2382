"""Weights worth keeping: small files that any model of the same shape reads."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from chromae import files


def save(model: nn.Module, path: Path) -> Path:
    """Write a model's weights in half precision, to a temporary name first; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as part:
        save_file(
            {name: _to(value, torch.float16).cpu().contiguous() for name, value in model.state_dict().items()}, part
        )
    return path


def load(model: nn.Module, path: Path) -> nn.Module:
    """Give `model` the weights of a file, as float32, and return it in eval mode.

    Raises ValueError if the file is missing, broken or of a model with other parameters.
    """
    try:
        saved = {name: _to(value, torch.float32) for name, value in load_file(path).items()}
        model.load_state_dict(saved)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} does not hold weights of this {type(model).__name__}: {reason}") from error
    return model.eval()


def _to(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return value.to(dtype) if value.is_floating_point() else value  # batch norms count their batches in integers
