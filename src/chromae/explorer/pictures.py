"""Many small pictures in one file for a page, and the colours of classes."""

import colorsys
import io
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from chromae.arguments.kinds import Count
from chromae.figures import style

TILE, LOSSLESS = 64, 1 << 20  # pixels a side; bytes


class Sheet(NamedTuple):
    """Pictures row by row in one image file, `columns` a row, each `tile` pixels high and wide."""

    data: bytes
    type: str
    tile: list[int]
    columns: int
    notes: list[str]


def sheet(images: Float[Tensor, "n *shape"], shades: Count = 256) -> Sheet:
    """Images in [0, 1], or colours n × 3, on a sheet: larger than 64 pixels made smaller; JPEG above a megabyte.

    WebP keeps every byte, or so many `shades` of each channel. What was changed is said in `notes`. Raises ValueError
    for other than 2 to 256 shades.
    """
    if not 2 <= shades <= 256:
        raise ValueError(f"shades is {shades}, expected 2 to 256")
    images = images.cpu() if images.ndim == 4 else images.cpu()[..., None, None]
    notes = []
    height, width = images.shape[2:]
    if max(height, width) > TILE:
        size = [max(1, round(side * TILE / max(height, width))) for side in (height, width)]
        images = torch.nn.functional.interpolate(images, size, mode="area")
        notes.append(f"Real images of {width} × {height} pixels are shown at {size[1]} × {size[0]}.")
        height, width = size
    if shades < 256:
        images = (images * (shades - 1)).round() / (shades - 1)
        notes.append(f"Real images are shown in {shades} of 256 shades.")
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    tiles = torch.zeros(rows * columns, *images.shape[1:], dtype=torch.uint8)
    tiles[: len(images)] = (images * 255).round().to(torch.uint8)
    page = tiles.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, -1)
    picture = Image.fromarray(page.squeeze(2).numpy())
    data, kind = _saved(picture.convert("RGB"), "WEBP", lossless=True, quality=100), "image/webp"
    if len(data) > LOSSLESS and min(height, width) >= 16:
        data, kind = _saved(picture, "JPEG", quality=85), "image/jpeg"
        notes.append("Real images are shown as JPEG of quality 85.")
    return Sheet(data, kind, [height, width], columns, notes)


def class_colors(count: Count) -> list[list[int]]:
    """A colour for each class: those of `figures.style` for up to ten, of fewer its greys last; for more, even hues."""
    if count <= len(style.CLASSES):
        greys = 2 if count < len(style.CLASSES) else 0  # that the digits' colours begin with
        return [list(color) for color in (style.CLASSES[greys:] + style.CLASSES[:greys])[:count]]
    hues = [colorsys.hls_to_rgb(index / count, (0.42, 0.6)[index % 2], 0.75) for index in range(count)]
    return [[round(part * 255) for part in hue] for hue in hues]


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
