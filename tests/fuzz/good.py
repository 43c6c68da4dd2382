"""A good call of every public function and class: from its signature, and from a table where that tells too little."""

import functools
import importlib
import inspect
import io
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import AbstractArray
from matplotlib.figure import Figure
from PIL import Image
from safetensors import safe_open
from torch import Generator, Tensor, nn

import chromae
from chromae import datasets, excitation, losses, pens, settings, training
from chromae.arguments.check import _name
from chromae.color import curves
from chromae.datasets import pairs, sprites
from chromae.figures import pages
from chromae.models import autoencoder, colorizer, convex, dense, embedder, leaves, palette, photos, strokes, vae
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.records import results, weights
from chromae.training import checkpoints, progress

SIZES = {"n": 6, "m": 5, "d": 4, "size": 16, "height": 16, "width": 16, "h": 16, "w": 16, "count": 3}
NUMBERS = {"n": 6, "size": 16, "steps": 5, "width": 8, "height": 16, "latent": 3, "out": 3, "hidden": 8, "k": 2}

# Left out, with the reason.
LEFT_OUT = {
    "training.distributed.join": "starts a group of processes",
    "training.distributed.from_first": "needs a group of processes",
    "training.distributed.share_weights": "needs a group of processes",
    "training.distributed.sum_gradients": "needs a group of processes",
    "training.distributed.all_agree": "needs a group of processes",
    "excitation.efficientnet_lite0": "takes no argument, and seconds",
    "excitation.feature_extractor": "makes that network, too",
    "excitation.googlenet": "takes no argument, and a download",
    "excitation.efficientnet_lite": "takes seconds",
    "excitation.efficientnet_lite_weights": "takes a network, and seconds",
}


# Rooms whose functions take whole networks with data that fit them, or figures in the making: tests/test_explore.py,
# test_export.py, test_site.py, test_widget.py and test_diagrams.py hold what these say of wrong arguments. And one that
# runs notebooks, of which test_running.py and test_verify.py hold that.
LEFT_ROOMS = ("explorer.", "figures.diagrams.", "running.")


class Mine(ValueError):
    """What a caller's own model or function says of what it cannot read: to be passed on as it is."""


class Tiny(nn.Module):
    """A caller's own model: images of 6 numbers ↔ 2 latents, strict about what comes in."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(6, 4), nn.Linear(2, 6)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim < 2 or x.shape[1:].numel() != 6 or not x.is_floating_point():
            raise Mine(f"this model reads 6 numbers an image, not {tuple(x.shape)}")
        return self.down(x.flatten(1).to(self.down.weight.dtype)).chunk(2, 1)

    def encode(self, x: Tensor) -> Tensor:
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        if z.shape[-1:] != (2,) or not z.is_floating_point():
            raise Mine(f"this model reads 2 latents, not {tuple(z.shape)}")
        return self.up(z.to(self.up.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x)).view_as(x)


class Other(nn.Linear):
    """A caller's model that can do nothing else."""

    def __init__(self):
        super().__init__(3, 3)

    def forward(self, *inputs: Tensor) -> Tensor:
        if len(inputs) != 1 or inputs[0].shape[-1:] != (3,) or inputs[0].dtype != torch.float32:
            raise Mine("this model reads 3 numbers")
        return super().forward(*inputs)


class Drawer(Tiny):
    """Two latents to pictures."""

    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z)[:, :3, None, None].sigmoid().expand(-1, -1, 4, 4)


def rand(*shape: int) -> Tensor:
    return 0.1 + 0.8 * torch.rand(shape, generator=Generator().manual_seed(len(shape) + sum(shape)))


def uint8(*shape: int) -> np.ndarray:
    return (255 * rand(*shape)).to(torch.uint8).numpy()


def generator() -> Generator:
    return Generator().manual_seed(1)


def a_png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (4, 3)).save(data, "PNG")
    return data.getvalue()


def made(n: int = 6) -> sprites.Factors:
    return sprites.factors(n, generator())


def classifier() -> excitation.Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    return excitation.Classifier(network, ["cat, puss", "dog", "fox"])


def labels() -> Tensor:
    return (torch.arange(64) // 8 % 2).view(8, 8)


def plot() -> pens.Plot:
    return pens.plot(labels(), rand(2, 3), page=(40.0, 40.0), margin=5.0, pen_width=1.0)


def autoencoded() -> autoencoder.Autoencoder:
    torch.manual_seed(0)
    return autoencoder.Autoencoder(dense.encoder((1, 4, 4), [8], 2), dense.decoder(2, [8], (1, 4, 4)))


def variational() -> vae.VAE:
    torch.manual_seed(0)
    return vae.VAE(dense.encoder((1, 4, 4), [8], 4), dense.decoder(2, [8], (1, 4, 4)))


def unsquare(codes: Tensor) -> Tensor:
    if codes.shape[1:] != (2,):
        raise Mine("this decoder reads 2 numbers")
    return torch.cat([codes, codes[:, :1] * codes[:, 1:]], dim=1)


def picture() -> palette.PaletteImage:
    return palette.PaletteImage(palette.Pixels(3, 16, 16, generator()), palette.Palette(3, generator()))


def state() -> checkpoints.State:
    model = Tiny()
    return checkpoints.State(model, torch.optim.SGD(model.parameters(), lr=0.1), {"lr": 0.1})


def axes():
    return Figure().add_subplot()


def file(tmp: Path, name: str, write: Callable[[Path], object]) -> Path:
    """A file that is written once."""
    if not (tmp / name).exists():
        write(tmp / name)
    return tmp / name


def run_one(width: int, seed: int) -> dict[str, float]:
    return {"mse": width + seed}


def records() -> list[dict]:
    where = {"preset": "fast", "device": "cpu", "seconds": 1}
    return [where | {"arguments": {"width": 1, "seed": seed}, "metrics": {"mse": 0.5 + seed}} for seed in (0, 1)]


def write_record(tmp: Path) -> Path:
    return results.write_json(tmp / "seed=0_width=1.json", records()[0])


def film_frames(tmp: Path) -> Path:
    from chromae.figures import frames

    if not (tmp / "clip").exists():
        for number in (1, 2):
            frames.save(uint8(16, 16, 3), tmp / "clip", number)
    return tmp / "clip"


def clip(path: Path) -> None:
    from chromae.figures import frames

    frames.encode(film_frames(path.parent), path)


def write_results(tmp: Path) -> Path:
    if not (tmp / "published" / "01_x.json").exists():
        metrics = {"mse": results.metric(0.5, "")}
        results.write(tmp / "published", "01_x", data="none", device=torch.device("cpu"), seconds=1.0, metrics=metrics)
    return tmp / "published"


# By function and argument, what its annotation does not tell. `tmp` is a folder of the test.
GOOD: dict[str, Callable[[Path], dict]] = {
    "training.batches.batches": lambda tmp: {
        "data": rand(6, 3),
        "size": 6,
        "batch_size": 4,
        "seed": 0,
        "device": torch.device("cpu"),
    },
    "training.batches.steps_of": lambda tmp: {"data": rand(6, 3), "size": 6, "batch_size": 4},
    "files.digest": lambda tmp: {"text": "a text"},
    "datasets.rows.take": lambda tmp: {"data": rand(6, 3), "index": torch.tensor([0, 2])},
    "datasets.rows.length": lambda tmp: {"data": rand(6, 3)},
    "training.batches.check": lambda tmp: {"name": "data", "data": rand(6, 3), "device": torch.device("cpu")},
    "training.checkpoints.State": lambda tmp: vars(state()),
    "training.checkpoints.State.save": lambda tmp: {"path": tmp / "state.pt"},
    "training.checkpoints.State.load": lambda tmp: {"path": file(tmp, "kept.pt", state().save)},
    "training.checkpoints.digest": lambda tmp: {"saved": {"a": [rand(3), 1]}},
    "training.checkpoints.describe": lambda tmp: {"value": functools.partial(run_one, width=1)},
    "datasets.color_triplets": lambda tmp: {"n": 4},
    "datasets.digits": lambda tmp: {"device": "cpu"},
    "datasets.photos": lambda tmp: {"device": "cpu"},
    "datasets.shape_pairs": lambda tmp: {"changes": (pairs.rotate,), "size": 16},
    "datasets.drawn": lambda tmp: {"data": rand(6, 3, 8, 8), "mirror": True, "shift": 1},
    "datasets.augment.shift": lambda tmp: {"most": 2},
    "training.distributed.whole_batch_norms": lambda tmp: {"model": nn.Sequential(nn.BatchNorm1d(3)), "workers": 1},
    "datasets.downloads.load": lambda tmp: {"name": "mnist", "folder": tmp},
    "figures.pages.frame": lambda tmp: {
        "pictures": {"a": uint8(16, 16, 3)},
        "curves": [[0.1, 0.2]],
        "axes": pages.Axes("mse", 5, 0.0, 1.0, 0.1, "limit"),
    },
    "figures.pages.latent_plane": lambda tmp: {
        "model": Drawer(),
        "images": rand(6, 6),
        "labels": torch.arange(6) % 3,
        "columns": 3,
        "size": 60,
    },
    "figures.pages.scatter": lambda tmp: {
        "points": rand(6, 2).numpy(),
        "labels": np.arange(6),
        "box": np.array([[0, 0], [1.0, 1]]),
        "size": 60,
    },
    "figures.pages.sprites": lambda tmp: {
        "points": rand(6, 2).numpy(),
        "made": made(),
        "box": np.array([[0, 0], [1.0, 1]]),
        "size": 60,
    },
    "figures.pages.sheet": lambda tmp: {"images": rand(6, 3, 8, 8), "columns": 3},
    "training.Ensemble": lambda tmp: {"make_model": Tiny, "seeds": [0, 1]},
    "training.Ensemble.map": lambda tmp: {"function": lambda model, x: model(x), "inputs": (rand(2, 5, 6),)},
    "training.Ensemble.member": lambda tmp: {"index": 1},
    "training.Ensemble.objective": lambda tmp: {"objective": losses.reconstruction},
    "training.Ensemble.sample": lambda tmp: {"sample": datasets.colors},
    "excitation.Classifier": lambda tmp: {"network": nn.Linear(3, 2), "classes": ["cat", "dog"]},
    "excitation.Classifier.index": lambda tmp: {"name": "cat"},
    "excitation.likes": lambda tmp: {"name": "cat", "names": ["cats", "dogs"]},
    "excitation.logit": lambda tmp: {"name": "dog"},
    "excitation.channel": lambda tmp: {"layer": "0", "index": 1},
    "excitation.neuron": lambda tmp: {"layer": "0", "index": 1},
    "excitation.direction": lambda tmp: {"layer": "0", "vector": rand(4)},
    "excitation.style": lambda tmp: {"layers": ["0", "1"]},
    "excitation.activations": lambda tmp: {"layers": ["0", "1"]},
    "excitation.activation": lambda tmp: {"layer": "0"},
    "excitation.watching": lambda tmp: {"network": classifier().network, "layer": "0"},
    "excitation.maximize": lambda tmp: {
        "image": picture(),
        "target": lambda images: images.mean((1, 2, 3)),
        "steps": 2,
        "views": 2,
        "callback": lambda *_: None,
    },
    "files.alone": lambda tmp: {"folder": tmp / "alone"},
    "files.replacing": lambda tmp: {"path": tmp / "replaced"},
    "records.fingerprint.of": lambda tmp: {"function": run_one},
    "figures.style.fitting": lambda tmp: {"text": "epoch 7", "size": 15, "width": 60.0},
    "figures.frames.clear": lambda tmp: {"folder": tmp / "clip"},
    "figures.frames.save": lambda tmp: {"folder": tmp / "saved", "number": 1},
    "figures.frames.settle": lambda tmp: {"folder": film_frames(tmp)},
    "figures.frames.film": lambda tmp: {"folder": film_frames(tmp), "path": tmp / "film.mp4"},
    "figures.frames.encode": lambda tmp: {"folder": film_frames(tmp), "path": tmp / "film.mp4"},
    "figures.previews.preview": lambda tmp: {"film": file(tmp, "seen.mp4", clip), "path": tmp / "preview.webp"},
    "figures.previews.strip": lambda tmp: {"film": file(tmp, "seen.mp4", clip), "count": 2, "width": 64},
    "losses.reconstruction": lambda tmp: {"model": Tiny(), "batch": rand(4, 6)},
    "losses.reconstruction_and_triplet": lambda tmp: {"model": ColorAutoencoder(), "batch": rand(4, 3, 3)},
    "metrics.iwae": lambda tmp: {
        "model": Tiny(),
        "x": rand(4, 6),
        "likelihood": losses.bernoulli,
        "samples": 3,
        "rows": 8,
    },
    "metrics.active_units": lambda tmp: {"model": Tiny(), "x": rand(4, 6)},
    "metrics.psnr": lambda tmp: {"mse": 0.1},
    "metrics.batched": lambda tmp: {"function": lambda part: 2 * part, "data": rand(4, 6)},
    "metrics.embed": lambda tmp: {"model": Tiny(), "images": rand(4, 6)},
    "metrics.nearest_mse": lambda tmp: {"images": rand(4, 6), "others": rand(5, 6)},
    "metrics.pca_errors": lambda tmp: {"train": rand(6, 4), "test": rand(5, 4), "sizes": [0, 2], "rows": 4},
    "models.autoencoder.Autoencoder": lambda tmp: {"encoder": nn.Linear(3, 2), "decoder": nn.Linear(2, 3)},
    "models.autoencoder.Autoencoder.encode": lambda tmp: {"x": rand(5, 1, 4, 4)},
    "models.autoencoder.Autoencoder.decode": lambda tmp: {"z": rand(5, 2)},
    "models.autoencoder.Autoencoder.forward": lambda tmp: {"x": rand(5, 1, 4, 4)},
    "models.color_autoencoder.ColorAutoencoder.decode": lambda tmp: {"latents": rand(5, 2)},
    "models.color_autoencoder.color_map": lambda tmp: {"model": ColorAutoencoder(), "size": 8},
    "models.color_autoencoder.to_image": lambda tmp: {"rgb": rand(2, 16, 3)},
    "models.colorizer.Published": lambda tmp: {"network": nn.Conv2d(4, 2, 3, padding=1)},
    "models.colorizer.UNet": lambda tmp: {"width": 4},
    "models.colorizer.UNet.forward": lambda tmp: {"x": rand(2, 1, 16, 16)},
    "models.colorizer.Guess": lambda tmp: {"width": 4},
    "models.colorizer.Odds": lambda tmp: {"bins": rand(5, 2), "rarity": rand(5), "width": 4},
    "models.colorizer.Odds.annealed_mean": lambda tmp: {"logits": rand(2, 5, 8, 8), "temperature": 0.4},
    "models.colorizer.features_of": lambda tmp: {
        "feature_extractor": lambda images: [images],
        "luma": rand(2, 1, 4, 4),
    },
    "models.colorizer.regression": lambda tmp: {"model": lambda_model(), "rgb": rand(2, 3, 16, 16)},
    "models.colorizer.conditional_regression": lambda tmp: {
        "model": colorizer.Guess(width=4, classes=3),
        "batch": (rand(2, 3, 16, 16), torch.tensor([0, 2])),
    },
    "models.colorizer.classification": lambda tmp: {"model": odds(), "rgb": rand(2, 3, 16, 16)},
    "models.conv.shapes_encoder": lambda tmp: {"latent": 2, "size": 32, "widths": (4, 4, 4, 4, 4)},
    "models.conv.shapes_decoder": lambda tmp: {"latent": 2, "size": 32, "widths": (4, 4, 4, 4)},
    "models.conv.fold": lambda tmp: {"layers": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))},
    "models.conv.fold_norms": lambda tmp: {"module": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()},
    "models.conv.he_start": lambda tmp: {"layers": nn.Sequential(nn.Conv2d(3, 4, 3))},
    "models.convex.ConvexDecoder": lambda tmp: {"latent": 2, "size": 16, "hidden": 8},
    "models.convex.ConvexDecoder.forward": lambda tmp: {"z": rand(3, 2)},
    "models.convex.ConvexDecoder.cut_out": lambda tmp: {"z": rand(3, 2)},
    "models.convex.sparse_reconstruction_objective": lambda tmp: {"stride": 4},
    "models.dense.encoder": lambda tmp: {"shape": (1, 4, 4), "hidden": [8], "out": 2},
    "models.dense.decoder": lambda tmp: {"shape": (1, 4, 4), "hidden": [8], "latent": 2},
    "models.dense.layers": lambda tmp: {"sizes": [3, 2], "activation": nn.ReLU},
    "models.embedder.Embedder": lambda tmp: {"dimensions": 8, "widths": (4, 4)},
    "models.embedder.contrastive_objective": lambda tmp: {"loss": losses.info_nce},
    "models.palette.PaletteImage": lambda tmp: {
        "logits": palette.Pixels(3, 8, 8, generator()),
        "colors": palette.Palette(3, generator()),
    },
    "models.strokes.Strokes": lambda tmp: {
        "count": 5,
        "height": 12,
        "width": 16,
        "pens": rand(2, 3),
        "generator": generator(),
        "pen_width": 2.5,
        "degree": 3,
        "length": 0.2,
        "spread": 0.2,
    },
    "models.strokes.curve": lambda tmp: {"points": rand(5, 4, 2), "t": rand(5)},
    "models.strokes.chains": lambda tmp: {"controls": 9 * rand(5, 4, 2), "spacing": 1.5, "tip": 1.5},
    "models.strokes.ink": lambda tmp: {"points": 9 * rand(20, 2), "weights": rand(2, 20), "height": 8, "width": 9},
    "models.strokes.coverage": lambda tmp: {
        "points": 9 * rand(20, 2),
        "weights": rand(2, 20),
        "height": 8,
        "width": 9,
        "pen_width": 2.0,
    },
    "models.palette.Palette": lambda tmp: {"learned": 2, "given": rand(2, 3)},
    "models.photos.receptive_field": lambda tmp: {"encoder": nn.Sequential(nn.Conv2d(3, 4, 3))},
    "models.photos.Residual": lambda tmp: {"latent": 3, "width": 4},
    "models.photos.Residual.decode": lambda tmp: {"z": rand(2, 3)},
    "models.photos.Block": lambda tmp: {"width": 4},
    "models.photos.Block.forward": lambda tmp: {"x": rand(2, 4, 8, 8)},
    "models.photos.blocks": lambda tmp: {"width": 4, "depth": 2},
    "models.photos.zero_init": lambda tmp: {"layer": nn.Linear(2, 2)},
    "models.photos.Blockwise": lambda tmp: {"latent": 6, "width": 4, "depth": 1},
    "models.photos.Blockwise.start": lambda tmp: {"images": rand(4, 3, 32, 32)},
    "models.photos.Blockwise.decode": lambda tmp: {"z": rand(2, 6, 4, 4)},
    "models.vae.VAE": lambda tmp: {"encoder": nn.Linear(3, 4), "decoder": nn.Linear(2, 3)},
    "models.vae.VAE.posterior": lambda tmp: {"x": rand(5, 1, 4, 4)},
    "models.vae.VAE.encode": lambda tmp: {"x": rand(5, 1, 4, 4)},
    "models.vae.VAE.decode": lambda tmp: {"z": rand(5, 2)},
    "models.vae.VAE.forward": lambda tmp: {"x": rand(5, 1, 4, 4)},
    "models.vae.elbo_objective": lambda tmp: {"likelihood": losses.bernoulli},
    "arguments.precision.in_float32": lambda tmp: {"function": torch.sin},
    "arguments.precision.constant": lambda tmp: {"values": (1.0, 2.0), "like": rand(3)},
    "training.Adam": lambda tmp: {"parameters": [nn.Parameter(rand(3))]},
    "datasets.own.read": lambda tmp: {"path": film_frames(tmp) / "0001.png"},
    "datasets.own.tiles": lambda tmp: {"size": 8},
    "datasets.own.untile": lambda tmp: {"parts": rand(4, 3, 8, 8), "height": 15, "width": 12},
    "figures.plots.limit": lambda tmp: {"value": 0.5, "label": "best"},
    "figures.plots.band": lambda tmp: {"curves": rand(5, 3).numpy(), "label": "a", "color": "red"},
    "figures.plots.dots": lambda tmp: {"groups": {"a": [1.0, 2.0]}, "colors": ["red"]},
    "figures.plots.picture": lambda tmp: {"title": "a", "rows": ["b"]},
    "figures.plots.ink": lambda tmp: {"columns": 3, "title": "a", "rows": ["b"]},
    "figures.plots.caption": lambda tmp: {"figure": Figure(), "text": "a"},
    "figures.plots.wall": lambda tmp: {
        "pictures": {"a": np.zeros((3, 4, 3), np.uint8)},
        "columns": 2,
        "zoom": 2,
        "room": 3,
    },
    "figures.plots.show_png": lambda tmp: {"figure": Figure(figsize=(1, 1))},
    "figures.png.smaller": lambda tmp: {"data": a_png()},
    "figures.plots.publish": lambda tmp: {"figure": Figure(figsize=(1, 1)), "path": tmp / "figure.webp"},
    "pens.Layer": lambda tmp: plot().layers[0]._asdict(),
    "pens.plot": lambda tmp: {
        "labels": labels(),
        "palette": rand(2, 3),
        "page": (40.0, 40.0),
        "margin": 5.0,
        "pen_width": 1.0,
    },
    "pens.plot_strokes": lambda tmp: {
        "lines": rand(4, 9, 2),
        "chosen": torch.tensor([0, 1, 1, 0]),
        "palette": rand(2, 3),
        "height": 8,
        "width": 8,
        "pen_width": 1.0,
        "page": (40.0, 40.0),
        "margin": 5.0,
        "paper": (1.0, 1.0, 1.0),
    },
    "pens.hatches": lambda tmp: {"mask": labels().numpy() > 0, "spacing": 2.0, "angle": 0.5},
    "pens.contours": lambda tmp: {"mask": labels().numpy() > 0, "inset": 1.0},
    "pens.ordered": lambda tmp: {"lines": plot().layers[0].lines},
    "pens.name_of": lambda tmp: {"rgb": (0.5, 0.5, 0.5)},
    "pens.statistics": lambda tmp: {"plot": plot(), "labels": labels()},
    "pens.regions": lambda tmp: {"labels": labels()},
    "pens.save": lambda tmp: {"plot": plot(), "path": tmp / "plot.svg"},
    "pens.rasterise": lambda tmp: {"plot": plot(), "size": 16},
    "training.progress.Progress": lambda tmp: {
        "state": state(),
        "epochs": 1,
        "steps": 2,
        "lr": 0.1,
        "clip": False,
        "workers": 1,
        "every_step": False,
    },
    "training.progress.Progress.add": lambda tmp: {"terms": {"loss": torch.tensor(0.5)}, "length": 4},
    "training.progress.named": lambda tmp: {"result": {"loss": rand(3).requires_grad_().sum(), "accuracy": 0.5}},
    "training.progress.fetch": lambda tmp: {
        "block": [{"loss": torch.tensor(0.5)}],
        "parameters": [nn.Parameter(rand(3))],
    },
    "training.progress.first_broken": lambda tmp: {"loss": torch.tensor([0.5, torch.inf])},
    "training.progress.means": lambda tmp: {"seen": [{"loss": rand(2).double()}], "lengths": [4, 2]},
    "records.results.metric": lambda tmp: {"values": [0.5, 0.7], "unit": "nats"},
    "records.results.is_time": lambda tmp: {"unit": "s of one core"},
    "records.results.spread": lambda tmp: {"values": [0.5, 0.7], "form": ".2f"},
    "records.results.write": lambda tmp: {
        "folder": tmp / "made",
        "notebook": "01_x",
        "data": "none",
        "device": torch.device("cpu"),
        "seconds": 1.0,
        "metrics": {"mse": results.metric(0.5, "")},
    },
    "records.results.write_json": lambda tmp: {"path": tmp / "record.json", "record": {"a": 1}},
    "records.results.read_json": lambda tmp: {"path": write_results(tmp) / "01_x.json"},
    "records.results.costs": lambda tmp: {"studies": write_results(tmp).parent},
    "records.results.fill": lambda tmp: {
        "text": "<!--= 01_x metrics.mse:.3f -->?<!--/-->",
        "folder": write_results(tmp),
    },
    "records.results.compare": lambda tmp: {"folder": write_results(tmp), "published": write_results(tmp)},
    "notebook.begin": lambda tmp: {"name": "01_x", "data": "none"},
    "notebook.video": lambda tmp: {"films": tmp / "x.mp4", "text": "a film"},
    "settings.pick": lambda tmp: {"fast": 1, "standard": 2, "full": 3},
    "settings.folders": lambda tmp: {"notebook": "01_x"},
    "settings.mixed_precision": lambda tmp: {"device": "cpu", "bf16": True},
    "settings.of_preset": lambda tmp: {"folder": tmp},
    "settings.find": lambda tmp: {"path": tmp / "x.json"},
    "settings.left_by_hand": lambda tmp: {"path": tmp / "x.json"},
    "latents.tangents": lambda tmp: {"decode": unsquare, "codes": rand(4, 2)},
    "latents.stretch": lambda tmp: {"decode": unsquare, "codes": rand(4, 2)},
    "latents.area": lambda tmp: {"decode": unsquare, "codes": rand(40, 2), "cells": 3},
    "latents.search": lambda tmp: {"decode": unsquare, "colors": rand(4, 3), "grid": 5, "steps": 2, "rows": 3},
    "models.leaves.Leaves.encode": lambda tmp: {"rgb": rand(4, 3)},
    "models.leaves.Leaves.decode": lambda tmp: {"codes": rand(4, 2)},
    "color.space": lambda tmp: {"name": "OKLab"},
    "color.curves.picture": lambda tmp: {"colors": uint8(4, 3), "pixels": np.array([[0, 0], [0, 1], [1, 0], [1, 1]])},
    "color.curves.places": lambda tmp: {
        "colors": curves.hilbert(2, 3).astype(np.uint8),
        "pixels": curves.hilbert(3, 2),
    },
    "color.curves.hilbert": lambda tmp: {"bits": 2, "axes": 2},
    "color.curves.morton": lambda tmp: {"bits": 2, "axes": 2},
    "datasets.sprites.factors": lambda tmp: {"hues": 3},
    "datasets.sprites.chosen": lambda tmp: {"index": torch.tensor([0, 2])},
    "datasets.sprites.save": lambda tmp: {"shapes": made(3), "folder": tmp / "shapes", "size": 16},
    "records.kept.of": lambda tmp: {
        "path": write_record(tmp),
        "arguments": records()[0]["arguments"],
        "preset": "fast",
        "code": {},
    },
    "records.kept.read": lambda tmp: {
        "path": write_record(tmp),
        "arguments": records()[0]["arguments"],
        "preset": "fast",
    },
    "records.kept.repeats": lambda tmp: {"before": records()[0], "again": records()[0]},
    "records.kept.seeds_of_other_code": lambda tmp: {"records": {tmp / "seed=0.json": records()[0]}, "code": {}},
    "records.kept.vouched": lambda tmp: {"record": records()[0], "code": {}, "seed": 1},
    "records.kept.checksum": lambda tmp: {"record": records()[0]},
    "records.study.run": lambda tmp: {
        "function": run_one,
        "cases": [{"width": 1}],
        "seeds": [0, 1],
        "folder": tmp / "study",
        "jobs": 1,
    },
    "records.study.name": lambda tmp: {"arguments": {"width": 1, "hidden": [2, 3]}},
    "records.study.column": lambda tmp: {"records": records(), "key": "mse"},
    "records.study.metric": lambda tmp: {"records": records(), "key": "mse", "unit": "nats"},
    "records.study.select": lambda tmp: {"records": records(), "arguments": {"width": 1}},
    "records.study.spread": lambda tmp: {"records": records(), "key": "mse", "form": ".2f"},
    "records.study.origin": lambda tmp: {"records": records()},
    "training.cosine": lambda tmp: {"progress": 0.3},
    "training.one_cycle": lambda tmp: {"progress": 0.5},
    "training.fit": lambda tmp: {
        "model": ColorAutoencoder(),
        "data": rand(6, 3),
        "objective": losses.reconstruction,
        "epochs": 1,
        "batch_size": 4,
        "schedule": training.cosine,
        "validation": rand(4, 3),
        "callback": lambda *_: None,
        "clip": 1.0,
    },
    "datasets.augment.blurred": lambda tmp: {"reach": 2},
    "datasets.augment.views": lambda tmp: {"blur": 1.0},
    "datasets.pairs.pair": lambda tmp: {"views": (pairs.rotate, pairs.recolor), "size": 16},
    "__main__.main": lambda tmp: {"arguments": ["film", str(film_frames(tmp)), str(tmp / "again.mp4")]},
    "figures.frames.film_again": lambda tmp: {"folder": film_frames(tmp), "path": tmp / "again.mp4"},
    "datasets.folder": lambda tmp: {"path": film_frames(tmp)},
    "records.recipes.describe": lambda tmp: {"made": functools.partial(ColorAutoencoder, latent=3)},
    "records.recipes.make": lambda tmp: {
        "recipe": {"call": "models.color_autoencoder.ColorAutoencoder", "with": {"latent": 3}}
    },
    "records.weights.pretrained": lambda tmp: {
        "name": file(
            tmp,
            "whole.safetensors",
            lambda path: weights.save(ColorAutoencoder(), path, functools.partial(ColorAutoencoder)),
        )
    },
    "records.weights.save": lambda tmp: {"model": ColorAutoencoder(), "path": tmp / "saved.safetensors"},
    "records.weights.load": lambda tmp: {
        "model": ColorAutoencoder(),
        "path": file(tmp, "kept.safetensors", lambda path: weights.save(ColorAutoencoder(), path)),
    },
    "records.weights.adopt": lambda tmp: left_by_hand(
        tmp / settings.of_preset(Path("build/weights")) / "a.safetensors"
    ),
}


def left_by_hand(path: Path) -> dict[str, str]:
    weights.save(ColorAutoencoder(), path)
    with safe_open(path, "pt") as kept:
        return {"name": path.name, "digest": kept.metadata()["sha256"]}


def lambda_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(1, 2, 3, padding=1)


def odds() -> colorizer.Odds:
    torch.manual_seed(0)
    return colorizer.Odds(rand(5, 2), rand(5), width=4)


def looked() -> progress.Progress:
    seen = progress.Progress(state(), 1, 2, 0.1, False, 1, False)
    seen.seen, seen.block, seen.steps = [], [{"loss": torch.tensor(0.5)}, {"loss": torch.tensor(0.5)}], 2
    seen.lengths = [4, 2]
    return seen


def summed() -> progress.Progress:
    seen = looked()
    seen.look()
    return seen


def stepped() -> training.Adam:
    parameter = nn.Parameter(rand(3))
    parameter.grad = rand(3)
    return training.Adam([parameter])


# What methods are called on.
BOUND: dict[str, Callable[[], object]] = {
    "training.checkpoints.State": state,
    "training.Ensemble": lambda: training.Ensemble(Tiny, [0, 1]),
    "excitation.Classifier": classifier,
    "models.autoencoder.Autoencoder": autoencoded,
    "models.color_autoencoder.ColorAutoencoder": ColorAutoencoder,
    "models.colorizer.Published": lambda: colorizer.base(),
    "models.colorizer.UNet": lambda: colorizer.UNet(width=4).eval(),
    "models.colorizer.Guess": lambda: colorizer.Guess(width=4).eval(),
    "models.colorizer.Odds": lambda: odds().eval(),
    "models.convex.ConvexDecoder": lambda: convex.ConvexDecoder(2, 16, hidden=8),
    "models.embedder.Embedder": lambda: embedder.Embedder(8, (4, 4)).eval(),
    "models.palette.PaletteImage": picture,
    "models.palette.Palette": lambda: palette.Palette(3, generator()),
    "models.strokes.Strokes": lambda: strokes.Strokes(5, 12, 16, rand(2, 3), generator()),
    "models.palette.Pixels": lambda: palette.Pixels(3, 8, 8, generator(), coarse=2),
    "models.palette.Fourier": lambda: palette.Fourier(3, 8, 8, generator()),
    "models.photos.Residual": lambda: photos.Residual(3, 4),
    "models.photos.Block": lambda: photos.Block(4),
    "models.photos.Blockwise": lambda: photos.Blockwise(6, width=4, depth=1),
    "models.vae.VAE": variational,
    "models.leaves.Leaves": lambda: leaves.Leaves(2),
    "training.Adam": stepped,
    "training.progress.Progress": looked,
    "training.progress.Progress.means": summed,
    "training.progress.Progress.epoch": lambda: progress.Progress(state(), 1, 2, 0.1, False, 1, False),
    "training.progress.Progress.add": lambda: entered(),
}


def entered() -> progress.Progress:
    import contextlib

    seen = progress.Progress(state(), 1, 2, 0.1, False, 1, False)
    seen.seen, seen.block, seen.lengths, seen.stack = [], [], [], contextlib.ExitStack()
    return seen


def public() -> Iterator[tuple[str, Callable]]:
    """Every public function, class and method that the package defines, by its name without the package's."""
    for found in pkgutil.walk_packages(chromae.__path__, "chromae."):
        module = importlib.import_module(found.name)
        if found.name in ("chromae.arguments.check", "chromae.arguments.sentences"):
            continue  # which do the checking
        for name, it in list(vars(module).items()):
            if name.startswith("_") or getattr(it, "__module__", None) != found.name:
                continue
            if inspect.isfunction(it):
                yield _name(it), it
            elif inspect.isclass(it) and not issubclass(it, Exception):
                if not hasattr(it, "_fields"):  # of named tuples functions look at the fields
                    yield _name(it), it
                for own, method in vars(it).items():
                    ours = inspect.isfunction(method) and method.__module__ == found.name  # not torch's, taken as it is
                    if ours and not own.startswith("_") and not hasattr(it, "_fields"):
                        yield _name(method), method


def good(name: str, function: Callable, tmp: Path) -> dict:
    """Arguments, by name, with which the function gives an answer. Those not told have their defaults."""
    whole = getattr(function, "__init__", function) if inspect.isclass(function) else function
    hints = typing.get_type_hints(whole)
    parameters = inspect.signature(function).parameters
    told = GOOD.get(name, lambda tmp: {})(tmp)
    wanted = [it for it in parameters.values() if it.name != "self" and it.name not in told]
    needed = [it for it in wanted if it.default is it.empty and it.kind not in (it.VAR_POSITIONAL, it.VAR_KEYWORD)]
    defaults = {it.name: it.default for it in wanted if it.default is not it.empty}
    small = {key: NUMBERS[key] for key, value in defaults.items() if key in NUMBERS and isinstance(value, int)}
    return told | {it.name: _made(name, it.name, hints.get(it.name)) for it in needed} | defaults | small


def _made(function: str, name: str, hint: object) -> object:
    for one in typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,):
        if inspect.isclass(one) and issubclass(one, AbstractArray):
            return _array(one)
        if one is Generator:
            return generator()
        if one is sprites.Factors:
            return made()
        if one is excitation.Classifier:
            return classifier()
        if one is torch.device:
            return torch.device("cpu")
        if one is bool:
            return True
        if one is int or typing.get_origin(one) is typing.Annotated:
            return NUMBERS.get(name, 3)
        if inspect.isclass(one) and one.__name__ == "Axes":
            return axes()
    raise LookupError(f"{function}: no good {name} follows from {hint}: add one to GOOD, or the reason to LEFT_OUT")


def _array(hint: type[AbstractArray]) -> Tensor | np.ndarray:
    shape = []
    for dim in hint.dim_str.split():
        if dim.startswith("*"):
            shape += [3, 2] if dim == "*shape" else [3]
        else:
            shape.append(int(dim) if dim.isdecimal() else SIZES.get(dim, 3))
    value = rand(*shape)
    if "float32" not in hint.dtypes:
        value = (10 * value).long() % 3 if "int64" in hint.dtypes else (255 * value).to(torch.uint8)
    return value.numpy() if hint.array_type is np.ndarray else value
