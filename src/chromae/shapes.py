"""Single shapes on plain grounds: their true factors, and their pictures drawn from signed distances.

`python -m chromae.shapes FOLDER COUNT` saves them as PNGs.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Generator, Tensor
from tqdm import tqdm

from chromae import files
from chromae.color import hsv_to_rgb

KINDS = ("triangle", "circle", "square", "star", "ring", "cross")
SOURCE_KINDS = KINDS[:3]
SYMMETRY = {"triangle": 3, "circle": 1, "square": 4, "star": 5, "ring": 1, "cross": 4}  # turns that look the same
CHUNK = 24  # images of one kind whose distances are computed at once on a CPU, in memory that is used again


class Factors(NamedTuple):
    """What there is to know of n images: lengths and places in widths of the image, angles in radians."""

    kind: Int[Tensor, " n"]  # index into KINDS
    color: Float[Tensor, "n 3"]  # RGB in [0, 1]
    background: Float[Tensor, "n 3"]
    center: Float[Tensor, "n 2"]  # x to the right, y down
    radius: Float[Tensor, " n"]  # of the circle around the shape
    angle: Float[Tensor, " n"]  # counter-clockwise, below a full turn / the shape's symmetry


def factors(
    n: int,
    generator: Generator,
    kinds: Sequence[str] = SOURCE_KINDS,
    radius: tuple[float, float] = (0.12, 0.35),
    background: tuple[float, float] = (0.0, 1.0),
    hues: int | None = None,
) -> Factors:
    """n random shapes, wholly inside their images; everything is uniform in its range.

    Colours are `vivid`, of any hue or of as many as `hues`, equally far apart; grounds are grey in the range
    `background`.
    Raises ValueError for an empty or unknown kind and for ranges out of order or out of bounds.
    """
    _check_ranges(kinds, radius, background, hues)
    device = generator.device
    uniform = torch.rand(n, 9, generator=generator, device=device)
    if hues is not None:
        uniform[:, 1] = (uniform[:, 1] * hues).floor() / hues
    indices = torch.tensor([KINDS.index(kind) for kind in kinds], device=device)
    kind = indices[(uniform[:, 0] * len(kinds)).long()]
    grey = background[0] + (background[1] - background[0]) * uniform[:, 4]
    size = radius[0] + (radius[1] - radius[0]) * uniform[:, 5]
    turns = torch.tensor([SYMMETRY[name] for name in KINDS], device=device)[kind]
    return Factors(
        kind=kind,
        color=vivid(uniform[:, 1:4]),
        background=grey[:, None].expand(-1, 3).contiguous(),
        center=size[:, None] + (1 - 2 * size[:, None]) * uniform[:, 6:8],
        radius=size,
        angle=2 * math.pi * uniform[:, 8] / turns,
    )


def vivid(uniform: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """RGB of three uniform numbers each: any hue, saturation and value in [0.6, 1]."""
    return hsv_to_rgb(torch.cat([uniform[:, :1], 0.6 + 0.4 * uniform[:, 1:]], dim=1))


def draw(
    shapes: Factors, size: int = 128, out: Float[Tensor, "n 3 size size"] | None = None
) -> Float[Tensor, "n 3 size size"]:
    """Antialiased pictures in [0, 1]: a pixel is covered as far as the shape's edge passes its centre.

    `out` is memory to draw into: fetching new memory from the system takes longer than the drawing.
    Raises ValueError for a size below 8 and for colours outside [0, 1].
    """
    if size < 8:
        raise ValueError(f"size is {size}, expected 8 pixels or more")
    for name in ("color", "background"):
        value = getattr(shapes, name)
        if value.numel() and not (value.min() >= 0 and value.max() <= 1):
            raise ValueError(f"{name} has values from {value.min():g} to {value.max():g}, expected RGB in [0, 1]")
    image = shapes.color.new_empty(len(shapes.kind), 3, size, size) if out is None else out
    order = shapes.kind.argsort(stable=True)
    kind, color, background, center, radius, angle = chosen(shapes, order)
    contrast, middle = (part[..., None, None] for part in (background - color, (background + color) / 2))
    pixels = torch.arange(size, device=kind.device) + 0.5
    x, y, radius = pixels - size * center[:, :1], pixels - size * center[:, 1:], size * radius
    chunk = max(1, min(CHUNK, len(image)) if image.device.type == "cpu" else len(image))
    room, start = image.new_empty(4, chunk, size, size), 0
    for name, count in zip(KINDS, kind.bincount(minlength=len(KINDS)).tolist(), strict=True):
        for part in _slices(start, start + count, chunk):
            distance = DISTANCES[name](x[part], y[part], radius[part], angle[part], room[:, : len(x[part])])
            _paint(distance.clamp_(-0.5, 0.5), contrast[part], middle[part], image, order[part])
        start += count
    return image


def _paint(distance: Tensor, contrast: Tensor, middle: Tensor, image: Tensor, rows: Tensor) -> None:
    """Images `rows` from the distance of every pixel's centre to the edge, in [-½, ½], negative inside."""
    if image.device.type != "cpu":
        image[rows] = distance[:, None] * contrast + middle
        return
    for row, *part in zip(rows.tolist(), distance, contrast, middle, strict=True):  # each while it is in the cache
        torch.mul(part[0], part[1], out=image[row]).add_(part[2])


def draw_bytes(shapes: Factors, size: int = 128) -> UInt8[Tensor, "n 3 size size"]:
    """The same pictures in 8 bits, drawn a few hundred at a time. Raises ValueError as `draw`."""
    images = torch.empty(len(shapes.kind), 3, size, size, dtype=torch.uint8, device=shapes.kind.device)
    for part in _slices(0, len(images), 256):
        images[part] = draw(chosen(shapes, part), size).mul_(255).round_()
    return images


def chosen(shapes: Factors, index: Tensor | slice) -> Factors:
    """The shapes at `index`."""
    return Factors(*(factor[index] for factor in shapes))


def _slices(start: int, stop: int, length: int) -> list[slice]:
    return [slice(first, min(first + length, stop)) for first in range(start, stop, length)]


Rows = Float[Tensor, "n size"]
Each = Float[Tensor, " n"]
Distance = Float[Tensor, "n size size"]
Room = Float[Tensor, "4 n size size"]  # memory to compute in


def _along(x: Rows, y: Rows, angle: Each, out: Distance) -> Distance:
    """How far every pixel lies in a direction, given as a counter-clockwise angle; y runs down."""
    return torch.sub((torch.cos(angle)[:, None] * x)[:, None, :], (torch.sin(angle)[:, None] * y)[:, :, None], out=out)


def _triangle(x: Rows, y: Rows, radius: Each, angle: Each, room: Room) -> Distance:
    nearest = _along(x, y, angle, room[0])
    for side in (1, 2):
        torch.maximum(nearest, _along(x, y, angle + 2 * math.pi * side / 3, room[1]), out=nearest)
    return nearest.sub_(radius[:, None, None] / 2)


def _from_center(x: Rows, y: Rows, out: Distance) -> Distance:
    return torch.add(x.square()[:, None, :], y.square()[:, :, None], out=out).sqrt_()


def _circle(x: Rows, y: Rows, radius: Each, angle: Each, room: Room) -> Distance:
    return _from_center(x, y, room[0]).sub_(radius[:, None, None])


def _ring(x: Rows, y: Rows, radius: Each, angle: Each, room: Room) -> Distance:
    """Its hole is half as wide as the ring."""
    radius = radius[:, None, None]
    return _from_center(x, y, room[0]).sub_(0.75 * radius).abs_().sub_(0.25 * radius)


def _across_and_up(x: Rows, y: Rows, angle: Each, room: Room) -> list[Distance]:
    return [_along(x, y, angle + turn, out).abs_() for turn, out in zip((0, math.pi / 2), room[:2], strict=True)]


def _square(x: Rows, y: Rows, radius: Each, angle: Each, room: Room) -> Distance:
    across, up = _across_and_up(x, y, angle, room)
    return torch.maximum(across, up, out=across).sub_(radius[:, None, None] / math.sqrt(2))


def _cross(x: Rows, y: Rows, radius: Each, angle: Each, room: Room) -> Distance:
    """Two bars, three times as long as wide."""
    long = radius[:, None, None] * 3 / math.sqrt(10)
    across, up = _across_and_up(x, y, angle, room)
    lying = torch.maximum(torch.sub(across, long, out=room[2]), torch.sub(up, long / 3, out=room[3]), out=room[2])
    standing = torch.maximum(up.sub_(long), across.sub_(long / 3), out=up)
    return torch.minimum(lying, standing, out=lying)


def _star(x: Rows, y: Rows, radius: Each, angle: Each, room: Room) -> Distance:
    """The pentagram: inside at least four of the five half-planes of its edges, so their second largest counts."""
    first, second = _along(x, y, angle, room[0]), room[1].fill_(-torch.inf)
    for side in (1, 2, 3, 4):
        other = _along(x, y, angle + 2 * math.pi * side / 5, room[2])
        torch.maximum(second, torch.minimum(first, other, out=room[3]), out=second)
        torch.maximum(first, other, out=first)
    return second.sub_(radius[:, None, None] * math.cos(2 * math.pi / 5))


DISTANCES = {
    "triangle": _triangle, "circle": _circle, "square": _square, "star": _star, "ring": _ring, "cross": _cross,
}  # fmt: skip


def save(shapes: Factors, folder: Path, size: int = 128) -> None:
    """Write the pictures as `folder`/00000.png … through Pillow, and their factors as `folder`/factors.npz.

    The arrays follow dSprites: `latents_values` and `latents_classes` (the kind), with `latents_names`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for start in tqdm(range(0, len(shapes.kind), 256), desc=str(folder), unit="256 images"):
        images = draw_bytes(chosen(shapes, slice(start, start + 256)), size)
        for number, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy(), start):
            with files.replacing(folder / f"{number:05d}.png") as part:
                Image.fromarray(image).save(part, format="png")
    columns = [part.cpu().numpy().reshape(len(shapes.kind), -1) for part in shapes]
    parts = ("kind", "red", "green", "blue", "ground_red", "ground_green", "ground_blue", "x", "y", "radius", "angle")
    with files.replacing(folder / "factors.npz") as part, part.open("wb") as stream:
        np.savez(
            stream,
            latents_names=np.array(parts),
            latents_values=np.concatenate(columns, axis=1).astype(np.float32),
            latents_classes=columns[0][:, 0],
            kinds=np.array(KINDS),
        )


def _check_ranges(
    kinds: Sequence[str], radius: tuple[float, float], background: tuple[float, float], hues: int | None
) -> None:
    if not kinds:
        raise ValueError(f"kinds is empty, expected one or more of {', '.join(KINDS)}")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"kinds holds {', '.join(map(repr, unknown))}, expected some of {', '.join(KINDS)}")
    if not 0 < radius[0] <= radius[1] <= 0.5:
        raise ValueError(f"radius is {radius}, expected (smallest, largest) in widths of the image, in (0, 0.5]")
    if not 0 <= background[0] <= background[1] <= 1:
        raise ValueError(f"background is {background}, expected (darkest, lightest) grey in [0, 1]")
    if hues is not None and hues < 1:
        raise ValueError(f"hues is {hues}, expected 1 or more, or None for any")


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdigit():
        sys.exit(f"got {' '.join(sys.argv[1:]) or 'nothing'}, expected a folder and how many shapes to save in it")
    save(factors(int(sys.argv[2]), Generator().manual_seed(0)), Path(sys.argv[1]))
