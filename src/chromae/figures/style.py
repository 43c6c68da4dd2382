"""One palette, one ink, one font for figures and films."""

import functools
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib import cycler
from PIL import ImageColor, ImageFont

from chromae.arguments.kinds import Count

# Okabe and Ito's colour-blind-safe palette (https://jfly.uni-koeln.de/color/).
VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
INK, FAINT, PAPER = "#222222", "#969696", "#FFFFFF"
COLORS = tuple(ImageColor.getrgb(name) for name in (VERMILLION, BLUE, GREEN, PURPLE))  # of curves and titles in films
# Petroff's ten colours for classes, tested for colour-vision deficiency and for names (arXiv:2107.02270), in an order
# in which the digits 3, 5 and 8, which lie together, have three of the most unlike ones. The first two are greys.
CLASSES = (
    (148, 164, 162), (113, 117, 129), (189, 31, 1), (63, 144, 218), (131, 45, 182),
    (169, 107, 89), (231, 99, 0), (185, 172, 112), (255, 169, 14), (146, 218, 221),
)  # fmt: skip


def use(quality: Count = 70) -> None:
    """Set the one figure style: colour-blind-safe, light, readable in a talk.

    In a notebook, figures are kept as JPEG of this quality: colour gradients in a third of PNG's room, and that by a
    tenth smaller, of the same pixels, with Huffman tables of its own and coarse to fine.
    """
    ipython = sys.modules.get("IPython")  # which a notebook has imported; a script may not have it at all
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        how = {"quality": quality, "optimize": True, "progressive": True}
        set_matplotlib_formats("jpeg", bbox_inches="tight", pil_kwargs=how)
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=[VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY]),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#888888",
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "axes.labelsize": 10,
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "font.size": 10,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "savefig.dpi": 150,
            "text.color": INK,
        }
    )


def fitting(text: str, size: int, width: float) -> ImageFont.FreeTypeFont:
    """The font in this size, or in the largest below it that sets the text no wider than this many pixels."""
    return next((one for one in map(font, range(size, 7, -1)) if one.getlength(text) <= width), font(7))


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries: it has −, ×, Δ, ² and é, which Pillow's own font lacks."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
