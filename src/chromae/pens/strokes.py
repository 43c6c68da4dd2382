"""From strokes that have learnt to lines for N pens, in the order in which they are drawn."""

from jaxtyping import Float, Int
from torch import Tensor

from chromae import color
from chromae.arguments.kinds import Count, Finite, Positive, Size
from chromae.pens.hatching import WHITE, Layer, Plot, Rgb, name_of, ordered


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
    layers = []
    for index in color.rgb_to_oklab(palette)[:, 0].argsort(descending=True).tolist():
        mine = placed[chosen == index].cpu().numpy()
        if len(mine):
            rgb = tuple(palette[index].tolist())
            layers.append(Layer(f"{len(layers) + 1}-{name_of(rgb)}", rgb, ordered(list(mine))))
    return Plot(page, (left, top, left + room * width, top + room * height), room * pen_width, paper, layers)
