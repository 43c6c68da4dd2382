"""A plot as SVG, and drawn again in pixels as a check.

The SVG follows what AxiDraw, vpype and saxi read: page and view box in millimetres, one top-level group a pen that
Inkscape takes for a layer, its label beginning with the pen's number, light pens first, polylines without fill.
"""

from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.colors import to_hex
from PIL import Image, ImageDraw
from torch import Tensor

from chromae import files
from chromae.arguments.kinds import Count
from chromae.pens.hatching import Plot


def save(plot: Plot, path: str | Path) -> Path:
    """Write a plot as SVG, to a temporary name first; the same plot gives the same bytes."""
    width, height = plot.page
    rows = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
        f'width="{width:g}mm" height="{height:g}mm" viewBox="0 0 {width:g} {height:g}">',
    ]
    for number, layer in enumerate(plot.layers, 1):
        rows.append(
            f'<g inkscape:groupmode="layer" inkscape:label={quoteattr(layer.name)} id="layer{number}" fill="none" '
            f'stroke="{to_hex(layer.color)}" stroke-width="{plot.pen_width:g}" stroke-linecap="round">'
        )
        for line in layer.lines:
            rows.append(f'<polyline points="{" ".join(f"{x:.2f},{y:.2f}" for x, y in line)}"/>')
        rows.append("</g>")
    with files.replacing(path) as part:
        part.write_text("\n".join([*rows, "</svg>", ""]), encoding="utf-8")
    return Path(path)


def rasterise(plot: Plot, size: Count, margins: bool = True) -> Float[Tensor, "3 h w"]:
    """What pens would leave on paper, `size` pixels wide, in [0, 1]: the page, or without `margins` the picture on it.

    Drawn four times as large and reduced; a later pen covers an earlier one.
    """
    left, top, right, bottom = (0.0, 0.0, *plot.page) if margins else plot.box
    scale = 4 * size / (right - left)
    page = Image.new("RGB", (4 * size, 4 * max(1, round(size * (bottom - top) / (right - left)))), to_hex(plot.paper))
    draw = ImageDraw.Draw(page)
    width = max(1, min(4 * size, round(plot.pen_width * scale)))
    for layer in plot.layers:
        for line in layer.lines:
            points = [tuple(point) for point in (line - [left, top]) * scale]
            draw.line(points, fill=to_hex(layer.color), width=width, joint="curve")
            for end in (points[0], points[-1]):  # a pen's tip is round
                draw.circle(end, width / 2, fill=to_hex(layer.color))
    return torch.from_numpy(np.array(page.reduce(4), dtype=np.float32) / 255).permute(2, 0, 1)
