"""One write of every kind of file that the package makes, and those who read them meanwhile."""

import contextlib
import os
import random
import resource
import shutil
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import matplotlib.figure
import numpy as np
import torch
from faults.contents import content
from faults.jobs import fetch, noise, note, replacing, slow_disk, small_set

from chromae import files, pens, settings, training
from chromae.__main__ import _readme
from chromae.datasets import sprites
from chromae.figures import frames, plots
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.records import results, weights
from chromae.training import checkpoints

# `which` tells the writers of one file apart.


def write_json(folder: Path, which: int) -> None:
    results.write_json(folder / "record.json", {"which": [which] * 5000})


def write_pt(folder: Path, which: int) -> None:
    torch.manual_seed(which)
    model = ColorAutoencoder(hidden=[2000])
    checkpoints.State(model, training.Adam(model.parameters()), {"lr": 1.0}, which).save(folder / "run.pt")


def write_safetensors(folder: Path, which: int) -> None:
    torch.manual_seed(which)
    weights.save(ColorAutoencoder(hidden=[2000]), folder / "model.safetensors")


def write_png(folder: Path, which: int) -> None:
    frames.save(noise(which), folder, 1)


def write_npz(folder: Path, which: int) -> None:
    """The cache is written where there is none."""
    with contextlib.suppress(IsADirectoryError, NotADirectoryError):
        (folder / "mnist.npz").unlink(missing_ok=True)
    fetch(folder, lambda temp: small_set())


def write_svg(folder: Path, which: int) -> None:
    lines = [np.random.default_rng([which, i]).random((8, 2)) for i in range(400)]
    layers = [pens.Layer("blue", (0.0, 0.0, 1.0), lines)]
    pens.save(pens.Plot((9.0, 9.0), (1.0, 1.0, 8.0, 8.0), 0.5, (1.0, 1.0, 1.0), layers), folder / "plot.svg")


def write_mp4(folder: Path, which: int) -> None:
    """Every writer films its own frames."""
    clip = folder.with_name(f"{folder.name}-clip-{which}")
    clip.mkdir(exist_ok=True)
    for number in (1, 2):
        if not (clip / f"000{number}.png").exists():
            frames.save(noise(10 * which + number), clip, number)
    frames.film(clip, folder / "film.mp4")


def write_clip(folder: Path, which: int) -> None:
    """Every writer draws the same clip anew: a frame more or less, and in other colours."""
    clip = frames.clear(folder / "clip")
    for number in range(1, 4 + which):
        frames.save(noise(10 * which + number), clip, number)
    frames.film(clip, folder / "clip.mp4")


def write_readme(folder: Path, which: int) -> None:
    """`python -m chromae readme` in `folder`, but errors come out as they are."""
    settings.ROOT = folder
    _readme(Namespace())


def write_figure(folder: Path, which: int) -> None:
    figure = matplotlib.figure.Figure((4, 4))  # more than 2 kB
    figure.subplots().plot([0, which])
    plots.publish(figure, folder / "figure.webp")


def write_shapes(folder: Path, which: int) -> None:
    sprites.save(sprites.factors(2, torch.Generator().manual_seed(which)), folder, 64)


def prepare(folder: Path) -> None:
    """What README and RESULTS need before its numbers are renewed."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    results.write_json(folder / "results" / "topic.json", {"value": 5})
    marks = ["A number, <!--= topic value -->old<!--/-->, and many words around it." + 600 * " word"] * 40
    for name in ("README.md", "RESULTS.md"):
        (folder / name).write_text("\n".join([*marks, "The end.", ""]), encoding="utf-8")


def write_until(kind: str, folder: Path, which: int, until: float, log: Path) -> None:
    """Write once, and again until it is time; the log holds how often, and every error."""
    os.setpgid(0, 0)
    sys.stdout = sys.stderr = log.with_suffix(".said").open("a")
    slow_disk(log.with_suffix(".writes"), 0.003)
    begins = True
    while begins or time.time() < until:
        begins = False
        try:
            globals()[f"write_{kind}"](folder, which)
            note(log, "wrote")
        except BaseException as error:
            traceback.print_exc()
            note(log, "failed", type(error).__name__, " ".join(str(error).split()))


def below(folder: Path) -> list[Path]:
    """The files that a reader finds below a folder, at any depth: no hidden names, no parts."""
    names = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    hidden = [any(part[0] == "." for part in Path(name).relative_to(folder).parts) for name in names]
    return [Path(name) for name, hide in zip(names, hidden, strict=True) if not (hide or name.endswith(".part"))]


def read_until(folder: Path, stop: Path, log: Path, known: set[str] | None = None) -> None:
    """Read what is in a folder, again and again, until `stop` exists; half files and unknown ones stand in the log."""
    while not stop.exists():
        for path in below(folder):
            try:
                found = content(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # it was there a moment ago: another one took its place, or its folder's
            except Exception as error:
                note(log, "half", path.name, type(error).__name__, " ".join(str(error).split())[:200])
            else:
                note(log, "read" if known is None or found in known else "mixed", path.name)
        time.sleep(0.001 * random.random())


def write_with(fault: str, kind: str, folder: Path, which: int, log: Path) -> None:
    """One write under a fault: "full" (no file grows beyond 2 kB), "vanishes" (the folder does) or none of these.

    The log holds what was said.
    """
    sys.stdout = log.open("a")

    @contextlib.contextmanager
    def vanishing(path: Path) -> Iterator[Path]:
        with replacing(path) as part:
            yield part
            shutil.rmtree(Path(path).parent)

    if fault == "vanishes":
        files.replacing = vanishing
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if fault == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        globals()[f"write_{kind}"](folder, which)
        said = "wrote"
    except Exception as error:
        said = f"{type(error).__name__} {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    note(log, said)
