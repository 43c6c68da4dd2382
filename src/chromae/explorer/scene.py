"""What an explorer shows: codes, networks and small pictures, as a scene of JSON and a blob of bytes."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Num
from scipy.spatial import cKDTree
from torch import Tensor, nn

from chromae import color
from chromae.arguments.kinds import Count, Seed
from chromae.explorer import export, pictures
from chromae.explorer.blob import Blob
from chromae.explorer.state import begin

AXES = 20  # principal directions with a slider each
IMAGES = 2000  # that are shown at most


class Named(NamedTuple):
    """A model under the finger: its name, and one network for every epoch shown, in eval mode."""

    name: str
    epochs: list[nn.Module]
    likelihood: str


def make(
    model: nn.Module | Sequence[tuple[str, nn.Module]],
    data: Num[Tensor, "n *shape"],
    labels: Num[Tensor, " n"] | None = None,
    *,
    classes: Sequence[str] | None = None,
    colors: Float[Tensor, "classes 3"] | None = None,
    epochs: Sequence[nn.Module] | None = None,
    epoch_numbers: Sequence[int] | None = None,
    title: str = "What a code decodes to",
    question: str = "",
    credits: Sequence[str] = (),
    likelihood: str | Sequence[str] = "",
    encoder: bool | Sequence[bool] = True,
    images: Count = IMAGES,
    shades: Count = 256,
    seed: Seed = 0,
    state: Mapping[str, object] | None = None,
) -> tuple[dict[str, object], bytes]:
    """The scene and the blob of `explore.js`: all that a page needs to show codes and to decode others.

    Args:
        model: has `encode`, and `decode` if it decodes; or two of them, each after its name, of the same images. An
            `nn.ModuleList` is one model at several epochs.
        data: images n × (1 or 3) × height × width, or colours n × 3, in [0, 1] or as bytes.
        labels: a class each, from 0 on; `classes` names them, and `colors` are their dots', in [0, 1].
        epochs: one network for each epoch that the time slider stops at, in place of `model`'s own;
            `epoch_numbers` says which those are.
        title, question, credits: the page's heading, the line under it, and sources and licences at its foot.
        likelihood: what a VAE's decoder gives, as `export.decoder` reads it: one for all models or one each.
        encoder: whether the page holds the encoder, too, for what the reader draws: of all models, or of each.
        images: how many of the data are shown at most, drawn evenly with `seed`; the page says so.
        shades: in how many, of 256, real images are shown: 16 make a page of digits a third smaller.
        state: what differs from the usual beginning, such as `{"ground": "plain"}`.

    Raises ValueError for data, labels or models that do not fit each other, and for networks that `export` refuses.
    """
    models = networks(model, epochs, likelihood)
    _check_data(data)
    labels = _labels(labels, len(data), classes)
    which = chosen(len(data), images, seed)
    shown, labels = floats(data[which.to(data.device)]), labels[which]
    blob = Blob()
    names = list(classes) if classes is not None else [str(index) for index in range(int(labels.max()) + 1)]
    if colors is not None:
        color.check(colors=colors)
        if len(colors) != len(names):
            raise ValueError(f"colors are {len(colors)}, expected one for each of {len(names)} classes")
    encoders = [encoder] * len(models) if isinstance(encoder, bool) else list(encoder)
    if len(encoders) != len(models):
        raise ValueError(f"encoder is {len(encoders)} answers for {len(models)} models, expected one each")
    spaces = [_space(one, shown, blob, kept) for one, kept in zip(models, encoders, strict=True)]
    counts = {len(one.epochs) for one in models} - {1}
    if len(counts) > 1:
        raise ValueError(f"models have {', '.join(map(str, sorted(counts)))} epochs, expected as many of each")
    last = max(counts, default=1)
    numbers = list(epoch_numbers) if epoch_numbers is not None else list(range(1, last + 1))
    if len(numbers) != last:
        raise ValueError(f"epoch_numbers are {len(numbers)} for {last} epochs, expected one each")
    sheet = pictures.sheet(shown, shades)
    notes = []
    if len(which) < len(data):
        notes.append(f"{len(which):,} of {len(data):,} images are shown, drawn evenly with seed {seed}.")
    scene = {
        "title": title, "question": question, "credits": list(credits), "notes": notes + sheet.notes,
        "count": len(which), "shape": [*shown.shape[1:], 1, 1][:3], "tile": sheet.tile, "columns": sheet.columns,
        "pictures": blob.add(sheet.data) | {"type": sheet.type},
        "labels": [] if data.ndim == 2 and len(names) == 1 else labels.tolist(),
        "classes": names if len(names) > 1 else [],
        "colors": pictures.class_colors(len(names)) if colors is None else (255 * colors).round().int().tolist(),
        "epochs": numbers, "models": spaces,
    }  # fmt: skip
    decodes, real = any(it["decoder"] is not None for it in spaces), scene["shape"][1] > 1
    scene["offers"] = {  # what the page's selects hold
        "ground": [*(["plane", "lattice"] if decodes else []), *(["pictures"] if real else []), "plain"],
        "axes": ["pca", "dims", "three", *(["local"] if decodes else [])],
    }
    scene["state"] = begin(scene, state or {})
    return scene, blob.bytes()


def chosen(count: Count, images: Count = IMAGES, seed: Seed = 0) -> Int[Tensor, " n"]:
    """Which of so many images are shown: all, or at most `images` of them, drawn evenly with `seed`, in order."""
    if count <= images:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:images].sort().values


def networks(
    model: nn.Module | Sequence[tuple[str, nn.Module]],
    epochs: Sequence[nn.Module] | None = None,
    likelihood: str | Sequence[str] = "",
) -> list[Named]:
    """The networks of every epoch, for each of the models, as they are now, in eval mode. Raises as `make`."""
    given = [("", model)] if isinstance(model, nn.Module) else list(model)
    if not 1 <= len(given) <= 2:
        raise ValueError(f"model is {len(given)} models, expected one or two")
    if epochs is not None:
        if len(given) > 1 or not epochs:
            raise ValueError("epochs are one model's, one or more: give each of two models as an nn.ModuleList")
        given = [(given[0][0], nn.ModuleList(epochs))]
    kinds = [likelihood] * len(given) if isinstance(likelihood, str) else list(likelihood)
    if len(kinds) != len(given):
        raise ValueError(f"likelihood names {len(kinds)} for {len(given)} models, expected one each")
    found = []
    for (name, one), kind in zip(given, kinds, strict=True):
        each = list(one) if isinstance(one, nn.ModuleList) else [one]
        for network in each:
            if not hasattr(network, "encode"):
                raise ValueError(f"model is a {type(network).__name__} without encode, expected one that encodes data")
        found.append(Named(name, [copy.deepcopy(network).eval() for network in each], kind))
    return found


def _check_data(data: Tensor) -> None:
    if len(data) == 0:
        raise ValueError("data is empty, expected one image or more")
    shape = tuple(data.shape[1:])
    if not (shape == (3,) or (len(shape) == 3 and shape[0] in (1, 3) and min(shape) > 0)):
        raise ValueError(f"data are of shape {shape} each, expected (1 or 3, height, width), or (3,) for colours")
    if data.dtype == torch.uint8:
        return
    low, high = data.min().item(), data.max().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"data run from {low:g} to {high:g}, expected images in [0, 1], or bytes as torch.uint8")


def _labels(labels: Tensor | None, count: int, classes: Sequence[str] | None) -> Tensor:
    if labels is None:
        if classes is not None:
            raise ValueError(f"classes are {len(classes)} names, but labels is None: which image is of which class?")
        return torch.zeros(count, dtype=torch.long)
    if labels.is_floating_point() or labels.min() < 0:
        raise ValueError(f"labels are {labels.dtype} from {labels.min().item():g} on, expected integers from 0 on")
    if classes is not None and labels.max() >= len(classes):
        raise ValueError(f"classes are {len(classes)} names, but labels run to {labels.max().item()}")
    if labels.max() > 99:
        raise ValueError(f"labels run to {labels.max().item()}, expected at most 100 classes, from 0 to 99")
    return labels.cpu().long()


def floats(data: Num[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
    """Images in [0, 1], of bytes or of what already is."""
    return data.float() / 255 if data.dtype == torch.uint8 else data.float()


def _space(one: Named, data: Tensor, blob: Blob, encoder: bool) -> dict[str, object]:
    """A model's part of the scene: codes of every epoch, networks, principal directions, distances that are usual."""
    small = encoder and data[0].numel() <= 16 and len(one.epochs) > 1  # the page encodes at every epoch itself
    codes = [codes_of(network, data) for network in one.epochs]
    shape = tuple(codes[-1].shape[1:])
    if any(it.shape != codes[-1].shape for it in codes):
        raise ValueError(f"epochs have codes of other shapes than the last, which has {shape}")
    flat = [it.flatten(1) for it in codes]
    size = flat[-1].shape[1]
    if size < 2:
        raise ValueError("model has codes of 1 number, expected two or more for a map")
    center, axes, spread = _principal(flat[-1])
    near = [_distances(it) for it in flat]
    start = flat[-1][(flat[-1] - center).square().sum(1).argmin()]
    unit = size == 2 and all((it >= 0).all() and (it <= 1).all() for it in flat)
    decodes = all(hasattr(network, "decode") for network in one.epochs)
    if decodes:
        _check_decoded(one, codes[-1][:1], tuple(data.shape[1:]))
    likelihood = {"likelihood": one.likelihood} if one.likelihood else {}
    return {
        "name": one.name, "size": size, "start": [_rounded(it) for it in start.tolist()],
        "codes": [blob.numbers(it) for it in ([] if small else flat)],
        "center": center.tolist(), "axes": axes.tolist(), "spread": spread.tolist(),
        "box": [[0, 0], [1, 1]] if unit else None,
        "usual": [_rounded(it[0], 4) for it in near], "far": [_rounded(it[1], 4) for it in near],
        "decoder": blob.networks([export.decoder(it, shape, **likelihood) for it in one.epochs]) if decodes else None,
        "encoder": blob.networks([export.encoder(it, tuple(data.shape[1:])) for it in one.epochs]) if encoder else None,
    }  # fmt: skip


@torch.no_grad()
def codes_of(network: nn.Module, data: Float[Tensor, "n *shape"], batch: Count = 256) -> Float[Tensor, "n *latent"]:
    """What a network encodes images to, on the CPU. Raises ValueError for images that it does not take."""
    device = next((it.device for it in network.parameters()), data.device)
    try:
        codes = torch.cat([network.encode(part.to(device)).float().cpu() for part in data.split(batch)])
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"data are of shape {tuple(data.shape[1:])}, which model does not encode: {reason}") from error
    if len(codes) != len(data) or codes.ndim < 2:
        raise ValueError(f"model.encode gave {tuple(codes.shape)} for {len(data)} images, expected a code each")
    if not codes.isfinite().all():
        raise ValueError("model.encode gave nan or infinite codes of data, expected numbers: are its weights finite?")
    return codes


@torch.no_grad()
def _check_decoded(one: Named, code: Tensor, shape: tuple[int, ...]) -> None:
    network = one.epochs[-1]
    device = next((it.device for it in network.parameters()), code.device)
    decoded = tuple(export.run(network, "decode", code.to(device)).shape[1:])
    if decoded != shape:
        raise ValueError(f"model decodes to {decoded}, but data are of shape {shape}: expected images of one shape")


def _rounded(number: float, digits: int = 6) -> float:
    return float(f"{number:.{digits}g}")


def _principal(codes: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, the leading principal directions, and how far codes spread along each: standard deviations."""
    center = codes.mean(0)
    _, sizes, axes = torch.linalg.svd((codes - center).double(), full_matrices=len(codes) < codes.shape[1])
    axes = axes[: min(AXES, codes.shape[1])]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    spread = torch.zeros(len(axes), dtype=torch.float64)
    spread[: len(sizes)] = sizes[: len(axes)] / math.sqrt(len(codes))
    return center, axes.float(), spread.float()


def _distances(codes: Float[Tensor, "n d"]) -> tuple[float, float]:
    """How far codes are from their nearest neighbours: the median, and what 99 of 100 stay below."""
    if len(codes) < 2:
        return 0.0, 0.0
    nearest = torch.from_numpy(cKDTree(codes.numpy()).query(codes.numpy(), k=2)[0][:, 1])
    return nearest.median().item(), nearest.quantile(0.99).item()
