"""What the gallery lets a reader touch: one page each, of published weights and real data, and nothing is trained."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator

from chromae import datasets, settings
from chromae.datasets import sprites
from chromae.explorer import lab, page, posters
from chromae.explorer.one_file import save_html
from chromae.records import weights

MNIST = "Digits: MNIST (LeCun, Cortes and Burges), CC BY-SA 3.0."
CIFAR = "Photos: CIFAR-10 (Krizhevsky 2009), test set; no licence is stated, its author asks to be cited."
OURS = "Network: trained by this project's notebooks, MIT licence."


class Exhibit(NamedTuple):
    """A page: its file, title, question and answer, its notebook, what draws its poster, and what writes it."""

    file: str
    title: str
    question: str
    answer: str
    notebook: str
    poster: Callable[[], posters.Picture]
    write: Callable[[str | Path], Path]


def colors(path: str | Path) -> Path:
    """The map is the decoder, at every epoch of a run of 17 numbers."""
    every = weights.pretrained("color_epochs")
    points = datasets.colors(800, Generator().manual_seed(0))
    state = {"dots": False, "holes": False}
    return save_html(every, points, path=path, title="A colour through two numbers", state=state, credits=[OURS])


def digits(path: str | Path) -> Path:
    """Two planes under one finger: an autoencoder's and a VAE's."""
    both = [("autoencoder", weights.pretrained("digits_autoencoder_2")), ("VAE", weights.pretrained("digits_vae_2"))]
    _, test = datasets.digits()
    return save_html(
        both, test.images, test.labels, path, title="Digits through two numbers", shades=5, credits=[MNIST, OURS]
    )


def shapes(path: str | Path) -> Path:
    """Embeddings of the same shapes, sorted by colour and by form."""
    both = [("by colour", weights.pretrained("shapes_by_color")), ("by form", weights.pretrained("shapes_by_form"))]
    world = partial(sprites.factors, hues=8, background=(0.1, 0.1))  # what they were trained on
    made = datasets.shapes(500, 7, 128, "cpu", world)
    kinds = made.factors.kind
    return save_html(
        both, made.images, kinds, path, title="Shapes that sort themselves", classes=sprites.SOURCE_KINDS,
        encoder=[False, True], credits=[OURS],
    )  # fmt: skip


def photos(path: str | Path) -> Path:
    """Photos through 64 numbers: planes, sliders, and your own photo."""
    _, _, test = datasets.photos()
    model = weights.pretrained("photos_residual_64")
    with torch.no_grad():
        code = model.encode(test.images[1:2] / 255)[0].tolist()  # a ship, to begin with
    return save_html(
        model, test.images[:1000], test.labels[:1000], path, title="Photos through 64 numbers",
        classes=datasets.PHOTOS, state={"z": [round(it, 4) for it in code]}, credits=[CIFAR, OURS],
    )  # fmt: skip


def pens(path: str | Path) -> Path:
    """A neuron's picture for a plotter, its pens on and off."""
    drawing = (settings.ROOT / "images" / "pen_plot.svg").read_text(encoding="utf-8")
    return page.save(path, "plot", plot_scene(drawing), drawing.encode(), title="A neuron's picture, for six pens")


def plot_scene(drawing: str) -> dict[str, object]:
    """What plot.js needs to know of an SVG with a layer a pen: names, colours, metres of ink and strokes.

    Raises ValueError for one without layers.
    """
    layer = re.compile(r'<g [^>]*inkscape:label="([^"]*)" id="([^"]*)"[^>]*stroke="(#\w+)"[^>]*>(.*?)</g>', re.DOTALL)
    found = [
        {"name": name, "id": key, "color": color} | _ink(body) for name, key, color, body in layer.findall(drawing)
    ]
    if not found:
        raise ValueError("drawing has no layers, expected an SVG with one for each pen, as pens.svg writes it")
    return {
        "title": "A neuron's picture, for pens",
        "intro": ["The picture was learnt pixel by pixel to excite a neuron, then hatched for pens. Take one away."],
        "alt": f"A plot for {len(found)} pens",
        "note": f"{OURS} Neuron: EfficientNet-Lite0 trained on ImageNet, weights under Apache-2.0. Notebook 10.",
        "pens": found,
        "state": {"off": [], "zoom": 1},
    }


def _ink(body: str) -> dict[str, float]:
    """Metres and strokes of a layer's polylines, whose units are millimetres."""
    lines = re.findall(r'points="([^"]*)"', body)
    places = [torch.tensor([float(it) for it in re.split("[ ,]", line)]).view(-1, 2) for line in lines]
    length = sum(line.diff(dim=0).norm(dim=1).sum().item() for line in places)
    return {"metres": round(length / 1000, 3), "strokes": len(lines)}


EXHIBITS = (
    Exhibit(
        "lab.html", "The colour lab", "What does one misplaced line do to a network that learns?",
        "Flip the switch and it flickers: {01_color_autoencoder metrics.frame_change_as_published:.1f} of "
        "255 from epoch to epoch, where it should be {01_color_autoencoder metrics.frame_change_fixed:.2f}.",
        "01_color_autoencoder", posters.lab, lab.save_lab,
    ),
    Exhibit(
        "colors.html", "Colours, epoch by epoch", "How do 17 numbers find out what colour is?",
        "Slide through all epochs: after 120 the error is "
        "{01_color_autoencoder metrics.mse_fixed_at_published_length:.4f}, the best linear code's 0.0278.",
        "01_color_autoencoder", posters.colors, colors,
    ),
    Exhibit(
        "digits.html", "Digits: autoencoder and VAE", "What lies between two digits, and where is nobody at home?",
        "Two numbers tell {03_digits_autoencoder metrics.film_knn_accuracy_z2:.2f} of the digits apart; see "
        "what either decodes where no digit is.",
        "04_digits_vae", posters.digits, digits,
    ),
    Exhibit(
        "shapes.html", "Shapes, sorted by colour and by form", "What does an embedding keep of a shape?",
        "What tells shapes apart in spite of its views: form, found in "
        "{08_shapes_contrastive metrics.infonce_recolor_shape_knn5:.2f} of nearest neighbours once colours change "
        "between views.",
        "08_shapes_contrastive", posters.shapes, shapes,
    ),
    Exhibit(
        "photos.html", "Photos through 64 numbers", "What do 64 numbers hold of a photo?",
        "Light, colour and arrangement: MSE {05_photos_autoencoder metrics.best_64_test_mse:.5f}, where the "
        "best linear code has {05_photos_autoencoder metrics.pca_64_test_mse:.5f}.",
        "05_photos_autoencoder", posters.photos, photos,
    ),
    Exhibit(
        "pens.html", "Pens on and off", "Does a picture for pens need all of them?",
        "Look for yourself, pen by pen: {10_pen_plot metrics.plot_pen_down:.1f} m of ink in all.",
        "10_pen_plot", posters.pens, pens,
    ),
)  # fmt: skip
