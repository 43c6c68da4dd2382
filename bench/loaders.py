"""Batches of images in float32, shuffled: ours against torchvision's data sets in a DataLoader."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from side_by_side import agree, compare
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import CIFAR10, MNIST
from torchvision.transforms import ToTensor

from chromae import datasets
from chromae.training.batches import batches

BATCH, IMAGES, WORKERS = 128, 25_600, 2


def digits_loader() -> dict:
    """An epoch of 25,600 digits, batch 128: bytes in memory against MNIST with ToTensor and 2 workers."""
    return _loaders(datasets.digits()[0], IMAGES, rounds=9)


def photos_loader() -> dict:
    """The same for photos of 3 × 32 × 32 against CIFAR10."""
    return _loaders(datasets.photos()[0], IMAGES, rounds=9)


def in_torchvision(images: Tensor, labels: Tensor) -> Dataset:
    """torchvision's own data set of digits or photos, without its download: CIFAR10 keeps rows of pixels in NumPy."""
    kind = CIFAR10 if images.shape[1] == 3 else MNIST
    made = kind.__new__(kind)
    made.data = np.ascontiguousarray(images.permute(0, 2, 3, 1)) if kind is CIFAR10 else images[:, 0]
    made.targets, made.transform, made.target_transform = labels.tolist(), ToTensor(), None
    return made


def _loaders(data: datasets.Labelled, count: int, rounds: int) -> dict:
    images, labels = (one[:count] for one in data)
    dataset = in_torchvision(images, labels)

    def ours() -> Iterator[Tensor]:
        return (x for *_, (x, _) in batches((images, labels), count, BATCH, 0, torch.device("cpu")))

    def theirs() -> Iterator[Tensor]:
        return (x for x, _ in DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=WORKERS))

    measured = compare(lambda: deque(ours(), maxlen=0), lambda: deque(theirs(), maxlen=0), rounds)
    agree({side.__name__: sum(x.double().sum().item() for x in side()) for side in (ours, theirs)}, within=1e-6)
    return measured
