"""What the gallery shows of an explorer before it is opened: what its own networks make of its own data, 16 to 9."""

import re
from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import nn

from chromae import datasets, settings
from chromae.arguments.kinds import Count
from chromae.datasets import sprites
from chromae.explorer import scene, still
from chromae.figures import cube
from chromae.models.color_autoencoder import color_map
from chromae.records import weights

Picture = UInt8[np.ndarray, "height width 3"]
ACROSS, DOWN = 16, 9  # tiles


def lab() -> Picture:
    """The plane and its sheet in the cube, as they stand side by side in the lab."""
    model = weights.pretrained("color_epochs")[-1]
    turned = cube.view(color_map(model, 29).numpy() / 255.0, size=360)[:, 20:340]
    return np.concatenate([color_map(model, 360).numpy()[:, 20:340], turned], axis=1)


def colors() -> Picture:
    """The plane after the last epoch, and below it how it came about."""
    every = weights.pretrained("color_epochs")
    steps = [color_map(every[epoch - 1], 80).numpy() for epoch in (1, 5, 10, 15, 20, 30, 60, 120)]
    return np.concatenate([color_map(every[-1], 640).numpy()[180:460], tiled(steps, 8)])


def digits() -> Picture:
    """What an autoencoder decodes over its plane, and a VAE over its own."""
    images = scene.floats(datasets.digits()[1].images[:1000])
    halves = []
    for name in ("digits_autoencoder_2", "digits_vae_2"):
        model = weights.pretrained(name)
        low, high = scene.codes_of(model, images).quantile(torch.tensor([0.02, 0.98]), 0)
        x, y = torch.linspace(low[0], high[0], ACROSS // 2), torch.linspace(high[1], low[1], DOWN)
        codes = torch.cartesian_prod(y, x).flip(1)
        halves.append(tiled(still.decoded(model, codes, (2,)), ACROSS // 2))
    return np.concatenate(halves, axis=1)


def shapes() -> Picture:
    """Shapes in the order of their codes by form: along the first principal direction, then up the second."""
    world = partial(sprites.factors, hues=8, background=(0.1, 0.1))
    images = scene.floats(datasets.shapes(ACROSS * DOWN, 7, 128, "cpu", world).images)
    codes = scene.codes_of(weights.pretrained("shapes_by_form"), images)
    first, second = torch.linalg.svd(codes - codes.mean(0)).U[:, :2].T
    columns = [column[second[column].argsort()] for column in first.argsort().view(ACROSS, DOWN)]
    small = nn.functional.interpolate(images[torch.stack(columns, 1).flatten()], 40, mode="area")
    return tiled(still.pixels(small), ACROSS)


def photos() -> Picture:
    """Photos, and to the right of each what comes back."""
    images = scene.floats(datasets.photos()[2].images[: ACROSS * DOWN // 2])
    model = weights.pretrained("photos_residual_64")
    codes = scene.codes_of(model, images)
    back = still.decoded(model, codes, codes.shape[1:])
    return tiled(np.stack([still.pixels(images), back], 1).reshape(-1, *back.shape[1:]), ACROSS)


def pens() -> Picture:
    """The middle of the plot, its lines drawn again."""
    drawing = (settings.ROOT / "images" / "pen_plot.svg").read_text(encoding="utf-8")
    image = Image.new("RGB", (120 * ACROSS, 120 * DOWN), "white")  # three times as large, which smooths lines
    pen, color = ImageDraw.Draw(image), ""
    for stroke, points in re.findall(r'stroke="(#\w+)"|points="([^"]*)"', drawing):
        color = stroke or color
        places = [12 * float(it) for it in re.findall("[^ ,]+", points)]
        pen.line([(x - 300, y - 1100) for x, y in zip(places[::2], places[1::2], strict=True)], color, 6)
    return np.asarray(image.reduce(3))


def tiled(pictures: Iterable[UInt8[np.ndarray, "high wide channels"]], across: Count) -> Picture:
    """Pictures of one size row by row, without gaps; grey ones as RGB."""
    tiles = np.stack(list(pictures))
    count, high, wide = tiles.shape[:3]
    tiles = np.broadcast_to(tiles, (count, high, wide, 3)).reshape(count // across, across, high, wide, 3)
    return tiles.swapaxes(1, 2).reshape(count // across * high, across * wide, 3)
