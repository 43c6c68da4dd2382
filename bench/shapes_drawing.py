"""Drawing shapes: ours against Pillow, on one core, at equal or better edges."""

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from side_by_side import compare

from chromae import datasets, settings, training
from chromae.datasets import sprites
from chromae.models import conv, convex
from chromae.models.autoencoder import Autoencoder, clamp

COUNT, SIZE = 256, 128


def shapes_render() -> dict:
    """256 shapes of 128 × 128: ours against Pillow's fastest way, a mask drawn 4 × as large, reduced, and pasted."""
    return _render(_pillow_mask)


def shapes_render_vs_rgb4x() -> dict:
    """The same against Pillow's usual way, the picture itself drawn 4 × as large and reduced."""
    return _render(_pillow_rgb)


def shapes_data_cost() -> dict:
    """Training on shapes drawn for every batch, against the same steps on as many that lie in memory."""
    count, batch = 1024, 32
    model = Autoencoder(conv.shapes_encoder(128), convex.ConvexDecoder(128), clamp).to(
        memory_format=torch.channels_last
    )
    start = {name: value.clone() for name, value in model.state_dict().items()}
    held = datasets.shapes(count).images

    def train(data, **options) -> None:
        model.load_state_dict(start)
        objective = convex.sparse_reconstruction_objective()
        training.fit(model, data, objective, epochs=1, batch_size=batch, bf16=True, **options)

    with settings.one_thread():
        return compare(
            lambda: train(datasets.shape_images(), epoch_size=count), lambda: train(held), rounds=9, cost=True
        )


def _render(pillow) -> dict:
    made = sprites.factors(COUNT, torch.Generator().manual_seed(0))
    memory = torch.empty(COUNT, 3, SIZE, SIZE)
    specifications = _specifications(made)
    exact = [_pillow_rgb(each, 16) for each in specifications[:64]]
    edges = {
        "ours": _error([_to_array(image) for image in sprites.draw(made, SIZE)[:64]], exact),
        "theirs": _error([pillow(each) for each in specifications[:64]], exact),
    }
    if edges["ours"] > edges["theirs"]:
        raise AssertionError(f"our edges are worse than Pillow's: MSE {edges}, against 16 × 16 samples a pixel")
    with settings.one_thread():
        measured = compare(
            lambda: sprites.draw(made, SIZE, out=memory), lambda: [pillow(each) for each in specifications], rounds=21
        )
    return measured | {f"edge_mse_{side}": error for side, error in edges.items()}


def _to_array(image: torch.Tensor) -> np.ndarray:
    return (255 * image).round().byte().permute(1, 2, 0).numpy()


def _error(images: list, exact: list) -> float:
    pairs = zip(images, exact, strict=True)
    return float(np.mean([np.square(np.asarray(a, float) - np.asarray(b, float)).mean() for a, b in pairs])) / 255**2


def _specifications(made: sprites.Factors) -> list[tuple]:
    """What Pillow needs, as plain numbers: kind, place, radius, angle, colour, ground."""
    parts = (made.kind, made.center, made.radius, made.angle, 255 * made.color, 255 * made.background)
    rows = zip(*(part.tolist() for part in parts), strict=True)
    return [(*row[:4], tuple(map(round, row[4])), tuple(map(round, row[5]))) for row in rows]


def _pillow_rgb(specification: tuple, scale: int = 4) -> Image.Image:
    *_, color, ground = specification
    page = Image.new("RGB", (SIZE * scale, SIZE * scale), ground)
    _outline(ImageDraw.Draw(page), specification, scale, color)
    return page.reduce(scale)


def _pillow_mask(specification: tuple, scale: int = 4) -> Image.Image:
    *_, color, ground = specification
    mask = Image.new("L", (SIZE * scale, SIZE * scale))
    _outline(ImageDraw.Draw(mask), specification, scale, 255)
    page = Image.new("RGB", (SIZE, SIZE), ground)
    page.paste(color, mask=mask.reduce(scale))
    return page


def _outline(draw: ImageDraw.ImageDraw, specification: tuple, scale: int, fill: int | tuple) -> None:
    """A shape of the three kinds of the source, in Pillow's coordinates: pixels are named by their centres."""
    kind, (x, y), radius, angle, *_ = specification
    width = SIZE * scale
    x, y, radius = x * width - 0.5, y * width - 0.5, radius * width
    if sprites.KINDS[kind] == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        return
    sides = {"triangle": 3, "square": 4}[sprites.KINDS[kind]]
    turns = [angle + math.pi / sides + 2 * math.pi * side / sides for side in range(sides)]
    draw.polygon([(x + radius * math.cos(turn), y - radius * math.sin(turn)) for turn in turns], fill=fill)
