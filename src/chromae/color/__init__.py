"""Colours: spaces, by function and by name, how far apart two colours look, and curves through all of them."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from chromae.color.perception import (
    delta_e,
    lab_to_rgb,
    linear_to_rgb,
    oklab_to_rgb,
    oklch_to_rgb,
    rgb_to_lab,
    rgb_to_linear,
    rgb_to_oklab,
    rgb_to_oklch,
)
from chromae.color.spaces import (
    LUMA,
    check,
    cone_to_rgb,
    hsl_to_rgb,
    hsv_to_rgb,
    rgb_to_cone,
    rgb_to_hsl,
    rgb_to_hsv,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)

__all__ = [
    "LUMA",
    "NAMES",
    "Space",
    "check",
    "cone_to_rgb",
    "delta_e",
    "hsl_to_rgb",
    "hsv_to_rgb",
    "lab_to_rgb",
    "linear_to_rgb",
    "oklab_to_rgb",
    "oklch_to_rgb",
    "rgb_to_cone",
    "rgb_to_hsl",
    "rgb_to_hsv",
    "rgb_to_lab",
    "rgb_to_linear",
    "rgb_to_oklab",
    "rgb_to_oklch",
    "rgb_to_ycbcr",
    "space",
    "ycbcr_to_rgb",
]


class Space(NamedTuple):
    """A colour space: what its three numbers are called, and the functions from sRGB to it and back."""

    axes: tuple[str, str, str]
    to: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


def space(name: str) -> Space:
    """The colour space of this name, one of `NAMES`: "RGB", "CIELAB" … Raises ValueError for another."""
    if name not in _SPACES:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(_SPACES)}")
    return _SPACES[name]


def _same(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    return rgb


_SPACES = {
    "RGB": Space(("R", "G", "B"), _same, _same),
    "linear RGB": Space(("R", "G", "B"), rgb_to_linear, linear_to_rgb),
    "YCbCr": Space(("Y", "Cb", "Cr"), rgb_to_ycbcr, ycbcr_to_rgb),
    "CIELAB": Space(("L", "a", "b"), rgb_to_lab, lab_to_rgb),
    "OKLab": Space(("L", "a", "b"), rgb_to_oklab, oklab_to_rgb),
    "OKLCh": Space(("L", "C", "h"), rgb_to_oklch, oklch_to_rgb),
    "HSV": Space(("H", "S", "V"), rgb_to_hsv, hsv_to_rgb),
    "HSL": Space(("H", "S", "L"), rgb_to_hsl, hsl_to_rgb),
    "HSV, hue as a pair": Space(("C cos h", "C sin h", "V"), rgb_to_cone, cone_to_rgb),
}


NAMES = tuple(_SPACES)
