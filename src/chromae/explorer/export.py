"""Networks for a page: a list of layers and half-precision weights, which layers.js runs as torch would."""

import copy
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from chromae.arguments.kinds import Count
from chromae.models import photos
from chromae.models.autoencoder import Autoencoder, clamp
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.models.conv import fold_norms
from chromae.models.convex import ConvexDecoder
from chromae.models.embedder import Embedder
from chromae.models.vae import VAE

RUNS = (
    "Linear, Conv2d, ConvTranspose2d, batch norms, ReLU, LeakyReLU, SiLU, Sigmoid, Tanh, Softplus, Flatten, Unflatten, "
    "MaxPool2d, Upsample (nearest), PixelShuffle, PixelUnshuffle, Dropout, Identity, Sequential and Chromae's own"
)
Likelihood = Literal["bernoulli", "continuous", "gaussian"]
MEANS = {"bernoulli": "sigmoid", "continuous": "continuous_bernoulli", "gaussian": "clamp"}
PLAIN = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}
OURS = (ColorAutoencoder, VAE, Autoencoder, photos.Residual, photos.Blockwise, Embedder)


class Exported(NamedTuple):
    """A network as layers.js reads it."""

    layers: list[dict]  # JSON; a tensor is {"at": byte, "shape": […], "type": "f2" or "f4"}
    weights: bytes  # little endian
    inputs: tuple[int, ...]  # shape without the batch, as torch has it
    outputs: tuple[int, ...]  # likewise; of an encoder (n,), for codes come flat


def decoder(model: nn.Module, latent: Sequence[Count], likelihood: Likelihood = "bernoulli") -> Exported:
    """What `model.decode` does with codes of this shape, as far as a picture: images in [0, 1], or about.

    `likelihood` says how a VAE's parameters become a picture: their sigmoid, the mean of the continuous Bernoulli, or
    themselves. The model stays as it is. Raises ValueError for a layer that layers.js lacks, for weights that are not
    finite, for codes of a shape that the decoder does not take, and for a `decode` of one's own that does more than run
    `model.decoder` and a sigmoid or a cut.
    """
    return _exported(model, "decode", latent, lambda it, pack: _decode(it, pack, latent, MEANS[likelihood]))


def encoder(model: nn.Module, image: Sequence[Count]) -> Exported:
    """What `model.encode` does with images of this shape: of a VAE, the posterior means. Raises as `decoder`."""
    return _exported(model, "encode", image, lambda it, pack: _encode(it, pack, image))


class _Pack:
    """Tensors one after the other, in half precision where that holds them."""

    def __init__(self) -> None:
        self.data = bytearray()

    def __call__(self, value: Tensor, where: str) -> dict:
        value = value.detach().double()
        if not value.isfinite().all():
            raise ValueError(f"model holds weights that are not finite at {where!r}, expected numbers")
        half = value.half().double()
        exact = (half - value).norm() <= 1e-3 * value.norm() and half.isfinite().all()
        found = {"at": len(self.data), "shape": list(value.shape), "type": "f2" if exact else "f4"}
        self.data += value.numpy().astype(f"<{found['type']}").tobytes()
        self.data += bytes(-len(self.data) % 4)
        return found


def _exported(model: nn.Module, method: str, shape: Sequence[int], steps: Callable) -> Exported:
    model = fold_norms(copy.deepcopy(model).cpu().float().eval())
    pack = _Pack()
    layers = steps(model, pack)
    given: list[tuple[nn.Module, tuple[int, ...]]] = []
    for layer in model.modules():
        if isinstance(layer, nn.Linear):  # which runs along the last axis of what it is given
            layer.register_forward_pre_hook(lambda it, inputs: given.append((it, tuple(inputs[0].shape))))
    found = run(model, method, torch.full((1, *shape), 0.5))
    for layer, form in given:
        if len(form) != 2:
            raise ValueError(f"model gives {layer} a batch of shape {form}, expected vectors: pages run it on those")
    if len(shape) > 1:
        layers = [{"kind": "unflatten", "shape": list(shape)}, *layers]
    outputs = tuple(found.shape[1:])
    if method == "encode" and len(outputs) > 1:
        layers, outputs = [*layers, {"kind": "flatten"}], (found.numel(),)
    return Exported(layers, bytes(pack.data), tuple(shape), outputs)


def run(model: nn.Module, method: str, batch: Tensor) -> Tensor:
    """What this method of a model makes of a batch. Raises ValueError for one that it does not take."""
    try:
        with torch.no_grad():
            return getattr(model, method)(batch)
    except (RuntimeError, ValueError, TypeError) as error:
        shape = ", ".join(map(str, batch.shape))
        raise ValueError(f"model.{method} takes no batch of shape ({shape}): {str(error).splitlines()[0]}") from error


def _known(model: nn.Module, method: str) -> nn.Module | None:
    """The model, if it is of a class of ours and does this as the class does, not in a way of its own."""
    kinds = [kind for kind in OURS if isinstance(model, kind)]
    return model if any(getattr(type(model), method) is getattr(kind, method) for kind in kinds) else None


def _decode(model: nn.Module, pack: _Pack, shape: Sequence[int], mean: str) -> list[dict]:
    match _known(model, "decode"):
        case ColorAutoencoder():
            return [*_layers(model.decoder, "decoder", pack), {"kind": "sigmoid"}]
        case VAE():
            return [*_layers(model.decoder, "decoder", pack), {"kind": mean}]
        case Autoencoder():
            return [*_layers(model.decoder, "decoder", pack), *_output(model.output)]
        case photos.Residual():
            return [*_layers(model.decoder, "decoder", pack), _affine(0.25, 0.5), {"kind": "clamp"}]
        case photos.Blockwise():
            fine = [_affine(pack(1 / model.scale.flatten(), "scale"), 0.0), *_layers(model.decoder, "decoder", pack)]
            branches = [_layers(model.up, "up", pack), [*fine, _affine(1 / 50, 0.0)]]
            return [{"kind": "sum", "branches": branches}, {"kind": "clamp"}]
    return _found(model, "decode", "decoder", pack, shape)


def _encode(model: nn.Module, pack: _Pack, shape: Sequence[int]) -> list[dict]:
    match _known(model, "encode"):
        case ColorAutoencoder():
            kept = [] if model.kept is None else [{"kind": "first", "count": model.kept}]
            return [*_layers(model.encoder, "encoder", pack), *kept, {"kind": "sigmoid"}]
        case VAE():
            return [*_layers(model.encoder, "encoder", pack), {"kind": "first", "part": 2}]
        case photos.Residual():
            return [_affine(4.0, -2.0), *_layers(model.encoder, "encoder", pack)]
        case photos.Blockwise():
            scale = _affine(pack(model.scale.flatten() / 10, "scale"), 0.0)
            fine = [_affine(4.0, -2.0), *_layers(model.encoder, "encoder", pack), scale]
            return [{"kind": "sum", "branches": [_layers(model.down, "down", pack), fine]}]
        case Embedder():
            return [_affine(1.0, -0.5), *_layers(model.layers, "layers", pack), {"kind": "mean"}]
        case Autoencoder():
            return _layers(model.encoder, "encoder", pack)
    return _found(model, "encode", "encoder", pack, shape)


def _found(model: nn.Module, method: str, part: str, pack: _Pack, shape: Sequence[int]) -> list[dict]:
    """The layers of a model of another class: a part's, and what follows it, as the method shows on random inputs."""
    module = _part(model, part)
    layers = _layers(module, part, pack)
    generator = np.random.default_rng(0)  # codes may lie anywhere, images in [0, 1]
    numbers = 3 * generator.normal(size=(64, *shape)) if method == "decode" else generator.uniform(size=(4, *shape))
    batch = torch.from_numpy(numbers).float()
    found = run(model, method, batch)
    try:
        with torch.no_grad():
            raw = module(batch)
    except RuntimeError:
        raw = torch.empty(0)
    for output in (nn.Identity(), torch.sigmoid, clamp):
        if raw.shape == found.shape and torch.allclose(output(raw), found, atol=1e-5):
            return [*layers, *_output(output)]
    raise ValueError(
        f"model.{method} of this {type(model).__name__} is not its {part}, alone, with a sigmoid or a cut: "
        f"put what else it does into model.{part}"
    )


def _layers(module: nn.Module, where: str, pack: _Pack) -> list[dict]:
    """The layers of a module, which stands at this place of the model. Raises ValueError for one that pages lack."""
    # In a forward of its own, a reader's class may do anything, whatever it inherits from.
    origin = next(kind.__module__ for kind in type(module).__mro__ if "forward" in vars(kind))
    match module if origin.startswith(("torch.nn.modules.", "chromae.models.")) else None:
        case nn.Sequential():
            return [layer for key, it in module.named_children() for layer in _layers(it, f"{where}.{key}", pack)]
        case nn.Linear():
            return [{"kind": "linear"} | _weights(module, where, pack)]
        case nn.Conv2d() | nn.ConvTranspose2d():
            return [_convolution(module, where, pack)]
        case nn.BatchNorm1d() | nn.BatchNorm2d() if module.running_var is not None:
            scale = (module.weight if module.affine else 1) / (module.running_var + module.eps).sqrt()
            shift = (module.bias if module.affine else 0) - module.running_mean * scale
            return [_affine(pack(scale, where), pack(shift, where))]
        case nn.Flatten() if (module.start_dim, module.end_dim) == (1, -1):
            return [{"kind": "flatten"}]
        case nn.Unflatten() if module.dim == 1 and len(module.unflattened_size) == 3:
            return [{"kind": "unflatten", "shape": list(module.unflattened_size)}]
        case nn.LeakyReLU():
            return [{"kind": "leaky_relu", "slope": module.negative_slope}]
        case nn.Softplus() if (module.beta, module.threshold) == (1, 20):
            return [{"kind": "softplus"}]
        case nn.PixelShuffle():
            return [{"kind": "pixel_shuffle", "factor": module.upscale_factor}]
        case nn.PixelUnshuffle():
            return [{"kind": "pixel_unshuffle", "factor": module.downscale_factor}]
        case nn.MaxPool2d() if module.padding == 0 and module.dilation == 1 and not module.ceil_mode:
            return [{"kind": "max_pool", "size": _pair(module.kernel_size), "stride": _pair(module.stride)}]
        case nn.Upsample(mode="nearest", scale_factor=int() | float() as factor) if factor == int(factor):
            return [{"kind": "upsample", "factor": int(module.scale_factor)}]
        case photos.Block():
            return [{"kind": "sum", "branches": [[], _layers(module.layers, f"{where}.layers", pack)]}]
        case ConvexDecoder():
            heads = {key: _weights(getattr(module, key), f"{where}.{key}", pack) for key in ("coefficients", "colors")}
            sizes = {"size": len(module.places), "cells": module.cells, "cuts": module.cuts}
            return [*_layers(module.hidden, f"{where}.hidden", pack), {"kind": "convex"} | heads | sizes]
        case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d():
            return []
        case _ if type(module) in PLAIN:
            return [{"kind": PLAIN[type(module)]}]
    told = str(module) if not any(module.children()) else type(module).__name__
    raise ValueError(f"model holds {told} at {where!r}, which no page can run; it runs {RUNS}")


def _weights(module: nn.Linear, where: str, pack: _Pack) -> dict:
    bias = torch.zeros(module.out_features) if module.bias is None else module.bias
    return {"weight": pack(module.weight, f"{where}.weight"), "bias": pack(bias, f"{where}.bias")}


def _convolution(module: nn.Conv2d | nn.ConvTranspose2d, where: str, pack: _Pack) -> dict:
    turned = isinstance(module, nn.ConvTranspose2d)
    usual = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    if not usual or isinstance(module.padding, str):
        raise ValueError(f"model holds {module} at {where!r}, expected one group, no dilation, padding with zeros")
    bias = torch.zeros(module.out_channels) if module.bias is None else module.bias
    return {
        "kind": "conv_transpose" if turned else "conv",
        "weight": pack(module.weight.transpose(0, 1) if turned else module.weight, f"{where}.weight"),  # out, in, y, x
        "bias": pack(bias, f"{where}.bias"),
        "stride": list(module.stride),
        "padding": list(module.padding),
        "extra": list(module.output_padding),
    }


def _affine(scale: float | dict, shift: float | dict) -> dict:
    return {"kind": "affine", "scale": scale, "shift": shift}


def _pair(size: int | tuple[int, int]) -> list[int]:
    return [size, size] if isinstance(size, int) else list(size)


def _part(model: nn.Module, name: str) -> nn.Module:
    part = getattr(model, name, None)
    if not isinstance(part, nn.Module):
        raise ValueError(f"model is a {type(model).__name__} without a module called {name!r}, which a page would run")
    return part


def _output(function: Callable) -> list[dict]:
    known = {torch.sigmoid: "sigmoid", clamp: "clamp"}
    if function not in known and not isinstance(function, nn.Sigmoid | nn.Identity):
        raise ValueError(
            f"model.output is {function}, expected torch.sigmoid, models.autoencoder.clamp or nn.Identity()"
        )
    return [] if isinstance(function, nn.Identity) else [{"kind": known.get(function, "sigmoid")}]
