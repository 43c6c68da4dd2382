"""A reader's own photos: whatever the file holds, as RGB in [0, 1], whole or in tiles."""

import contextlib
import importlib
import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from chromae.arguments.kinds import Count
from chromae.arguments.precision import check_some

# Modes in which Pillow reads a picture, and that in which a profile for such colours wants it.
PROFILED = {
    "RGB": {"RGB": "RGB", "P": "RGB", "L": "RGB", "1": "RGB"},  # of grey pictures, many have a profile for colours
    "GRAY": {"L": "L", "1": "L"},
    "CMYK": {"CMYK": "CMYK"},
}


def read(path: str | Path) -> Float[Tensor, "3 height width"]:
    """A picture as RGB in [0, 1]: turned as its EXIF says, transparency laid on white, colours in sRGB.

    Reads what Pillow reads: greys of 1, 8 or 16 bits, palettes, CMYK, alpha; and HEIC where pillow-heif is installed.
    Of an animation, the first frame. The colours of a file with an ICC profile (Display P3, Adobe RGB …) are converted,
    those that sRGB lacks to the nearest that it has; a broken profile, and one of 16 bits, count as sRGB.
    Raises ValueError, in one sentence, for a file that is missing, broken or no picture.
    """
    try:
        heic = _is_heic(path)
        with contextlib.suppress(ImportError):
            if heic:
                importlib.import_module("pillow_heif").register_heif_opener()
        with Image.open(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16 bits, which Pillow may also give as 32
                pixels = np.asarray(image, dtype=np.float32)[..., None].repeat(3, 2) / 65535
            else:
                pixels = np.asarray(_on_white(image), dtype=np.float32) / 255
    except Exception as error:  # every format's reader has its own for a broken file
        reason = "no format that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
        if isinstance(error, UnidentifiedImageError) and heic:
            reason = "it is HEIC, install pillow-heif to read it"
        raise ValueError(f"{path} could not be read as a picture: {' '.join(reason.split())}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).clamp(0, 1)


def _is_heic(path: str | Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


def _on_white(image: Image.Image) -> Image.Image:
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colors = _in_srgb(image)
    if alpha is None:
        return colors
    colors.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colors).convert("RGB")


def _in_srgb(image: Image.Image) -> Image.Image:
    """The picture as RGB without alpha, its colours converted if it says, in a way that can be read, what they mean."""
    profile = image.info.get("icc_profile")
    opaque = image.convert(image.mode.rstrip("Aa")) if image.mode in ("RGBA", "LA", "PA") else image
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, ImportError):  # some Pillows lack it
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = PROFILED.get(source.profile.xcolor_space.strip(), {}).get(opaque.mode)
            if mode is not None:
                target = ImageCms.createProfile("sRGB")
                return ImageCms.profileToProfile(opaque.convert(mode), source, target, outputMode="RGB")
    return (image.convert("RGBA") if image.has_transparency_data else image).convert("RGB")


def square(picture: Float[Tensor, "channels height width"], size: Count = 128) -> UInt8[Tensor, "channels size size"]:
    """The middle of a picture in [0, 1], as wide as its shorter side, scaled to size × size; 8 bits."""
    check_some(picture=picture)
    height, width = picture.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = picture[None, :, top : top + side, left : left + side]
    scaled = F.interpolate(middle, (size, size), mode="bicubic", antialias=True)[0]
    return (255 * scaled).round().clamp(0, 255).to(torch.uint8)


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
