"""Data as tensors on a device. A made data set is a function `sample(n, generator) -> batch` without end."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor
from tqdm import tqdm

from chromae.arguments import gave
from chromae.arguments.kinds import Count, Device, Natural, Seed
from chromae.datasets import augment, downloads, own, pairs
from chromae.datasets.rows import Batch, Sample, length, take
from chromae.datasets.sprites import Factors, draw, draw_bytes, factors

Make = Callable[[int, Generator], Factors]

# CIFAR-10's classes.
PHOTOS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Labelled(NamedTuple):
    """Images of 8 bits and their classes, on one device."""

    images: UInt8[Tensor, "n channels height width"]
    labels: Int[Tensor, " n"]


class Drawn(NamedTuple):
    """Images of 8 bits and the true factors they were drawn from, on one device."""

    images: UInt8[Tensor, "n 3 size size"]
    factors: Factors


def colors(n: Natural, generator: Generator) -> Float[Tensor, "n 3"]:
    """n colours drawn uniformly from the RGB cube, in [0, 1], on the generator's device."""
    return torch.rand(n, 3, generator=generator, device=generator.device)


def color_triplets(n: Natural, generator: Generator, nudge: float = 0.005) -> Float[Tensor, "n 3 3"]:
    """n triplets (anchor, positive, negative) of RGB colours in [0, 1].

    The anchor is uniform; the positive lies at most `nudge` from it in every channel, clipped to the cube; the
    negative is uniform among the colours farther from the anchor than `nudge`.
    Raises ValueError for a nudge outside [0, 0.4], beyond which some anchors have no room for both.
    """
    if not 0 <= nudge <= 0.4:
        raise ValueError(f"nudge is {nudge}, expected a distance in [0, 0.4]")
    anchor, negative, uniform = colors(3 * n, generator).view(3, n, 3)
    positive = (anchor + nudge * (2 * uniform - 1)).clamp(0, 1)
    # A negative that fell too near (one in a million) moves half the cube away, around its edges.
    near = (negative - anchor).norm(dim=1, keepdim=True) <= nudge
    negative = torch.where(near, (negative + 0.5) % 1, negative)
    return torch.stack([anchor, positive, negative], dim=1)


def digits(device: torch.device | Device = "cpu") -> tuple[Labelled, Labelled]:
    """MNIST: 60,000 training and 10,000 test images of 1 × 28 × 28 (LeCun et al. 1998). Fetched on first use.

    Raises ConnectionError, saying what to do, if it has to be fetched and no source can be reached.
    """
    arrays = downloads.load("mnist")
    return tuple(_labelled(arrays, split, device) for split in ("train", "test"))


def photos(device: torch.device | Device = "cpu", seed: Seed = 0) -> tuple[Labelled, Labelled, Labelled]:
    """CIFAR-10 as 43,750 training, 6,250 validation and 10,000 test images of 3 × 32 × 32 (Krizhevsky 2009).

    The 50,000 training images are shuffled by `seed` and one in eight is held out; the test set is the official one.
    Raises ConnectionError as `digits` does.
    """
    arrays = downloads.load("cifar10")
    train, test = (_labelled(arrays, split, device) for split in ("train", "test"))
    order = torch.randperm(len(train.labels), generator=Generator().manual_seed(seed)).to(device)
    held_out, kept = order.tensor_split([len(order) // 8])
    return Labelled(*(x[kept] for x in train)), Labelled(*(x[held_out] for x in train)), test


def folder(path: str | Path, size: Count = 128, device: torch.device | Device = "cpu") -> Labelled:
    """Your own pictures: all of a folder, their middle squares scaled to 3 × size × size, and a class for each.

    Every sub-folder is a class, numbered in the order of their names, even if it is empty, with the pictures in it at
    any depth, as torchvision's ImageFolder has them; then pictures beside the sub-folders are left out. Without any,
    all are of class 0. Hidden files do not count. A line says how many files could not be read, and which is the first.

    >>> photos = datasets.folder("photos/", size=64)
    >>> training.fit(model, photos.images, losses.reconstruction, epochs=10)

    Raises ValueError if there is no such folder, or no picture in it.
    """
    if not Path(path).is_dir():
        raise ValueError(f"path is {str(path)!r}, expected a folder of pictures")
    inside = sorted(one for one in Path(path).iterdir() if one.is_dir() and not one.name.startswith("."))
    classes = [_files(one, "**/*") for one in inside]
    if not any(classes):
        classes = [_files(Path(path), "*")]
    paths = [(file, label) for label, files in enumerate(classes) for file in files]
    images, labels, left_out = [], [], []
    for file, label in tqdm(paths, desc=str(path), unit="picture"):
        try:
            images.append(own.square(own.read(file), size))
            labels.append(label)
        except ValueError as error:
            left_out.append((file, error))
    if not images:
        why = f"the first of {len(paths)}: {left_out[0][1]}" if left_out else "it holds no files"
        raise ValueError(f"path is {str(path)!r}, expected a folder of pictures ({why})")
    if left_out:
        first = left_out[0][0].name
        print(f"{path}: {len(left_out)} of {len(paths)} files could not be read as pictures, {first} the first of them")
    return Labelled(torch.stack(images).to(device), torch.tensor(labels, device=device))


def _files(path: Path, pattern: str) -> list[Path]:
    """Files in a folder by their folders, then names, without hidden ones and those in hidden folders."""
    inside = (one for one in path.glob(pattern) if one.is_file())
    seen = (one for one in inside if not any(part.startswith(".") for part in one.relative_to(path).parts))
    return sorted(seen, key=lambda one: (str(one.parent), one.name))


def _labelled(arrays: downloads.Arrays, split: str, device: torch.device | str) -> Labelled:
    images, labels = (torch.from_numpy(arrays[f"{split}_{part}"]).to(device) for part in ("images", "labels"))
    return Labelled(images if images.ndim == 4 else images.unsqueeze(1), labels.long())


def shapes(
    n: Natural, seed: Seed = 0, size: Count = 128, device: torch.device | Device = "cpu", make: Make = factors
) -> Drawn:
    """n shapes of 3 × size × size and the factors they were drawn from: a fixed set, the same for the same seed.

    `make(n, generator)` draws the factors: `shapes.factors`, or a `functools.partial` of it with other ranges. All is
    made on the CPU and then moved: numbers measured on it compare across devices.
    """
    made = gave("make", make(n, Generator().manual_seed(seed)), Factors)
    return Drawn(draw_bytes(made, size).to(device), Factors(*(factor.to(device) for factor in made)))


def shape_images(size: Count = 128, make: Make = factors) -> Sample:
    """Shapes without end, every one new, drawn on the generator's device as `shapes` draws them; in [0, 1]."""
    return lambda n, generator: draw(gave("make", make(n, generator), Factors), size, trusted=True)


def shape_pairs(
    changes: tuple[pairs.View, ...], size: Count = 128, make: Make = factors, colors: bool = False
) -> Sample:
    """Anchors and positives without end, n × 2 × 3 × size × size: a shape, and the same after these views of it.

    With `colors` a batch is (pairs, the anchors' RGB colours, n × 3), for losses that want a label.
    """

    def sample(n: int, generator: Generator) -> Batch:
        made = gave("make", make(n, generator), Factors)
        both = pairs.pair(made, generator, changes, size)
        return (both, made.color) if colors else both

    return sample


def drawn(data: Batch, mirror: bool = False, shift: Natural = 0) -> Sample:
    """Examples drawn at random from a set, as `take` gives them, without end: epochs of `fit` may have any length.

    With `mirror`, half of the images (the first tensor of several) are turned left to right: twice as many photos,
    where that changes nothing of note. With `shift`, each is `augment.shift` by up to so many pixels.
    """

    def sample(n: int, generator: Generator) -> Batch:
        chosen = torch.randint(length(data), (n,), generator=generator, device=generator.device)
        batch = take(data, chosen)
        images = batch[0] if isinstance(batch, tuple) else batch
        if mirror:
            images.copy_(augment.mirror(images, generator))
        if shift:
            images.copy_(augment.shift(images, shift, generator))
        return batch

    return sample


def dequantise(images: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """8-bit images, as value / 255, spread to densities on [0, 1): (value + u) / 256 with u uniform on [0, 1).

    A density of such data bounds the probability of the 8-bit data (Theis et al., https://arxiv.org/abs/1511.01844).
    """
    return (255 * images + torch.rand_like(images)) / 256
