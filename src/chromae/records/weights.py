"""Weights worth keeping: small files that any model of the same shape reads, and that say how theirs is made."""

import contextlib
import difflib
import hashlib
import json
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize
from torch import Tensor, nn

from chromae import files, settings
from chromae.arguments.kinds import Device
from chromae.records import recipes

# The files that the run of a study saves, for its record: their names, and SHA-256 of the tensors in them.
saved: ContextVar[dict[str, str] | None] = ContextVar("saved", default=None)


def save(
    model: nn.Module,
    path: str | Path,
    made: partial | None = None,
    *,
    part: str = "",
    name: str = "",
    about: str = "",
) -> Path:
    """Write a model's weights in half precision, to a temporary name first; returns the path.

    A tensor that half precision does not hold stays in float32: a matrix or larger whose error would be above a
    thousandth of it as a whole, a vector or scalar any of whose numbers would be off by more.

    Args:
        made: the call that makes such a network, as `recipes.describe` reads it: `partial(photos.Residual, latent=64)`,
            for one. Then `pretrained` makes and loads it from the file alone.
        part: which module of that network `model` is, if not all of it, such as "network".
        name, about: under which name, besides the file's, `pretrained` finds it, and a line that `names` shows.

    Raises ValueError if a weight is NaN, and for a call of anything but a maker of this package.
    """
    path = Path(path)
    tensors = {name: _small(name, value.detach()).cpu().contiguous() for name, value in model.state_dict().items()}
    digest = _digest(tensors)
    header = {"sha256": digest}
    if made is not None:
        network = {"name": name, "about": about, "part": part} | recipes.describe(made)
        header |= {"network": json.dumps(network, ensure_ascii=False, allow_nan=False)}
        header |= {"network_sha256": files.digest(header["network"])}
    with files.replacing(path) as written:
        written.write_bytes(serialize(tensors, header))
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


def pretrained(name: str | Path, device: torch.device | Device = "cpu") -> nn.Module:
    """A published network by its name, one of `names()`, or what `save` wrote, by its path: made, loaded, in eval mode.

    `pretrained("digits_vae_20")`, `pretrained("mine.safetensors")`. A file runs no code: it can only call what
    `chromae.models` defines. torch's own random numbers go on as if nothing had been made.
    Raises ValueError for an unknown name, a file that does not say how its network is made, and one that is broken.
    """
    path = Path(name) if Path(name).suffix == ".safetensors" else _find(str(name))
    network = _network(path)
    if network is None:
        raise ValueError(f"{path} does not say how its network is made: make it, then `load` the weights")
    part = network.pop("part", "")
    recipe = {key: network.get(key) for key in ("call", "with")}
    try:
        with settings.random_state_kept(torch.device(device)), torch.device(device):
            model = recipes.make(recipe)
        inner = model.get_submodule(part)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} says of its network what cannot be made: {reason}") from error
    load(inner, path)
    return model.eval()


def names() -> dict[str, str]:
    """All published networks by their names, for `pretrained`, each with a line of what it is."""
    return {name: network["about"] for name, (_, network) in sorted(_published().items())}


def _published() -> dict[str, tuple[Path, dict]]:
    """Files and what they say of their networks, by the names that these have; broken files are none."""
    found = {}
    for path in sorted((settings.ROOT / "results" / "weights").glob("*.safetensors")):
        with contextlib.suppress(ValueError):
            if network := _network(path):
                found[network["name"] or path.stem] = path, network
    return found


def _find(name: str) -> Path:
    folder = settings.ROOT / "results" / "weights"
    path = folder / f"{name}.safetensors"
    if path in folder.glob("*.safetensors"):
        return path
    published = _published()
    if not published:
        raise ValueError(
            f"name is {name!r}, but no weights lie in {folder}: a clone of the repository holds them in "
            "results/weights, an installed package does not"
        )
    if name not in published:
        likely = difflib.get_close_matches(name, published, n=3, cutoff=0) or list(published)[:3]
        raise ValueError(f"name is {name!r}, expected one of weights.names(), such as {' or '.join(likely)}")
    return published[name][0]


def _network(path: Path) -> dict | None:
    """What a file says of its network; None if nothing. Raises ValueError if it is missing or broken."""
    try:
        with safe_open(settings.find(path), "pt") as file:
            header = file.metadata() or {}
        if "network" not in header:
            return None
        if header.get("network_sha256") != files.digest(header["network"]):
            raise RuntimeError("what it says of its network does not have the checksum that it says")
        network = json.loads(header["network"])
        if not isinstance(network, dict):
            raise RuntimeError(f"what it says of its network is a {type(network).__name__}, expected a call")
        return dict.fromkeys(("name", "about", "part"), "") | network
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} holds no network: {' '.join(str(error).split())}") from error


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
