"""The figures that notebooks share, in one style."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from IPython import get_ipython
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from torch import Tensor

from chromae import drawing, files

# Okabe and Ito's colour-blind-safe palette (https://jfly.uni-koeln.de/color/).
VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
INK = "#222222"


def style(quality: int = 70) -> None:
    """Set the one figure style: colour-blind-safe, light, readable in a talk.

    In a notebook, figures are kept as JPEG of this quality: colour gradients in a third of PNG's room.
    """
    if get_ipython() is not None:
        set_matplotlib_formats("jpeg", bbox_inches="tight", pil_kwargs={"quality": quality})
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=[VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY]),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#888888",
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "axes.labelsize": 10,
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "font.size": 10,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "savefig.dpi": 150,
            "text.color": INK,
        }
    )


def limit(axes: Axes, value: float, label: str) -> None:
    """A theoretical limit as a dashed line across the axes, named at its right end."""
    axes.axhline(value, color=INK, linestyle="--", linewidth=1)
    axes.annotate(
        label, (1, value), xycoords=("axes fraction", "data"), xytext=(0, -4), textcoords="offset points",
        ha="right", va="top", fontsize=9,
    )  # fmt: skip


def band(axes: Axes, curves: Float[np.ndarray, "steps seeds"], label: str, color: str) -> None:
    """The mean over seeds, from step 1 on, with a band of one standard deviation either side."""
    curves = np.asarray(curves)
    steps = np.arange(1, len(curves) + 1)
    mean, deviation = curves.mean(1), curves.std(1, ddof=1)
    axes.plot(steps, mean, color=color, label=label)
    axes.fill_between(steps, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0)


def dots(axes: Axes, groups: dict[str, Sequence[float]], colors: Sequence[str]) -> None:
    """One column of dots a group, a dot a seed, with a bar at the mean."""
    for place, ((_, values), color) in enumerate(zip(groups.items(), colors, strict=True)):
        jitter = np.linspace(-0.18, 0.18, len(values))
        axes.scatter(place + jitter, values, s=14, color=color, alpha=0.7, linewidths=0)
        axes.hlines(np.mean(values), place - 0.3, place + 0.3, color=color, linewidth=2)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_xlim(-0.6, len(groups) - 0.4)


def picture(axes: Axes, image: UInt8[np.ndarray, "height width 3"], title: str = "", rows: Sequence[str] = ()) -> None:
    """An image without ticks; `rows` names what stands in its rows, all equally high."""
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks((np.arange(len(rows)) + 0.5) * len(image) / max(len(rows), 1), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def ink(
    axes: Axes,
    images: Float[Tensor, "n 1 height width"],
    columns: int,
    title: str = "",
    gap: int = 0,
    rows: Sequence[str] = (),
) -> None:
    """Images in [0, 1], white strokes on black such as MNIST's, as one sheet of ink on paper; `rows` names its rows."""
    picture(axes, drawing.sheet(1 - images, columns, gap), title, rows)


def caption(figure: Figure, text: str) -> None:
    """A small line under a figure: which data, which preset, how many seeds."""
    figure.supxlabel(text, fontsize=8, color="#777777", x=0.99, ha="right")


def publish(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, to a temporary name first."""
    with files.replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
