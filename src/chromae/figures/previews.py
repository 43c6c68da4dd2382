"""What is shown of films where none can play: an animated preview, a strip of stills."""

import io
from collections.abc import Callable, Collection
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from chromae import files
from chromae.arguments.kinds import Count, Positive
from chromae.figures import frames


def preview(
    film: str | Path,
    path: str | Path,
    width: Count = 320,
    every: Count = 2,
    last: Count | None = None,
    fps: Positive | None = None,
) -> Path:
    """Make an animated WebP of a film, for pages that play no films: every so many frames, scaled to this width.

    Without its hold at the end; of the rest all, or the `last` so many frames. It lasts as long as they do in the film,
    or shows `fps` frames a second, and starts again at its end. Returns its path.
    Raises ValueError for a film that cannot be read.
    """
    rate, images = _moving(film, lambda length: range(length)[-(last or length) :: every])
    shown = np.stack([_narrowed(image, width) for image in images])
    seconds = every / rate if fps is None else 1 / fps
    with files.replacing(path) as part:
        iio.imwrite(part, shown, plugin="pillow", extension=".webp", duration=round(1000 * seconds), loop=0)
    return Path(path)


def strip(film: str | Path, count: Count = 4, width: Count = 960) -> bytes:
    """Frames of a film, from the first to the last, or the last alone, as a JPEG of this width.

    They stand side by side, or in two rows if they come out even and are not much higher than wide.
    Raises ValueError for a film that cannot be read.
    """
    _, images = _moving(film, lambda length: set(np.linspace(length - 1, 0, count).round()))  # of one, the last
    rows = 2 if len(images) % 2 == 0 and images[0].shape[1] > 0.7 * images[0].shape[0] else 1
    each = len(images) // rows
    together = [np.concatenate(images[start : start + each], axis=1) for start in range(0, len(images), each)]
    return jpeg(_narrowed(np.concatenate(together), width), quality=85)


def jpeg(image: UInt8[np.ndarray, "height width 3"], quality: Count = 80) -> bytes:
    """A picture as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, format="jpeg", quality=quality, optimize=True, progressive=True)
    return buffer.getvalue()


def _moving(
    film: str | Path, choose: Callable[[int], Collection[float]]
) -> tuple[float, list[UInt8[np.ndarray, "height width 3"]]]:
    """A film's frames a second, and those that `choose` numbers of so many before it holds its last."""
    try:
        about = iio.immeta(film)
        numbers = choose(max(1, round(about["fps"] * (about["duration"] - frames.HOLD))))
        return about["fps"], [image for number, image in enumerate(iio.imiter(film)) if number in numbers]
    except Exception as error:  # imageio has many, for files that are missing, broken or no film
        raise ValueError(f"{film} could not be read as a film ({f'{error}'.splitlines()[0]})") from error


def _narrowed(image: UInt8[np.ndarray, "height width 3"], width: int) -> UInt8[np.ndarray, "low narrow 3"]:
    size = width, max(1, round(width * image.shape[0] / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
