"""PNGs in fewer bytes: all that is published is cloned."""

import io

from PIL import Image


def smaller(data: bytes) -> bytes:
    """A PNG of the same pixels, without an alpha that hides nothing, and with numbers for colours where they are few.

    As it came if that is not smaller, if a channel has 16 bits, or if it moves. Raises ValueError for what is no PNG.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
    except Exception as error:  # Pillow has many for broken files
        raise ValueError(f"data is no PNG ({error})") from error
    if data[24] == 16 or image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA") or getattr(image, "n_frames", 1) > 1:
        return data
    plain = image.convert("RGBA")
    if plain.getextrema()[3] == (255, 255):
        plain = plain.convert("RGB")
        few = plain.quantize(256, dither=Image.Dither.NONE) if plain.getcolors(256) else None
        plain = few if few is not None and few.convert("RGB").tobytes() == plain.tobytes() else plain
    made = io.BytesIO()
    plain.save(made, "PNG", optimize=True, dpi=image.info.get("dpi"))
    return min(data, made.getvalue(), key=len)
