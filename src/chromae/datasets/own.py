"""A reader's own photos: whatever the file holds, as RGB in [0, 1], whole or in tiles."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from chromae.arguments.kinds import Count
from chromae.arguments.precision import check_some


def read(path: str | Path) -> Float[Tensor, "3 height width"]:
    """A picture as RGB in [0, 1]: turned as its EXIF says, transparency laid on white.

    Reads what Pillow reads: greys of 1, 8 or 16 bits, palettes, CMYK, alpha. Of an animation, the first frame.
    Raises ValueError, in one sentence, for a file that is missing, broken or no picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16 bits, which Pillow may also give as 32
                pixels = np.asarray(image, dtype=np.float32)[..., None].repeat(3, 2) / 65535
            else:
                pixels = np.asarray(_on_white(image), dtype=np.float32) / 255
    except Exception as error:  # every format's reader has its own for a broken file
        reason = "no format that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"{path} could not be read as a picture: {' '.join(reason.split())}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).clamp(0, 1)


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def tiles(picture: Float[Tensor, "channels height width"], size: Count = 32) -> Float[Tensor, "n channels size size"]:
    """A picture cut into tiles, row by row; its last column and row are repeated where a tile is not full."""
    check_some(picture=picture)
    height, width = picture.shape[1:]
    rest = (0, -width % size, 0, -height % size)
    full = F.pad(picture[None], rest, mode="replicate")[0]
    return full.unfold(1, size, size).unfold(2, size, size).permute(1, 2, 0, 3, 4).flatten(0, 1)


def untile(
    parts: Float[Tensor, "n channels size size"], height: Count, width: Count
) -> Float[Tensor, "channels height width"]:
    """`tiles` undone: the picture of this height and width."""
    size = parts.shape[-1]
    check_some(parts=parts)
    rows, columns = -(-height // size), -(-width // size)
    if len(parts) != rows * columns:
        raise ValueError(f"parts has {len(parts)} tiles, expected {rows} × {columns} for height and width")
    grid = parts.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4)
    return grid.reshape(parts.shape[1], rows * size, columns * size)[:, :height, :width]
