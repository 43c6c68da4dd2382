"""What a file of the package holds, read as its reader would and told in one short string: whole, or an error."""

import hashlib
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load

TIMES = ("seconds", "code", "checksum")  # parts of a record that two runs need not share


def content(path: Path) -> str:
    """A digest of what the file says, whatever the bytes that say it. Raises if it is not whole."""
    data = path.read_bytes()
    read = {
        ".json": _json, ".pt": _checkpoint, ".safetensors": _safetensors, ".png": _png, ".npz": _npz, ".svg": _svg,
        ".mp4": _mp4, ".md": _readme,
    }.get(path.suffix, _text)  # fmt: skip
    digest = hashlib.sha256()
    _add(digest, read(data))
    return digest.hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """The content of every file below a folder, by its name there."""
    return {str(path.relative_to(folder)): content(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def litter(folder: Path) -> list[str]:
    """What a killed writer might leave: hidden names and parts. A lock that nobody holds is none."""
    found = [path for path in folder.rglob("*") if path.name.startswith(".") or ".part" in path.name]
    return sorted(str(path.relative_to(folder)) for path in found if not path.name.endswith(".lock"))


def _add(digest, value: object) -> None:
    if isinstance(value, dict):
        for name in sorted(value, key=str):
            if name not in TIMES:
                digest.update(f"{name}:".encode())
                _add(digest, value[name])
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)}[".encode())
        for one in value:
            _add(digest, one)
    elif isinstance(value, torch.Tensor):
        _add(digest, value.contiguous().numpy())
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    else:
        digest.update(value if isinstance(value, bytes) else repr(value).encode())


def _json(data: bytes) -> object:
    return json.loads(data)


def _checkpoint(data: bytes) -> object:
    saved = torch.load(io.BytesIO(data), weights_only=True)
    return {name: saved[name] for name in ("recipe", "epoch", "history", "model", "optimizer")}


def _safetensors(data: bytes) -> object:
    return load(data)


def _png(data: bytes) -> object:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _npz(data: bytes) -> object:
    with np.load(io.BytesIO(data)) as file:
        return {name: file[name] for name in file.files}


def _svg(data: bytes) -> object:
    return ElementTree.tostring(ElementTree.fromstring(data))


def _mp4(data: bytes) -> object:
    """A film's atoms follow each other to its very end, and the index is one of them."""
    names, start = [], 0
    while start < len(data):
        names.append(data[start + 4 : start + 8])
        start += int.from_bytes(data[start : start + 4], "big") or len(data) + 1
    assert start == len(data), f"the film ends at {len(data)}, its atoms at {start}"
    assert {b"moov", b"mdat"} <= set(names), f"the film has only {names}"
    return data


def _readme(data: bytes) -> object:
    assert data.endswith(b"The end.\n"), f"README ends with {data[-20:]}"
    return data


def _text(data: bytes) -> object:
    assert data, "the file is empty"
    return data
