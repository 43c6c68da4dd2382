"""Augmentation: a picture seen again and again, each time a little otherwise: turned, enlarged, moved, blurred."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from chromae.arguments.kinds import Finite, Natural, Size
from chromae.arguments.precision import check_some


def views(
    image: Float[Tensor, "channels height width"],
    uniform: Float[Tensor, "count 5"],
    turn: Finite = 15.0,
    zoom: Finite = 0.1,
    shift: Finite = 0.06,
    blur: Size = 0.0,
) -> Float[Tensor, "count channels height width"]:
    """Views of a picture, differentiable, in one `grid_sample`; beyond its edges it is mirrored.

    Each follows from five random numbers in [0, 1]. It is turned by up to ± `turn` degrees, scaled by up to
    1 ± `zoom`, moved by up to ± `shift` of its width and height, and blurred by a Gaussian of up to `blur` pixels.
    What a neuron likes only at one place and angle is noise; what it likes in all of these is its subject.
    """
    check_some(image=image, uniform=uniform)
    if blur > max(image.shape[1:]):
        raise ValueError(f"blur is {blur:g} pixels, expected no more than the picture has, {max(image.shape[1:])}")
    count, symmetric = len(uniform), 2 * uniform - 1
    angle = math.radians(turn) * symmetric[:, 0]
    scale = 1 / (1 + zoom * symmetric[:, 1])
    height, width = image.shape[1:]
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = [
        torch.stack([cos, -sin * height / width, 2 * shift * symmetric[:, 2]], dim=1),
        torch.stack([sin * width / height, cos, 2 * shift * symmetric[:, 3]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), [count, *image.shape], align_corners=False)
    views = F.grid_sample(
        image.expand(count, -1, -1, -1), grid, padding_mode="reflection", align_corners=False, mode="bilinear"
    )
    if blur == 0:
        return views
    return blurred(views, blur * uniform[:, 4], reach=math.ceil(2.5 * blur))


def blurred(
    images: Float[Tensor, "n channels height width"], sigma: Float[Tensor, " n"], reach: Natural
) -> Float[Tensor, "n channels height width"]:
    """Every picture under a Gaussian of its own σ, in pixels, cut off at `reach` pixels; edges are repeated."""
    check_some(images=images)
    places = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.softmax(-places.square() / (2 * sigma.clamp_min(1e-3).square()[:, None]), dim=1)
    kernel = kernel.repeat_interleave(images.shape[1], 0)[:, None]
    flat = F.pad(images, (reach, reach, reach, reach), mode="replicate").flatten(0, 1)[None]
    flat = F.conv2d(flat, kernel[:, :, None], groups=len(kernel))
    return F.conv2d(flat, kernel[..., None], groups=len(kernel))[0].unflatten(0, images.shape[:2])


def mirror(images: Float[Tensor, "n *place width"], generator: Generator) -> Float[Tensor, "n *place width"]:
    """Half of the images, drawn at random, turned left to right."""
    turned = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return torch.where(turned.view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)


def shift(
    images: Float[Tensor, "n channels height width"], most: int, generator: Generator
) -> Float[Tensor, "n channels height width"]:
    """Every image moved by up to `most` pixels each way; what comes in at an edge mirrors what is inside of it.

    Raises ValueError unless `most` is smaller than the images: there is nothing farther inside to mirror.
    """
    if not 0 <= most < min(images.shape[2:]):
        raise ValueError(
            f"most is {most}, expected 0 to {min(images.shape[2:]) - 1} pixels, for images of "
            f"{images.shape[2]} × {images.shape[3]}"
        )

    def places(size: int) -> Int[Tensor, "n size"]:
        by = torch.randint(-most, most + 1, (len(images), 1), generator=generator, device=images.device)
        moved = torch.arange(size, device=images.device) + by
        return size - 1 - (size - 1 - moved.abs()).abs()

    rows, columns = places(images.shape[2]), places(images.shape[3])
    each = torch.arange(len(images), device=images.device)
    return images.movedim(1, -1)[each[:, None, None], rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
