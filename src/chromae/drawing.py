"""What a film's frame looks like: titled pictures in a row over a strip of curves; the pictures of a latent plane.

Plain Pillow: a frame takes milliseconds.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torchvision.utils import make_grid

from chromae import latents
from chromae.shapes import Factors, draw_bytes

MARGIN, TITLE, STRIP = 16, 28, 132
INK, FAINT, PAPER = (34, 34, 34), (150, 150, 150), (255, 255, 255)
# Okabe and Ito's colour-blind-safe palette (https://jfly.uni-koeln.de/color/): vermillion, blue, green, purple.
COLORS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167))
# Petroff's ten colours for classes, tested for colour-vision deficiency and for names (arXiv:2107.02270).
CLASSES = (
    (63, 144, 218), (255, 169, 14), (189, 31, 1), (148, 164, 162), (131, 45, 182),
    (169, 107, 89), (231, 99, 0), (185, 172, 112), (113, 117, 129), (146, 218, 221),
)  # fmt: skip


class Axes(NamedTuple):
    """The strip's axes: x runs over `steps` points, y from `low` to `high`; `limit` is drawn as a dashed line.

    Points are counted in `unit`, `each` of them from one point to the next.
    """

    label: str
    steps: int
    low: float
    high: float
    limit: float
    limit_label: str
    unit: str = "epoch"
    each: int = 1


def frame(
    pictures: Mapping[str, UInt8[np.ndarray, "size size 3"]],
    curves: Sequence[Sequence[float]],
    axes: Axes,
    zoom: int = 2,
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures under their titles, enlarged `zoom` times, over curves drawn up to their last values.

    The first curve has the colour of the first title, and so on. Raises ValueError if there are more pictures or
    curves than colours.
    """
    if max(len(pictures), len(curves)) > len(COLORS):
        raise ValueError(
            f"got {len(pictures)} pictures and {len(curves)} curves, expected at most {len(COLORS)} of each"
        )
    pictures = {title: np.asarray(picture).repeat(zoom, 0).repeat(zoom, 1) for title, picture in pictures.items()}
    height = max(len(picture) for picture in pictures.values())
    width = sum(picture.shape[1] + MARGIN for picture in pictures.values()) + MARGIN
    page = Image.new("RGB", (width, TITLE + height + STRIP), PAPER)
    draw = ImageDraw.Draw(page)
    x = MARGIN
    for (title, picture), color in zip(pictures.items(), COLORS, strict=False):
        draw.text((x, TITLE / 2), title, fill=color, font=_font(16), anchor="lm")
        page.paste(Image.fromarray(picture), (x, TITLE))
        x += picture.shape[1] + MARGIN
    page.paste(_strip(curves, axes, width), (0, TITLE + height))
    return np.asarray(page)


@torch.no_grad()
def latent_plane(
    model: nn.Module,
    images: Float[Tensor, "n *shape"],
    labels: Int[Tensor, " n"],
    columns: int = 15,
    size: int = 420,
    pixels: Callable[[Tensor], Tensor] = lambda decoded: decoded,
) -> tuple[UInt8[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size 3"]]:
    """The plane of a model with two latents, twice: where `images` lie, and what the model decodes there.

    Both pictures show the same box, which holds all but the outermost codes. `pixels` turns what the model decodes
    into images in [0, 1], such as `torch.sigmoid` for logits. Raises ValueError for other than two latents.
    """
    codes = model.encode(images).float()
    if codes.shape[1:] != (2,):
        raise ValueError(f"model has codes of shape {tuple(codes.shape[1:])}, expected 2 latents")
    low, high = (torch.quantile(codes, q, dim=0) for q in (0.005, 0.995))
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    corners = (low, torch.stack([high[0], low[1]]), torch.stack([low[0], high[1]]))
    decoded = pixels(model.decode(latents.plane(*corners, columns)))
    page = Image.fromarray(sheet(1 - decoded, columns)).resize((size, size), Image.Resampling.LANCZOS)
    points, box = codes.cpu().numpy(), torch.stack([low, high]).cpu().numpy()
    return scatter(points, labels.cpu().numpy(), box, size), np.asarray(page)


def scatter(
    points: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    box: Float[np.ndarray, "2 2"],
    size: int = 420,
    radius: float | None = None,
) -> UInt8[np.ndarray, "size size 3"]:
    """Points as dots in their classes' colours inside the box (low, high); each class's name stands at its median.

    `radius` is that of the dots in pixels, by default 2 in a picture of 420; names grow with the picture as well.
    Drawn twice as large, then halved, which smooths the dots. Raises ValueError for labels outside 0 … 9.
    """
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(CLASSES)):
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}, expected classes from 0 to 9")
    low, high = box
    radius = radius or size / 210
    name, corner = _font(round(size / 21)), _font(round(size / 35))
    places = (points - low) / np.maximum(high - low, 1e-12) * [1, -1] * size + [0, size]
    page = Image.new("RGB", (2 * size, 2 * size), PAPER)
    draw = ImageDraw.Draw(page)
    for (x, y), label in zip(places, labels, strict=True):
        draw.circle((2 * x, 2 * y), 2 * radius, fill=CLASSES[label])
    page = page.reduce(2)
    draw = ImageDraw.Draw(page)
    for label in np.unique(labels):
        x, y = np.median(places[labels == label], axis=0).clip(10, size - 10)
        draw.text((x, y), str(label), fill=INK, font=name, anchor="mm", stroke_width=3, stroke_fill=PAPER)
    draw.rectangle((0, 0, size - 1, size - 1), outline=FAINT)
    for value, place, anchor in ((low, (4, size - 4), "ls"), (high, (size - 4, 4), "rt")):
        text = f"({value[0]:.1f}, {value[1]:.1f})"
        draw.text(place, text, fill=INK, font=corner, anchor=anchor, stroke_width=2, stroke_fill=PAPER)
    return np.asarray(page)


def sprites(
    points: Float[np.ndarray, "n 2"], made: Factors, box: Float[np.ndarray, "2 2"], size: int = 420, width: int = 16
) -> UInt8[np.ndarray, "size size 3"]:
    """A scatter of shapes, each drawn in its own form, colour and angle, `width` pixels wide, inside the box.

    The paper is the shapes' own mean ground, so that they stand on it as in their images.
    """
    low, high = box
    room = size - width
    places = (points - low) / np.maximum(high - low, 1e-12) * [room, -room] + [0, room]
    white, black = torch.ones_like(made.color), torch.zeros_like(made.color)
    middle, most = torch.full_like(made.center, 0.5), torch.full_like(made.radius, 0.48)
    alone = made._replace(color=white, background=black, center=middle, radius=most)
    masks = draw_bytes(alone, max(width, 8))[:, 0].cpu().numpy()
    colors = (255 * made.color).round().int().tolist()
    page = Image.new("RGB", (size, size), tuple((255 * made.background.mean(0)).round().int().tolist()))
    for (x, y), mask, color in zip(places.round().astype(int).tolist(), masks, colors, strict=True):
        page.paste(tuple(color), (x, y), Image.fromarray(mask))
    return np.asarray(page)


def sheet(
    images: Float[Tensor, "n channels height width"], columns: int, gap: int = 0
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Images in [0, 1] side by side, row by row, `gap` white pixels between them."""
    grid = make_grid(images.detach().cpu().float().clamp(0, 1), nrow=columns, padding=gap, pad_value=1)
    return (grid * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def _strip(curves: Sequence[Sequence[float]], axes: Axes, width: int) -> Image.Image:
    """The axes and the curves over them; the lines are drawn twice as large, then halved, which smooths them."""
    left, right, top, bottom = MARGIN + 44, width - MARGIN - 8, 16, STRIP - 30

    def place(step: float, value: float) -> tuple[float, float]:
        part = (min(max(value, axes.low), axes.high) - axes.low) / (axes.high - axes.low)
        return left + (right - left) * step / axes.steps, bottom - (bottom - top) * part

    def twice(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(2 * x, 2 * y) for x, y in points]

    lines = Image.new("RGB", (2 * width, 2 * STRIP), PAPER)
    draw = ImageDraw.Draw(lines)
    draw.line(twice((left, top), (left, bottom), (right, bottom)), fill=FAINT, width=2)
    _, limit = place(0, axes.limit)
    for x in range(left, right, 12):
        draw.line(twice((x, limit), (x + 6, limit)), fill=INK, width=2)
    for curve, color in zip(curves, COLORS, strict=False):
        points = [place(step, value) for step, value in enumerate(curve, start=1)]
        draw.line(twice(*points), fill=color, width=4, joint="curve")
        x, y = points[-1]
        draw.ellipse(twice((x - 4, y - 4), (x + 4, y + 4)), fill=color)

    strip = lines.reduce(2)
    text = functools.partial(ImageDraw.Draw(strip).text, fill=INK, font=_font(12))
    for value in (axes.low, axes.high):
        text((left - 5, place(0, value)[1]), f"{value:g}", anchor="rm")
    for step in (0, axes.steps):
        text((place(step, 0)[0], bottom + 4), f"{axes.each * step:,}", anchor="mt")
    below = limit + 18 < bottom  # is there room for its name?
    text((right, limit + 3 if below else limit - 3), axes.limit_label, anchor="rt" if below else "rb")
    text((right, top), f"{axes.label}, {axes.unit} {axes.each * len(curves[0]):,}", anchor="rm")
    return strip


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
