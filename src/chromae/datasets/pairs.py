"""Two views of one shape, for contrastive learning: what a view changes, an embedding learns to forget.

A view is a change of the true factors, drawn anew: exact, and without resampling a picture.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from chromae.arguments import gave
from chromae.arguments.kinds import Count, Part
from chromae.arguments.precision import check_some, in_float32
from chromae.color import hsv_to_rgb, rgb_to_hsv
from chromae.datasets.sprites import Factors, draw, vivid

View = Callable[[Factors, Generator], Factors]


def crop(shapes: Factors, generator: Generator, smallest: float = 0.5) -> Factors:
    """A square window of `smallest` to all of the image's width, anywhere in it, enlarged to fill the view."""
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest is {smallest}, expected a part of the width in (0, 1]")
    width, x, y = _uniform(shapes, generator, 3)
    width = smallest + (1 - smallest) * width
    corner = torch.stack([x, y], dim=1) * (1 - width)[:, None]
    return shapes._replace(center=(shapes.center - corner) / width[:, None], radius=shapes.radius / width)


def recolor(shapes: Factors, generator: Generator) -> Factors:
    """Another colour of the same distribution as `shapes.factors` draws."""
    return shapes._replace(color=vivid(torch.stack(_uniform(shapes, generator, 3), dim=1)))


def replace_background(shapes: Factors, generator: Generator, background: tuple[Part, Part] = (0.0, 1.0)) -> Factors:
    """Another grey behind the shape, uniform in the range `background`.

    Raises ValueError for a range out of order.
    """
    low, high = background
    if low > high:
        raise ValueError(f"background is {background}, expected (darkest, lightest) grey in [0, 1]")
    (grey,) = _uniform(shapes, generator, 1)
    return shapes._replace(background=(low + (high - low) * grey)[:, None].expand(-1, 3).contiguous())


def rotate(shapes: Factors, generator: Generator) -> Factors:
    """Turned about its centre by any angle."""
    (turn,) = _uniform(shapes, generator, 1)
    return shapes._replace(angle=shapes.angle + 2 * math.pi * turn)


def jitter_hue(shapes: Factors, generator: Generator, most: Part = 0.08) -> Factors:
    """Hue moved by at most `most` turns either way: positives of near colours, so that near colours lie near."""
    (shift,) = _uniform(shapes, generator, 1)
    hue, saturation, value = rgb_to_hsv(shapes.color).unbind(-1)
    hue = (hue + most * (2 * shift - 1)) % 1
    return shapes._replace(color=hsv_to_rgb(torch.stack([hue, saturation, value], dim=1)))


def pair(
    shapes: Factors, generator: Generator, views: tuple[View, ...], size: Count = 128
) -> Float[Tensor, "n 2 3 size size"]:
    """Anchors and positives: the shapes as they are, and after every view in turn.

    Colours outside [0, 1] are refused on a CPU alone, as by `draw` with `trusted`.
    """
    changed = shapes
    for view in views:
        changed = gave("one of views", view(changed, generator), Factors)
    return torch.stack([draw(shapes, size, trusted=True), draw(changed, size, trusted=True)], dim=1)


@in_float32
def measured_color(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n 3"]:
    """RGB of what stands before a plain ground, from the pictures alone: the mean of the pixels that are not ground.

    The ground is the median of the picture's border in every channel. The pixels that count differ from it by nine
    tenths or more of what the farthest one does, which leaves out the antialiased ones of an edge.
    Raises ValueError for pictures without pixels.
    """
    check_some(images=images)
    edges = [images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1]]
    ground = torch.cat(edges, dim=2).median(2).values
    apart = (images - ground[:, :, None, None]).square().sum(1, keepdim=True)
    counts = (apart >= 0.9**2 * apart.amax((2, 3), keepdim=True)).to(images)
    return (counts * images).sum((2, 3)) / counts.sum((2, 3))


def _uniform(shapes: Factors, generator: Generator, columns: int) -> tuple[Float[Tensor, " n"], ...]:
    return torch.rand(columns, len(shapes.kind), generator=generator, device=generator.device).unbind(0)
