"""Space-filling curves, and with them an exact map of all colours onto a picture: three numbers in two, none lost."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Integer, UInt8, UInt16

Order = UInt8[np.ndarray, "n axes"] | UInt16[np.ndarray, "n axes"]


def hilbert(bits: int, axes: int) -> Order:
    """The points of a cube of 2^bits a side, of 2 or 3 axes, in the order of Hilbert's curve: each beside the next.

    It starts at the origin and ends at the far end of one axis. Built from the curve of one bit less, turned and
    mirrored into each half, quarter or eighth of the cube, by the rules of Hamilton and Rau-Chaplin, "Compact Hilbert
    indices", 2008, section 2; the curve of 2 axes is Hilbert's own, that of 3 follows Butz's. A table of 2^24 points
    takes well under a second. Raises ValueError for bits outside 1 … 16, other axes, and tables beyond 2^26 points.
    """

    def turned(points: Order, part: int, side: int) -> Order:
        before = max(part - 1, 0) // 2 * 2
        entry = before ^ before >> 1
        ones = part if part % 2 else max(part - 1, 0)
        turn = (ones & ~(ones + 1)).bit_length() + 1  # the axis along which the part is crossed, and one
        for axis in range(axes):
            column = points[:, (axis - turn) % axes]
            yield side - 1 - column if entry >> axis & 1 else column

    return _grown(bits, axes, turned, lambda part: part ^ part >> 1)


def morton(bits: int, axes: int) -> Order:
    """The points of such a cube in the order of their interleaved bits (Z-order): simpler than Hilbert's, with jumps.

    Raises ValueError as `hilbert` does.
    """
    return _grown(bits, axes, lambda points, part, side: points.T, lambda part: part)


def _grown(bits: int, axes: int, turned: Callable, place: Callable[[int], int]) -> Order:
    """A curve of 2^bits a side: in every step copies of it, `turned`, go into the parts of a cube twice as large."""
    if axes not in (2, 3):
        raise ValueError(f"axes is {axes}, expected 2 or 3")
    if not (1 <= bits <= 16 and bits * axes <= 26):
        raise ValueError(f"bits is {bits}, expected 1 to {min(16, 26 // axes)} for {axes} axes")
    kind = np.uint8 if bits <= 8 else np.uint16
    points = np.zeros((1, axes), kind)
    for level in range(bits):
        side = 1 << level
        larger = np.empty((1 << axes, len(points), axes), kind)
        for part in range(1 << axes):
            for axis, column in enumerate(turned(points, part, side)):
                larger[part, :, axis] = column + kind(side * (place(part) >> axis & 1))
        points = larger.reshape(-1, axes)
    return points


def picture(colors: UInt8[np.ndarray, "n 3"], pixels: Integer[np.ndarray, "m 2"]) -> UInt8[np.ndarray, "side side 3"]:
    """The picture that shows the first colour at the first pixel (column, row), the second at the second, and so on.

    Colours and pixels are two orders, such as `hilbert(8, 3)` and `hilbert(12, 2)`, whose picture holds each of the
    16,777,216 colours once. Raises ValueError if one has more points than the other, or if pixels are no square.
    """
    side = _side(colors, pixels)
    made = np.empty((side, side, 3), np.uint8)
    made[pixels[:, 1], pixels[:, 0]] = colors
    return made


def places(
    colors: UInt8[np.ndarray, "n 3"], pixels: Integer[np.ndarray, "m 2"]
) -> UInt16[np.ndarray, "levels levels levels 2"]:
    """Where every colour stands in `picture`: the two numbers, column and row, that [red, green, blue] is coded by.

    Raises ValueError as `picture` does, and if the colours are no whole cube.
    """
    _side(colors, pixels)
    levels = round(len(colors) ** (1 / 3))
    if levels**3 != len(colors) or colors.max(initial=0) != levels - 1:
        raise ValueError(f"colors are {len(colors)}, expected a whole cube of them, the last of the highest level")
    made = np.empty((levels, levels, levels, 2), np.uint16)
    made[tuple(colors.T)] = pixels
    return made


def levels(rgb: Float[np.ndarray, "*n 3"]) -> UInt8[np.ndarray, "*n 3"]:
    """Colours in [0, 1] as 8-bit levels, rounded to the nearest. Raises ValueError for a colour outside [0, 1]."""
    if rgb.size and not (rgb.min() >= 0 and rgb.max() <= 1):
        raise ValueError(f"rgb runs from {rgb.min():g} to {rgb.max():g}, expected colours in [0, 1]")
    return (255 * rgb).round().astype(np.uint8)


def _side(colors: np.ndarray, pixels: np.ndarray) -> int:
    side = round(len(pixels) ** 0.5)
    if len(colors) != len(pixels):
        raise ValueError(f"pixels are {len(pixels)}, expected as many as colors, {len(colors)}: curves of equal bits")
    if side == 0:
        raise ValueError("pixels are none, expected a whole square of them")
    if side**2 != len(pixels) or pixels.min() != 0 or pixels.max() != side - 1:
        raise ValueError(f"pixels are {len(pixels)} from {pixels.min()} to {pixels.max()}, expected a whole square")
    return side
