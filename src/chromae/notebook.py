"""A notebook's first line and its last, and what shows its films."""

import ctypes
import math
import os
import platform
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from beartype.vale import Is
from jaxtyping import UInt8

from chromae import settings
from chromae.arguments.kinds import Count, Device
from chromae.figures import frames, previews, style
from chromae.records import results


def _of_a_metric(entry: dict) -> bool:
    return {"value", "spread", "n", "unit"} <= entry.keys()


Metric = Annotated[dict, Is[_of_a_metric]]


class Here(NamedTuple):
    """Where and on what a notebook runs.

    A function that `study.run` runs should not read it, but names such as DEVICE that a cell gives its parts: the
    record of a run notes the code of all that the function reads, and this would be the code of figures as well.
    """

    name: str  # of the notebook: "03_digits_autoencoder"
    preset: str  # "fast", "standard" or "full"
    device: torch.device
    folders: settings.Folders  # where it writes: images, films, frames, results, studies, weights
    data: str  # what its numbers are about, and the preset: "MNIST, 10,000 test digits, preset standard"
    caption: str  # the same after LIVE: what stands below a figure of what this run trained
    started: float  # on the clock of `time.perf_counter`

    def publish(self, metrics: Mapping[str, Metric]) -> None:
        """A notebook's last line: write its numbers to `folders.results`, and print them, and how long it took.

        That is a folder below build/, unless `make notebooks` runs it.

        `metrics` maps names to what `results.metric` and `study.metric` give. Raises ValueError if there is none.
        """
        if not metrics:
            raise ValueError("metrics is empty, expected one number or more")
        seconds = time.perf_counter() - self.started
        results.write(
            self.folders.results, self.name, data=self.data, device=self.device, seconds=seconds, metrics=metrics
        )
        print(_table(metrics))
        print(f"{seconds:.0f} seconds, preset {self.preset}, {settings.device_name(self.device)}")


def begin(name: str, data: str, device: torch.device | Device | None = None, quality: Count = 70) -> Here:
    """A notebook's first line: from here on its clock runs, its folders are there, and figures have the one style.

    `name` is that of its file, `data` says for captions what it is about: "MNIST, 10,000 test digits". CHROMAE_PRESET
    chooses the preset. The device is that of `settings.device`, which CHROMAE_DEVICE chooses, unless one is given here.
    Figures are kept as JPEGs of this `quality`, or as `style.use` says. In Jupyter the frames of a film stand below the
    cell that saves them, one in the place of the other, unless TQDM_DISABLE silences what shows how far a run is. On
    Linux the process keeps memory of tensors for the next ones, unless a variable of glibc's says how much.
    """
    frames.watchers[:] = [_Screen()] if _watched() else []
    preset, device = settings.preset(), settings.device() if device is None else torch.device(device)
    style.use(quality)
    _keep_memory()
    data = f"{data}, preset {preset}"
    return Here(name, preset, device, settings.folders(name), data, f"LIVE · {data}", time.perf_counter())


def _keep_memory() -> None:
    """Have this process and those that it starts keep what tensors of up to 32 MB leave free, where there is glibc.

    By itself that hands their memory back to the system after every step, and is given it anew page by page, each of
    them zeroed (`kept_memory` in `make bench` says what that costs). Now free memory goes back only where nothing in
    use lies above it, and more than 128 MB of it is free, so a process may hold more. See mallopt(3).
    """
    kept = {"MALLOC_MMAP_THRESHOLD_": (-3, 32 * 2**20), "MALLOC_TRIM_THRESHOLD_": (-1, 128 * 2**20)}  # as in malloc.h
    chosen = kept.keys() & os.environ.keys() or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if chosen or sys.platform != "linux" or platform.libc_ver()[0] != "glibc":  # what the user chose stays
        return
    library = ctypes.CDLL(None)
    for variable, (parameter, value) in kept.items():
        if library.mallopt(parameter, value):
            os.environ[variable] = str(value)


def video(films: str | Path | Sequence[str | Path], text: str, width: Count = 80) -> object:
    """A film, or several side by side, each so many percent wide, over a line of text: a cell's last expression.

    Four of its frames stand above it, for pages that show no films. The page looks for a film where it lies as seen
    from the notebook, so the notebook and its films move together.
    """
    from IPython.display import HTML, Image, display  # here, for a script may not have it

    for screen in frames.watchers:
        screen.clear()
    films = [Path(film) for film in ([films] if isinstance(films, str | Path) else films)]
    for film in filter(Path.exists, films):
        display(Image(data=previews.strip(film), format="jpeg"))
    players = (
        f'<video src="{_address(film)}" width="{width}%" autoplay loop muted controls></video>' for film in films
    )
    return HTML(f"{''.join(players)}<p>{text}</p>")


def _address(film: Path) -> str:
    """A film as a page names it that lies where the notebook does."""
    return urllib.parse.quote(Path(os.path.relpath(film)).as_posix())


class _Screen:
    """What shows a run's frames below its cell: at most three a second, for they may flicker."""

    PAUSE = 0.35  # seconds

    def __init__(self) -> None:
        self.cell, self.handle, self.shown = None, None, -math.inf

    def __call__(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        from IPython import get_ipython
        from IPython.display import Image, display

        cell, now = get_ipython().execution_count, time.monotonic()
        if now - self.shown < self.PAUSE:
            return
        picture = Image(data=previews.jpeg(frame), format="jpeg")
        if cell == self.cell:
            self.handle.update(picture)
        else:
            self.cell, self.handle = cell, display(picture, display_id=True)
        self.shown = now

    def clear(self) -> None:
        """Leave the place to the film."""
        from IPython.display import HTML

        if self.handle is not None:
            self.handle.update(HTML(""))
        self.cell = self.handle = None


def _watched() -> bool:
    """Whether somebody may look on: in Jupyter, where nothing silences progress."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel") and os.environ.get("TQDM_DISABLE", "") in ("", "0")


def _table(metrics: Mapping[str, Metric]) -> str:
    """A line a number: its name, its value, ± its spread if it is a mean, and its unit, each in a column of its own."""
    rows = [
        (name, f"{it['value']:,.6f}", f"± {it['spread']:.6f}" if it["n"] > 1 else "", it["unit"])
        for name, it in metrics.items()
    ]
    name, value, spread, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{a:{name}}  {b:>{value}} {c:{spread}}  {unit}" for a, b, c, unit in rows)
