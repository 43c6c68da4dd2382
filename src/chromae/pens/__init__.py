"""From a picture of few colours, or of strokes, to lines for N pens, as SVG."""

from chromae.pens.hatching import (
    OVERLAP,
    SAME,
    WHITE,
    Layer,
    Line,
    Plot,
    Rgb,
    contours,
    hatches,
    name_of,
    ordered,
    plot,
    regions,
    statistics,
)
from chromae.pens.strokes import plot_strokes
from chromae.pens.svg import rasterise, save

__all__ = [
    "OVERLAP",
    "SAME",
    "WHITE",
    "Layer",
    "Line",
    "Plot",
    "Rgb",
    "contours",
    "hatches",
    "name_of",
    "ordered",
    "plot",
    "plot_strokes",
    "rasterise",
    "regions",
    "save",
    "statistics",
]
