"""What the workers of test_faults do: the package's own work, with writes slow enough to be hit and noted in a log.

A fork server has this module loaded already, so that a worker starts in milliseconds and not in the seconds that
torch takes.
"""

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a process that runs threads is not to be forked

import matplotlib
import numpy as np
import torch
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend import context

from chromae import datasets, files, losses, training
from chromae.datasets import downloads
from chromae.figures import frames
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.records import results, study, weights

torch.set_num_threads(1)
matplotlib.use("Agg")

replacing = files.replacing


def note(log: Path, *words: object) -> None:
    """A line at the end of a log that several processes write."""
    log = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(log, (" ".join(map(str, words)) + "\n").encode())
    os.close(log)


def slow_disk(log: Path, hold: float) -> None:
    """From now on every write lasts at least `hold` seconds, in which its file is half there, and is noted in `log`."""

    @contextlib.contextmanager
    def slow(path: Path) -> Iterator[Path]:
        note(log, "begin", os.getpid(), path)
        with replacing(path) as part:
            yield part
            whole = part.read_bytes()
            part.write_bytes(whole[: len(whole) // 2])
            time.sleep(hold)
            part.write_bytes(whole)
        note(log, "end", os.getpid(), path)

    files.replacing = slow


def work(kind: str, folder: Path, log: Path, hold: float = 0.02, **options: object) -> None:
    """One life of a worker: a process group of its own that does `kind` in `folder` until it is done."""
    os.setpgid(0, 0)
    sys.stdout = sys.stderr = log.with_suffix(".said").open("a")
    slow_disk(log, hold)
    folder.mkdir(parents=True, exist_ok=True)
    note(log, "life", os.getpid(), kind)
    began = time.monotonic()
    globals()[kind](folder, **options)
    note(log, "done", os.getpid(), time.monotonic() - began)


def train(folder: Path, wide: int = 8, epochs: int = 10, rows: int = 200) -> None:
    """A run with a checkpoint, which goes on from it; noise in the objective, a schedule, validation."""
    torch.manual_seed(1)
    data = torch.rand(rows, 3)

    def noisy(model, batch):
        return {"loss": losses.mse(model(batch + 0.1 * torch.randn_like(batch)), batch)}

    options = {"epochs": epochs, "batch_size": 20, "lr": 0.01, "schedule": training.one_cycle, "seed": 3}
    model = ColorAutoencoder(hidden=[wide])
    training.fit(model, data, noisy, checkpoint=folder / "run.pt", validation=torch.rand(5, 3), **options)
    weights.save(model, folder / "run.safetensors")


def train_large(folder: Path) -> None:
    """Few epochs of a model whose checkpoint takes the disk its time."""
    train(folder, wide=100_000, epochs=3, rows=4)


def studied(folder: Path, x: int, seed: int) -> dict[str, float]:
    """One run of a study, as the notebooks have it: a checkpoint while it trains, weights when it is done."""
    torch.manual_seed(x)
    model, checkpoint = ColorAutoencoder(), folder / "checkpoints" / f"{x}.pt"
    options = {"epochs": 2, "epoch_size": 100, "lr": 0.01 * x, "checkpoint": checkpoint, "seed": seed}
    history = training.fit(model, datasets.colors, losses.reconstruction, **options)
    weights.save(model, folder / "weights" / f"{x}.safetensors")
    checkpoint.unlink(missing_ok=True)  # another study may have been as far
    return {"loss": history["loss"][-1]}


def study_here(folder: Path, jobs: int = 1) -> None:
    """A study in this process."""
    study.run(partial(studied, folder), [{"x": x} for x in range(1, 5)], [0], folder / "records", jobs=jobs)


def study_in_two(folder: Path) -> None:
    """A study in two workers of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forked workers need no import of torch, and these run no threads
        context.set_start_method("fork", force=True)
        study_here(folder, jobs=2)
    get_reusable_executor().shutdown(kill_workers=True)


def noise(seed: int, size: int = 96) -> np.ndarray:
    """A picture that does not compress."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def draw(folder: Path) -> None:
    """The frames of a clip, then its film."""
    clip = frames.clear(folder / "clip")
    for number in range(1, 7):
        frames.save(noise(number), clip, number)
    frames.film(clip, folder / "clip.mp4")


def encode(folder: Path) -> None:
    """A film of frames that are there already, if they are: large ones, for ffmpeg to have something to do."""
    clip = folder / "clip"
    if not (clip / "0012.png").exists():
        clip.mkdir(exist_ok=True)
        for number in range(1, 13):
            frames.save(noise(number, 240), clip, number)
    frames.film(clip, folder / "clip.mp4")


def small_set() -> downloads.Arrays:
    """What takes the place of MNIST."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (2, 400, 28, 28), np.uint8), rng.integers(0, 10, (2, 400), np.uint8)
    return {f"{split}_{name}": array[i] for i, split in enumerate(("train", "test"))
            for name, array in (("images", images), ("labels", labels))}  # fmt: skip


def slow_network(temp: Path) -> downloads.Arrays:
    """a slow network"""
    for name, array in small_set().items():
        for start in range(0, len(array), 100):
            with (temp / f"{name}.raw").open("ab") as stream:
                stream.write(array[start : start + 100].tobytes())
            time.sleep(0.005)
    shapes = {name: array.shape for name, array in small_set().items()}
    return {name: np.fromfile(temp / f"{name}.raw", np.uint8).reshape(shape) for name, shape in shapes.items()}


def fetch(folder: Path, source: Callable[[Path], downloads.Arrays] = slow_network) -> None:
    """Data that come from a slow network once, and from then on from the disk."""
    downloads.SOURCES["mnist"] = [source]
    downloads.DIGESTS["mnist"] = {name: downloads._digest(array) for name, array in small_set().items()}
    arrays = downloads.load("mnist", folder)
    assert all(np.array_equal(arrays[name], array) for name, array in small_set().items())


def publish(folder: Path, which: int = 0) -> None:
    """Results, written five times, each time more of them."""
    for count in range(1, 6):
        metrics = {f"number_{i}": results.metric([which + i / 7, which], "points") for i in range(100 * count)}
        about = {"data": f"set {which}", "device": torch.device("cpu"), "seconds": 1}
        results.write(folder, "01_numbers", metrics=metrics, **about)


def keep(folder: Path) -> None:
    """The weights of three models, and of the last one twice."""
    for name in (0, 1, 2, 2):
        torch.manual_seed(name)
        weights.save(ColorAutoencoder(hidden=[20_000]), folder / f"{name}.safetensors")
