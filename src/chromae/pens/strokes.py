"""From strokes that have learnt to lines for N pens, in the order in which they are drawn."""

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from chromae import color
from chromae.arguments.kinds import Count, Finite, Positive, Size
from chromae.pens.hatching import WHITE, Layer, Line, Plot, Rgb, name_of, ordered


def plot_strokes(
    lines: Float[Tensor, "strokes points 2"],
    chosen: Int[Tensor, " strokes"],
    palette: Float[Tensor, "n 3"],
    height: Count,
    width: Count,
    pen_width: Positive,
    page: tuple[Finite, Finite] = (105.0, 148.0),
    margin: Size = 7.5,
    paper: Rgb = WHITE,
) -> Plot:
    """One line a stroke, with the pen that it has chosen, from the lightest pen to the darkest.

    What runs off the picture is cut off at its edge, so a stroke may come out in pieces, or not at all.
    x and y of `lines` are in units of the longer side of a picture of `height` × `width`; `pen_width` is in its pixels.
    The picture is as large as the page and its margins (in mm) allow, in the middle, and the plot's pen as much wider:
    on a postcard a pen of 2.5 of 224 pixels is 1 mm wide. Raises ValueError for a page without room inside its
    margins, for colours outside [0, 1], and for pens that the palette does not have.
    """
    room = min((side - 2 * margin) / pixels for side, pixels in zip(page, (width, height), strict=True))
    if room <= 0:
        raise ValueError(f"page is {page[0]:g} × {page[1]:g} mm, expected more than twice the margin, {margin:g} mm")
    color.check(palette=palette)
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(palette):
        raise ValueError(f"chosen runs from {chosen.min()} to {chosen.max()}, expected 0 to {len(palette) - 1}")
    left, top = (page[0] - room * width) / 2, (page[1] - room * height) / 2
    placed = lines.detach().double() * room * max(height, width) + lines.new_tensor([left, top]).double()
    box, layers = (left, top, left + room * width, top + room * height), []
    for index in color.rgb_to_oklab(palette)[:, 0].argsort(descending=True).tolist():
        mine = [piece for line in placed[chosen == index].cpu().numpy() for piece in _inside(line, box)]
        if mine:
            rgb = tuple(palette[index].tolist())
            layers.append(Layer(f"{len(layers) + 1}-{name_of(rgb)}", rgb, ordered(mine)))
    return Plot(page, box, room * pen_width, paper, layers)


def _inside(line: Line, box: tuple[float, float, float, float]) -> list[Line]:
    """The pieces of a line within a box: left, top, right, bottom (Liang and Barsky, 1984)."""
    start, step = line[:-1], np.diff(line, axis=0)
    low, high = np.reshape(box, (2, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.stack([(low - start) / step, (high - start) / step])  # at which a segment meets the four edges
    # A segment that does not move along an axis lies between its two edges always, or never.
    between = np.where((low <= start) & (start <= high), np.inf, -np.inf)
    enters = np.where(step == 0, -between, times.min(0)).max(1).clip(min=0)
    leaves = np.where(step == 0, between, times.max(0)).min(1).clip(max=1)
    seen, pieces = enters < leaves, []
    for index in np.flatnonzero(seen):
        begin, end = (start[index] + time[index] * step[index] for time in (enters, leaves))
        if index and seen[index - 1] and leaves[index - 1] == 1 and enters[index] == 0:
            pieces[-1].append(end)
        else:
            pieces.append([begin, end])
    return [np.array(piece) for piece in pieces]
