"""What ten times more costs: time and memory of `fit` against images, batch, width and members of an ensemble.

Writes results/growth.json and images/growth.webp; run by `make bench`. Every point has a process of its own.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import LogLocator
from side_by_side import peak_mb, seconds

from chromae import datasets, losses, settings, training
from chromae.figures import plots, style
from chromae.models import dense, vae
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.records import results

SHAPE, ROUNDS = (1, 28, 28), 5
# What grows, from where to where; all else stays as in `digits` and `ensemble`.
AXES = {
    "images": [2_000, 4_000, 8_000, 16_000, 32_000, 64_000],
    "batch": [16, 32, 64, 128, 256, 512, 1024],
    "width": [64, 128, 256, 512, 1024, 2048],
    "members": [1, 4, 16, 64, 256, 1024],
}
LABELS = {
    "images": "images in an epoch", "batch": "images in a batch", "width": "units in a layer",
    "members": "members of an ensemble",
}  # fmt: skip
UNITS = {"seconds": "s an epoch", "mb": "MB beyond the idle process"}


def digits(images: int = 8_000, batch: int = 128, width: int = 256) -> Callable[[], object]:
    """An epoch of a VAE with two layers each way, on bytes drawn at random in place of digits."""
    data = torch.randint(256, (images, *SHAPE), dtype=torch.uint8)
    model = vae.VAE(dense.encoder(SHAPE, [width, width], 40), dense.decoder(20, [width, width], SHAPE))
    objective = vae.elbo_objective(losses.bernoulli)
    return lambda: training.fit(model, data, objective, epochs=1, batch_size=batch)


def ensemble(members: int, colors: int = 2_500) -> Callable[[], object]:
    """An epoch of that many colour autoencoders at once."""
    made = training.Ensemble(ColorAutoencoder, range(members))
    objective, data = made.objective(losses.reconstruction), made.sample(datasets.colors)
    return lambda: training.fit(made, data, objective, epochs=1, batch_size=64, epoch_size=colors)


def point(axis: str, value: int, rounds: int = ROUNDS) -> tuple[float, float]:
    """Seconds, the median of these rounds, and MB, data and model included."""
    made = []

    def set_up_and_run() -> None:
        made[:] = [ensemble(value) if axis == "members" else digits(**{axis: value})]
        made[0]()

    mb = peak_mb(set_up_and_run, at_least=0)
    return statistics.median(seconds(made[0]) for _ in range(rounds)), mb


def slope(values: Sequence[float], costs: Sequence[float]) -> float:
    """The power of what grows that a cost grows with, by the three largest points: 1 is in proportion."""
    return float(np.polyfit(np.log(values[-3:]), np.log(costs[-3:]), 1)[0])


def figure(found: dict[str, dict[str, list[float]]], caption: str) -> plt.Figure:
    """Time above memory, what grows from left to right."""
    style.use()
    made, rows = plt.subplots(2, len(found), figsize=(3 * len(found), 5.4), sharey="row", squeeze=False)
    for column, (axis, costs) in zip(rows.T, found.items(), strict=True):
        for axes, (kind, color) in zip(column, {"seconds": style.VERMILLION, "mb": style.BLUE}.items(), strict=True):
            power = slope(costs["at"], costs[kind])
            axes.loglog(costs["at"], costs[kind], "o-", color=color, markersize=4)
            axes.set_title(f"10 × more: {10**power:.2g} × (slope {power:.2f})")
            axes.set_xlabel(LABELS[axis])
            axes.minorticks_off()
            axes.set_xticks(costs["at"][::2], [f"{value:,}" for value in costs["at"][::2]])
            axes.yaxis.set(major_locator=LogLocator(subs=(1, 3)), major_formatter="{x:g}")
    for axes, label in zip(rows[:, 0], UNITS.values(), strict=True):
        axes.set_ylabel(label)
    plots.caption(made, caption)
    return made


def metrics(found: dict[str, dict[str, list[float]]]) -> dict[str, dict]:
    """Every point and every slope by its name, such as images_8000_seconds and images_slope_mb."""
    made = {}
    for axis, costs in found.items():
        for kind, unit in UNITS.items():
            for at, cost in zip(costs["at"], costs[kind], strict=True):
                made[f"{axis}_{at}_{kind}"] = results.metric(cost, unit)
            power = slope(costs["at"], costs[kind])
            made[f"{axis}_slope_{kind}"] = results.metric(power, f"power of {LABELS[axis]}, by the three largest")
    return made


def publish(found: dict, seconds: float, folder: Path, image: Path) -> Path:
    """Write the figure and the numbers; returns the path of these."""
    cpu, data = torch.device("cpu"), "random bytes of 28 × 28, random colours"
    made = figure(found, f"fit on {settings.device_name(cpu)}; slopes by the three largest")
    plots.publish(made, image)
    plt.close(made)
    return results.write(folder, "growth", data=data, device=cpu, seconds=seconds, metrics=metrics(found))


if __name__ == "__main__":
    started, found = time.perf_counter(), {}
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as processes:
        for axis, values in AXES.items():
            found[axis] = {"at": values, "seconds": [], "mb": []}
            for value in values:
                took, mb = processes.submit(point, axis, value).result()
                found[axis]["seconds"].append(took)
                found[axis]["mb"].append(mb)
                print(f"{axis:8} {value:6,}  {took:9.4f} s  {mb:9,.1f} MB", flush=True)
    root = settings.ROOT
    path = publish(found, time.perf_counter() - started, root / "results", root / "images" / "growth.webp")
    print(f"wrote {path.relative_to(root)}")
