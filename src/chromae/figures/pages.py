"""What a film's frame looks like: titled pictures in a row over a strip of curves; the pictures of a latent plane.

Plain Pillow: a frame takes milliseconds.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Real, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from chromae import latents
from chromae.arguments import gave
from chromae.arguments.kinds import Count, Finite, Natural, Positive
from chromae.arguments.networks import Coder
from chromae.arguments.precision import check_some
from chromae.datasets.sprites import Factors, draw_bytes
from chromae.figures import style

MARGIN, TITLE, STRIP = 16, 28, 132


class Axes(NamedTuple):
    """The strip's axes: x runs over `steps` points, y from `low` to `high`; `limit` is drawn as a dashed line.

    Points are counted in `unit`, `each` of them from one point to the next.
    """

    label: str
    steps: int
    low: Finite
    high: Finite
    limit: Finite
    limit_label: str
    unit: str = "epoch"
    each: int = 1


def frame(
    pictures: Mapping[str, UInt8[np.ndarray, "_height _width 3"]],
    curves: Sequence[Sequence[float]],
    axes: Axes,
    zoom: Count = 2,
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures under their titles, enlarged `zoom` times, over curves drawn up to their last values.

    The first curve has the colour of the first title, and so on; a curve may have no points yet. Titles are set
    smaller where one is wider than its picture. Raises ValueError if there is no picture, if there are more pictures
    or curves than colours, and for axes without a length.
    """
    if not pictures:
        raise ValueError("pictures is empty, expected one or more")
    if max(len(pictures), len(curves)) > len(style.COLORS):
        raise ValueError(
            f"got {len(pictures)} pictures and {len(curves)} curves, expected at most {len(style.COLORS)} of each"
        )
    if not (axes.low < axes.high and axes.steps > 0):
        raise ValueError(
            f"axes run from {axes.low} to {axes.high} in {axes.steps} steps, expected low < high, steps > 0"
        )
    pictures = {title: np.asarray(picture).repeat(zoom, 0).repeat(zoom, 1) for title, picture in pictures.items()}
    height = max(len(picture) for picture in pictures.values())
    width = sum(picture.shape[1] + MARGIN for picture in pictures.values()) + MARGIN
    page = Image.new("RGB", (width, TITLE + height + STRIP), style.PAPER)
    draw = ImageDraw.Draw(page)
    font = min(
        (style.fitting(title, 15, picture.shape[1]) for title, picture in pictures.items()), key=lambda f: f.size
    )
    x = MARGIN
    for (title, picture), color in zip(pictures.items(), style.COLORS, strict=False):
        draw.text((x, TITLE / 2), title, fill=color, font=font, anchor="lm")
        page.paste(Image.fromarray(picture), (x, TITLE))
        x += picture.shape[1] + MARGIN
    page.paste(_strip(curves, axes, width), (0, TITLE + height))
    return np.asarray(page)


@torch.no_grad()
def latent_plane(
    model: Coder,
    images: Float[Tensor, "n *shape"],
    labels: Int[Tensor, " n"],
    columns: Count = 15,
    size: Count = 420,
    pixels: Callable[[Tensor], Tensor] = lambda decoded: decoded,
    ink: bool = False,
) -> tuple[UInt8[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size 3"]]:
    """The plane of a model with two latents, twice: where `images` lie, and what the model decodes there.

    Both pictures show the same box, which holds all but the outermost codes: a point of one lies where the other shows
    what is decoded there, at the centre of a tile. `pixels` turns what the model decodes into images in [0, 1], such
    as `torch.sigmoid` for logits; with `ink` white strokes on black are shown as ink on paper. Raises ValueError for
    other than two latents and for no images.
    """
    if len(images) == 0:
        raise ValueError("images is empty, expected one or more")
    codes = gave("model.encode", model.encode(images), Float[Tensor, "n *code"]).float()
    if codes.shape[1:] != (2,):
        raise ValueError(f"model has codes of shape {tuple(codes.shape[1:])}, expected 2 latents")
    if not codes.isfinite().all():
        raise ValueError("model.encode gave nan or infinite codes of images, expected numbers")
    low, high = (torch.quantile(codes, q, dim=0) for q in (0.005, 0.995))
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    first, last = low + (high - low) / (2 * columns), high - (high - low) / (2 * columns)  # the outer tiles' centres
    corners = (first, torch.stack([last[0], first[1]]), torch.stack([first[0], last[1]]))
    decoded = gave("pixels", pixels(model.decode(latents.plane(*corners, columns))), Float[Tensor, "_ _ _ _"])
    tiles = sheet(1 - decoded if ink else decoded, columns)
    page = Image.fromarray(tiles).resize((size, size), Image.Resampling.LANCZOS)
    points, box = codes.cpu().numpy(), torch.stack([low, high]).cpu().numpy()
    return scatter(points, labels.cpu().numpy(), box, size), np.asarray(page)


def scatter(
    points: Real[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    box: Real[np.ndarray, "2 2"],
    size: Count = 420,
    radius: Positive | None = None,
) -> UInt8[np.ndarray, "size size 3"]:
    """Points as dots in their classes' colours inside the box (low, high); each class's name stands near its median.

    A name stands on a disc of its class's colour; discs that would cover each other move apart. `radius` is that of
    the dots in pixels, by default 2 in a picture of 420; names grow with the picture as well. Drawn twice as large,
    then halved, which smooths dots and discs. Raises ValueError for labels outside 0 … 9.
    """
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(style.CLASSES)):
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}, expected classes from 0 to 9")
    check_finite(points=points, box=box)
    low, high = box
    radius = radius or size / 210
    places = (points - low) / np.maximum(high - low, 1e-12) * [1, -1] * size + [0, size]
    names = np.unique(labels)
    disc = size / 36
    medians = np.array([np.median(places[labels == name], axis=0) for name in names]).reshape(-1, 2)
    spots = _apart(medians, 2.2 * disc, size)
    page = Image.new("RGB", (2 * size, 2 * size), style.PAPER)
    draw = ImageDraw.Draw(page)
    for (x, y), label in zip(places, labels, strict=True):
        draw.circle((2 * x, 2 * y), 2 * radius, fill=style.CLASSES[label])
    for (x, y), name in zip(spots, names, strict=True):
        color = style.CLASSES[name]
        draw.circle((2 * x, 2 * y), 2.2 * disc, fill=style.PAPER)
        draw.circle((2 * x, 2 * y), 2 * disc, fill=color)
        ink = style.INK if np.dot(color, (0.299, 0.587, 0.114)) > 120 else style.PAPER
        draw.text((2 * x, 2 * y), str(name), fill=ink, font=style.font(max(1, round(3 * disc))), anchor="mm")
    page = page.reduce(2)
    draw, corner = ImageDraw.Draw(page), style.font(max(1, round(size / 28)))
    digits = int(np.clip(1 - np.floor(np.log10(max((high - low).min(), 1e-12))), 1, 6))  # that tell the corners apart
    draw.rectangle((0, 0, size - 1, size - 1), outline=style.FAINT)
    for value, place, anchor in ((low, (4, size - 4), "ls"), (high, (size - 4, 4), "rt")):
        x, y = (f"{round(number, digits) + 0.0:.{digits}f}".replace("-", "−") for number in value)  # + 0.0: never −0
        stroke = {"stroke_width": 2, "stroke_fill": style.PAPER}
        draw.text(place, f"({x}, {y})", fill=style.INK, font=corner, anchor=anchor, **stroke)
    return np.asarray(page)


def _apart(spots: Float[np.ndarray, "n 2"], distance: float, size: int) -> Float[np.ndarray, "n 2"]:
    """The spots, kept inside a square of `size`; two that are nearer than `distance` push each other apart."""
    turns = np.arange(len(spots))
    aside = 1e-3 * np.stack([np.cos(turns), np.sin(turns)], axis=1)  # so that two on one spot have a direction, too
    for _ in range(100):
        away = (spots + aside)[:, None] - (spots + aside)
        gap = np.linalg.norm(away, axis=-1)
        np.fill_diagonal(gap, np.inf)
        push = (distance - gap).clip(0) / 2 / gap
        spots = (spots + (push[..., None] * away).sum(1)).clip(distance / 2, size - distance / 2)
    return spots


def sprites(
    points: Real[np.ndarray, "n 2"], made: Factors, box: Real[np.ndarray, "2 2"], size: Count = 420, width: Count = 16
) -> UInt8[np.ndarray, "size size 3"]:
    """A scatter of shapes, each drawn in its own form, colour and angle, `width` pixels wide, inside the box.

    The paper is the shapes' own mean ground, so that they stand on it as in their images.
    """
    check_finite(points=points, box=box)
    low, high = box
    room = size - width
    places = (points - low) / np.maximum(high - low, 1e-12) * [room, -room] + [0, room]
    white, black = torch.ones_like(made.color), torch.zeros_like(made.color)
    middle, most = torch.full_like(made.center, 0.5), torch.full_like(made.radius, 0.48)
    alone = made._replace(color=white, background=black, center=middle, radius=most)
    masks = draw_bytes(alone, max(width, 8))[:, 0].cpu().numpy()
    colors = (255 * made.color).round().int().tolist()
    page = Image.new("RGB", (size, size), tuple((255 * made.background.mean(0)).round().int().tolist()))
    for (x, y), mask, color in zip(
        places.clip(-2 * size, 2 * size).round().astype(int).tolist(), masks, colors, strict=True
    ):
        page.paste(tuple(color), (x, y), Image.fromarray(mask))
    return np.asarray(page)


def sheet(
    images: Float[Tensor, "n channels height width"], columns: Count, gap: Natural = 0
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Images in [0, 1] side by side, row by row, `gap` white pixels between and around them.

    What torchvision's `make_grid` gives, which leaves one image without its frame, and whose import takes seconds.
    """
    check_some(images=images)
    if images.shape[1] not in (1, 3):
        raise ValueError(f"images has {images.shape[1]} channels, expected 1 or 3")
    levels = (images.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    columns, (height, width) = min(columns, len(images)), images.shape[2:]
    page = np.full((gap - (-len(images) // columns) * (height + gap), gap + columns * (width + gap), 3), 255, np.uint8)
    for number, tile in enumerate(levels.permute(0, 2, 3, 1).numpy()):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        page[top : top + height, left : left + width] = tile
    return page


def check_finite(**arguments: Real[np.ndarray, "..."] | None) -> None:
    """Raises ValueError, with the argument's name, if one that is there holds what is no number."""
    for name, values in arguments.items():
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"{name} holds nan or infinite values, expected numbers")


def _strip(curves: Sequence[Sequence[float]], axes: Axes, width: int) -> Image.Image:
    """The axes and the curves over them; the lines are drawn twice as large, then halved, which smooths them."""
    left, right, top, bottom = MARGIN + 44, width - MARGIN - 8, 22, STRIP - 30

    def place(step: float, value: float) -> tuple[float, float]:
        part = (min(max(value, axes.low), axes.high) - axes.low) / (axes.high - axes.low)
        return left + (right - left) * step / axes.steps, bottom - (bottom - top) * part

    def twice(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(2 * x, 2 * y) for x, y in points]

    lines = Image.new("RGB", (2 * width, 2 * STRIP), style.PAPER)
    draw = ImageDraw.Draw(lines)
    draw.line(twice((left, top), (left, bottom), (right, bottom)), fill=style.FAINT, width=2)
    _, limit = place(0, axes.limit)
    for x in range(left, right, 12):
        draw.line(twice((x, limit), (x + 6, limit)), fill=style.INK, width=2)
    for curve, color in zip(curves, style.COLORS, strict=False):
        points = [place(step, value) for step, value in enumerate(curve, start=1) if not math.isnan(value)]
        draw.line(twice(*points), fill=color, width=4, joint="curve")
        for x, y in points[-1:]:
            draw.ellipse(twice((x - 4, y - 4), (x + 4, y + 4)), fill=color)

    strip = lines.reduce(2)
    text = functools.partial(ImageDraw.Draw(strip).text, fill=style.INK, font=style.font(11))
    for value in (axes.low, axes.high):
        text((left - 5, place(0, value)[1]), f"{value:g}", anchor="rm")
    for step in (0, axes.steps):
        name = f"{axes.each * step:,}"
        x = min(place(step, 0)[0], width - 4 - style.font(11).getlength(name) / 2)  # a long one would leave the page
        text((x, bottom + 4), name, anchor="mt")
    below = limit + 18 < bottom  # is there room for its name?
    text((right, limit + 3 if below else limit - 3), axes.limit_label, anchor="rt" if below else "rb")
    now = f"{axes.label}, {axes.unit} {axes.each * max(map(len, curves), default=0):,}"
    text((right, 9), now, anchor="rm", font=style.fitting(now, 11, right - left))  # above all that a curve can reach
    return strip
