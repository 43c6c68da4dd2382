"""Single shapes on plain grounds: their true factors, and their pictures drawn from signed distances.

`python -m chromae shapes FOLDER COUNT` saves them as PNGs.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Generator, Tensor
from tqdm import tqdm

from chromae import color, files
from chromae.arguments.kinds import Count, Natural
from chromae.arguments.precision import HALVES, constant
from chromae.color import hsv_to_rgb
from chromae.datasets.distances import DISTANCES

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
    n: Natural,
    generator: Generator,
    kinds: Sequence[str] = SOURCE_KINDS,
    radius: Sequence[float] = (0.12, 0.35),
    background: Sequence[float] = (0.0, 1.0),
    hues: int | None = None,
) -> Factors:
    """n random shapes, wholly inside their images; everything is uniform in its range.

    Colours are `vivid`, of any hue or of as many as `hues`, equally far apart; grounds are grey in the range
    `background`.
    Raises ValueError for an empty or unknown kind and for ranges out of order or out of bounds.
    """
    _check_ranges(kinds, radius, background, hues)
    uniform = torch.rand(n, 9, generator=generator, device=generator.device)
    if hues is not None:
        uniform[:, 1] = (uniform[:, 1] * hues).floor() / hues
    indices = constant(tuple(KINDS.index(kind) for kind in kinds), uniform, torch.int64)
    kind = indices[(uniform[:, 0] * len(kinds)).long()]
    grey = background[0] + (background[1] - background[0]) * uniform[:, 4]
    size = radius[0] + (radius[1] - radius[0]) * uniform[:, 5]
    turns = constant(tuple(SYMMETRY.values()), uniform, torch.int64)[kind]
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
    shapes: Factors, size: Count = 128, out: Float[Tensor, "n 3 size size"] | None = None, trusted: bool = False
) -> Float[Tensor, "n 3 size size"]:
    """Antialiased pictures in [0, 1]: a pixel is covered as far as the shape's edge passes its centre.

    `out` is memory to draw into: fetching new memory from the system takes longer than the drawing. `trusted`: colours
    as `factors` make them are not looked at where that would wait for an accelerator.
    Raises ValueError for a size below 8, for unknown kinds and for colours outside [0, 1].
    """
    if size < 8:
        raise ValueError(f"size is {size}, expected 8 pixels or more")
    on_cpu = shapes.kind.device.type == "cpu"
    if on_cpu or not trusted:
        _check_values(shapes)
    image = shapes.color.new_empty(len(shapes.kind), 3, size, size) if out is None else out
    if not on_cpu:
        return _draw_all(shapes, image)
    order = shapes.kind.argsort(stable=True)
    kind, color, background, center, radius, angle = chosen(shapes, order)
    contrast, middle = (part[..., None, None] for part in (background - color, (background + color) / 2))
    pixels = torch.arange(size, device=kind.device) + 0.5
    x, y, radius = pixels - size * center[:, :1], pixels - size * center[:, 1:], size * radius
    chunk = max(1, min(CHUNK, len(image)))
    scratch, start = image.new_empty(4, chunk, size, size), 0
    for name, count in zip(KINDS, kind.bincount(minlength=len(KINDS)).tolist(), strict=True):
        for part in _slices(start, start + count, chunk):
            distance = DISTANCES[name](x[part], y[part], radius[part], angle[part], scratch[:, : len(x[part])])
            _paint(distance.clamp_(-0.5, 0.5), contrast[part], middle[part], image, order[part])
        start += count
    return image


def _draw_all(shapes: Factors, image: Float[Tensor, "n 3 size size"]) -> Float[Tensor, "n 3 size size"]:
    """The same for accelerators, where to ask how many there are of a kind takes longer than all kinds' distances."""
    kind, color, background, center, radius, angle = shapes
    size = image.shape[-1]
    pixels = torch.arange(size, device=kind.device) + 0.5
    each = pixels - size * center[:, :1], pixels - size * center[:, 1:], size * radius, angle
    distance, scratch = image.new_empty(len(image), size, size), image.new_empty(4, len(image), size, size)
    for number, name in enumerate(KINDS):
        torch.where((kind == number)[:, None, None], DISTANCES[name](*each, scratch), distance, out=distance)
    contrast, middle = (part[..., None, None] for part in (background - color, (background + color) / 2))
    return torch.mul(distance.clamp_(-0.5, 0.5)[:, None], contrast, out=image).add_(middle)


def _check_values(shapes: Factors) -> None:
    kind = shapes.kind
    if len(kind) and not (kind.min() >= 0 and kind.max() < len(KINDS)):
        raise ValueError(f"shapes.kind has values from {kind.min()} to {kind.max()}, expected 0 to {len(KINDS) - 1}")
    color.check(**{"shapes.color": shapes.color, "shapes.background": shapes.background})


def _paint(distance: Tensor, contrast: Tensor, middle: Tensor, image: Tensor, rows: Tensor) -> None:
    """Images `rows` from the distance of every pixel's centre to the edge, in [-½, ½], negative inside."""
    for row, *part in zip(rows.tolist(), distance, contrast, middle, strict=True):  # each while it is in the cache
        torch.mul(part[0], part[1], out=image[row]).add_(part[2])


def draw_bytes(shapes: Factors, size: Count = 128) -> UInt8[Tensor, "n 3 size size"]:
    """The same pictures in 8 bits, drawn a few hundred at a time. Raises ValueError as `draw`."""
    images = torch.empty(len(shapes.kind), 3, size, size, dtype=torch.uint8, device=shapes.kind.device)
    for part in _slices(0, len(images), 256):
        images[part] = draw(chosen(shapes, part), size).mul_(255).round_()
    return images


def chosen(shapes: Factors, index: Int[Tensor, " k"] | Bool[Tensor, " n"] | slice) -> Factors:
    """The shapes at `index`. Raises ValueError for one that there is not."""
    try:
        return Factors(*(factor[index] for factor in shapes))
    except IndexError as error:
        raise ValueError(f"index does not fit {len(shapes.kind)} shapes ({error})") from error


def _slices(start: int, stop: int, length: int) -> list[slice]:
    return [slice(first, min(first + length, stop)) for first in range(start, stop, length)]


def save(shapes: Factors, folder: str | Path, size: Count = 128) -> None:
    """Write the pictures as `folder`/00000.png … through Pillow, and their factors as `folder`/factors.npz.

    The arrays follow dSprites: `latents_values` and `latents_classes` (the kind), with `latents_names`. They come last:
    where they lie, the set is whole, and an earlier set in the folder is gone. What an interrupt left of the same set,
    named in `folder`/unfinished, is not drawn again. One process at a time writes to a folder, others wait.
    Raises ValueError as `draw`.
    """
    folder = Path(folder)
    draw(chosen(shapes, slice(1)), size)  # what cannot be drawn is refused before anything is removed
    columns = [
        (part.float() if part.dtype in HALVES else part).cpu().numpy().reshape(len(shapes.kind), -1) for part in shapes
    ]
    recipe = hashlib.sha256(str(size).encode() + b"".join(column.tobytes() for column in columns)).hexdigest()
    names = [folder / f"{number:05d}.png" for number in range(len(shapes.kind))]
    parts = ("kind", "red", "green", "blue", "ground_red", "ground_green", "ground_blue", "x", "y", "radius", "angle")
    with files.alone(folder):
        _begin(folder, recipe, names)
        for start in tqdm(range(0, len(names), 256), desc=str(folder), unit="256 images"):
            if not all(name.exists() for name in names[start : start + 256]):
                _write(draw_bytes(chosen(shapes, slice(start, start + 256)), size), names[start : start + 256])
        with files.replacing(folder / "factors.npz") as part, part.open("wb") as stream:
            np.savez(
                stream,
                latents_names=np.array(parts),
                latents_values=np.concatenate(columns, axis=1).astype(np.float32),
                latents_classes=columns[0][:, 0],
                kinds=np.array(KINDS),
            )
        for left in folder.glob(f".*-{files.host()}-*.part"):
            process = left.stem.rpartition("-")[2]
            if process.isdecimal() and not files.lives(int(process)):
                left.unlink(missing_ok=True)
        (folder / "unfinished").unlink(missing_ok=True)


def _write(images: UInt8[Tensor, "n 3 size size"], names: list[Path]) -> None:
    """Pictures under temporary names first; not by `files.replacing`, which flushes every file."""
    here = f"{files.host()}-{os.getpid()}"
    for name, image in zip(names, images.permute(0, 2, 3, 1).cpu().numpy(), strict=True):
        part = name.with_name(f".{name.stem}-{here}.part")
        try:
            Image.fromarray(image).save(part, format="png")
            os.replace(part, name)
        finally:
            part.unlink(missing_ok=True)


def _begin(folder: Path, recipe: str, names: list[Path]) -> None:
    """Note whose pictures are being written; unless they are those that were begun, remove what lies in their place."""
    note, factors = folder / "unfinished", folder / "factors.npz"
    if note.exists() and note.read_text() == recipe:
        return
    ours = note.exists() or factors.exists()  # else only pictures of the same names give way
    with files.replacing(note) as part:
        part.touch()  # nobody's, until all are removed
    for path in [factors, *(folder.glob(5 * "[0-9]" + ".png") if ours else names)]:
        path.unlink(missing_ok=True)
    with files.replacing(note) as part:
        part.write_text(recipe)


def _check_ranges(kinds: Sequence[str], radius: Sequence[float], background: Sequence[float], hues: int | None) -> None:
    if not kinds:
        raise ValueError(f"kinds is empty, expected one or more of {', '.join(KINDS)}")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"kinds holds {', '.join(map(repr, unknown))}, expected some of {', '.join(KINDS)}")
    if len(radius) != 2 or not 0 < radius[0] <= radius[1] <= 0.5:
        raise ValueError(f"radius is {radius}, expected (smallest, largest) in widths of the image, in (0, 0.5]")
    if len(background) != 2 or not 0 <= background[0] <= background[1] <= 1:
        raise ValueError(f"background is {background}, expected (darkest, lightest) grey in [0, 1]")
    if hues is not None and hues < 1:
        raise ValueError(f"hues is {hues}, expected 1 or more, or None for any")
