"""The figures that notebooks share, in one style."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
from beartype.vale import Is
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from chromae import files
from chromae.arguments.kinds import Count, Finite, Natural
from chromae.arguments.precision import HALVES
from chromae.figures import pages, style


def _that_is_a_color(name: str) -> bool:
    return is_color_like(name)


Color = Annotated[str, Is[_that_is_a_color]]
Image = Real[np.ndarray, "_height _width _channels"] | Real[Tensor, "_height _width _channels"]  # each of its own size
Values = Sequence[float] | Real[np.ndarray, " _seeds"] | Real[Tensor, " _seeds"]

CAPTION = 640  # pixels that a caption may need, whatever stands above it
LINE = 24  # pixels high that a wall's titles and its caption are, with what is left around them


def limit(axes: Axes, value: Finite, label: str) -> None:
    """A theoretical limit as a dashed line across the axes, named at its right end, above what crosses the name."""
    axes.axhline(value, color=style.INK, linestyle="--", linewidth=1)
    axes.annotate(
        label, (1, value), xycoords=("axes fraction", "data"), xytext=(0, -4), textcoords="offset points",
        ha="right", va="top", fontsize=9, zorder=5,
        path_effects=[withStroke(linewidth=3, foreground=style.PAPER, alpha=0.7)],
    )  # fmt: skip


def band(
    axes: Axes, curves: Float[np.ndarray, "steps seeds"] | Float[Tensor, "steps seeds"], label: str, color: Color
) -> None:
    """The mean over seeds, from step 1 on, with a band of one standard deviation either side; of one seed the curve."""
    curves = _array(curves)
    if curves.size == 0:
        raise ValueError(f"curves has shape {curves.shape}, expected a step and a seed or more")
    steps = np.arange(1, len(curves) + 1)
    mean = curves.mean(1)
    axes.plot(steps, mean, color=color, label=label)
    if curves.shape[1] == 1:
        return
    deviation = curves.std(1, ddof=1)
    axes.fill_between(steps, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0)


def dots(axes: Axes, groups: Mapping[str, Values], colors: Sequence[Color]) -> None:
    """One column of dots a group, a dot a seed, with a bar at the mean."""
    if len(groups) != len(colors):
        raise ValueError(f"colors are {len(colors)}, expected as many as groups, {len(groups)}")
    for place, ((name, values), color) in enumerate(zip(groups.items(), colors, strict=True)):
        values = _array(values)
        if values.size == 0:
            raise ValueError(f"groups[{name!r}] is empty, expected one value or more")
        jitter = np.linspace(-0.18, 0.18, len(values))
        axes.scatter(place + jitter, values, s=14, color=color, alpha=0.7, linewidths=0)
        axes.hlines(np.mean(values), place - 0.3, place + 0.3, color=color, linewidth=2)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_xlim(-0.6, len(groups) - 0.4)


def picture(axes: Axes, image: Image, title: str = "", rows: Sequence[str] = ()) -> None:
    """An image (bytes, or floats in [0, 1]) without ticks; `rows` names what stands in its rows, all equally high."""
    image = _array(image)
    if image.size == 0 or image.shape[2] not in (1, 3, 4):
        raise ValueError(f"image has shape {image.shape}, expected pixels of 1, 3 or 4 channels")
    axes.imshow(image.repeat(3, axis=2) if image.shape[2] == 1 else image, interpolation="nearest")
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks((np.arange(len(rows)) + 0.5) * len(image) / max(len(rows), 1), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def ink(
    axes: Axes,
    images: Float[Tensor, "n 1 height width"],
    columns: Count,
    title: str = "",
    gap: Natural = 0,
    rows: Sequence[str] = (),
) -> None:
    """Images in [0, 1], white strokes on black such as MNIST's, as one sheet of ink on paper; `rows` names its rows."""
    picture(axes, pages.sheet(1 - images, columns, gap), title, rows)


def wall(pictures: Mapping[str, Image], columns: Count, zoom: Count = 2, room: Natural = 16) -> Figure:
    """Pictures under their titles, row by row, every pixel of theirs `zoom` × `zoom` of the figure's: none is mixed.

    `room` pixels are left between them, and on the right what a caption needs. Titles are set smaller where one is
    wider than its picture. `show_png` shows the figure as it is. Raises ValueError if there is no picture.
    """
    if not pictures:
        raise ValueError("pictures is empty, expected one or more")
    shown = {title: _array(image) for title, image in pictures.items()}
    titles = list(shown)
    rows = [titles[start : start + columns] for start in range(0, len(titles), columns)]
    heights = [zoom * max(len(shown[title]) for title in row) for row in rows]
    widest = max(sum(zoom * shown[title].shape[1] + room for title in row) for row in rows)
    width, height = max(widest - room, CAPTION), sum(heights) + (LINE + room) * len(rows) - room + LINE
    figure = plt.figure(figsize=(width / 100, height / 100), dpi=100, layout="none")
    top = height
    for row, high in zip(rows, heights, strict=True):
        left, top = 0, top - LINE
        for title in row:
            tall, wide = (zoom * side for side in shown[title].shape[:2])
            axes = figure.add_axes((left / width, (top - tall) / height, wide / width, tall / height))
            picture(axes, shown[title])
            font = style.fitting(title, 15, wide)
            axes.set_title(title, fontsize=font.size * 72 / figure.dpi, pad=4)
            left += wide + room
        top -= high + room
    return figure


def show_png(figure: Figure) -> None:
    """Show a figure in a notebook as PNG and close it: pictures of six colours hold six, which a JPEG blurs.

    Other figures are kept as `style.use` says.
    """
    from IPython.display import Image as Shown  # here, for a script may not have it
    from IPython.display import display

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, metadata={"Software": None})
    plt.close(figure)
    display(Shown(data=buffer.getvalue(), format="png"))


def _array(values: Sequence[float] | Real[np.ndarray, "..."] | Real[Tensor, "..."]) -> np.ndarray:
    """What matplotlib draws, from whatever device."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype in HALVES else values).numpy()
    return np.asarray(values)


def caption(figure: Figure, text: str) -> None:
    """A small line under a figure: which data, which preset, how many seeds."""
    figure.supxlabel(text, fontsize=8, color="#777777", x=0.99, ha="right")


def publish(figure: Figure, path: str | Path) -> None:
    """Write a figure as WebP without loss, in half the bytes of a PNG, to a temporary name first.

    Raises ValueError for a name that does not end in ".webp".
    """
    if Path(path).suffix != ".webp":
        raise ValueError(f"path is {str(path)!r}, expected a name that ends in .webp")
    with files.replacing(path) as part:
        figure.savefig(part, format="webp", pil_kwargs={"lossless": True, "quality": 100, "method": 4})
