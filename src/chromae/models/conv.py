"""Convolutional encoders and decoders: a shallow and a deep pair for 28 × 28 digits, a normalised one for shapes.

The pairs for digits are after https://github.com/AllaVinner/JL-ML; where that leaves strides open, every second layer
of the deep one has one. It starts from He's weights (https://arxiv.org/abs/1502.01852, eq. 10): torch's own, narrower
ones shrink a signal by 0.4 a layer, and after sixteen layers nothing of the image is left to learn from.
"""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from chromae.arguments.kinds import Count


def shallow_encoder(out: Count, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """1 × 28 × 28 → 32 × 14 × 14 → 64 × 7 × 7 → `out` numbers (2 · latent for a VAE)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1), activation(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), activation(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, out),
    )  # fmt: skip


def shallow_decoder(latent: Count, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """`latent` numbers → 32 × 7 × 7 → 64 × 14 × 14 → 32 × 28 × 28 → logits, 1 × 28 × 28."""
    return nn.Sequential(
        nn.Linear(latent, 32 * 7 * 7), activation(), nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 64, 3, stride=2, padding=1, output_padding=1), activation(),
        nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), activation(),
        nn.ConvTranspose2d(32, 1, 3, padding=1),
    )  # fmt: skip


def deep_encoder(out: Count, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Eight convolutions, 8-8-16-16-32-32-64-64, 28 → 14 → 7 → 4 → 2 pixels wide, → `out` numbers."""
    layers, inside = [], 1
    for channels in (8, 16, 32, 64):
        layers += [nn.Conv2d(inside, channels, 3, padding=1), activation()]
        layers += [nn.Conv2d(channels, channels, 3, stride=2, padding=1), activation()]
        inside = channels
    return he_start(nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 2 * 2, out)))


def deep_decoder(latent: Count, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """The deep encoder mirrored: `latent` numbers → 64 × 2 × 2 → … → logits, 1 × 28 × 28."""
    layers = [nn.Linear(latent, 64 * 2 * 2), activation(), nn.Unflatten(1, (64, 2, 2))]
    for channels, out, extra in ((64, 32, 1), (32, 16, 0), (16, 8, 1), (8, 1, 1)):  # 2 → 4 → 7 → 14 → 28
        layers += [nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=extra), activation()]
        layers += [nn.ConvTranspose2d(channels, out, 3, padding=1), activation()]
    return he_start(nn.Sequential(*layers[:-1]))


def shapes_encoder(latent: Count, size: int = 128, widths: tuple[Count, ...] = (24, 48, 96, 128, 128)) -> nn.Module:
    """Five convolutions, RGB of size × size → size/4 → size/8 → size/16 → size/32 pixels wide → `latent` numbers.

    Batch norm after each makes a quick start; `fold` takes it away again.
    Raises ValueError for a size that is no multiple of 32.
    """
    _check_multiple(size, 32)
    _check_widths(widths, 5)
    first, *others, last = pairwise([3, *widths])
    layers = [nn.Conv2d(*first, 8, stride=4, padding=2), nn.BatchNorm2d(first[1]), nn.SiLU()]
    for inside, out in others:
        layers += [nn.Conv2d(inside, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.SiLU()]
    layers += [nn.Conv2d(*last, 3, padding=1), nn.BatchNorm2d(last[1]), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * (size // 32) ** 2, latent))


def shapes_decoder(latent: Count, size: int = 128, widths: tuple[Count, ...] = (128, 64, 32, 16)) -> nn.Module:
    """`latent` numbers → size/16 pixels wide → four transposed convolutions, each doubling → logits, 3 × size × size.

    Raises ValueError for a size that is no multiple of 16.
    """
    _check_multiple(size, 16)
    _check_widths(widths, 4)
    layers = [nn.Linear(latent, widths[0] * (size // 16) ** 2), nn.SiLU(), nn.Unflatten(1, (widths[0], size // 16, -1))]
    for inside, out in pairwise([*widths, 3]):
        layers += [nn.ConvTranspose2d(inside, out, 4, stride=2, padding=1), nn.BatchNorm2d(out), nn.SiLU()]
    return nn.Sequential(*layers[:-2])


def fold(layers: nn.Sequential) -> nn.Sequential:
    """The same function, in eval mode, without batch norms: each becomes part of the convolution before it.

    To train on with: a batch norm's statistics change from batch to batch, noise that in the end is much of the error.
    """
    folded = fold_norms(copy.deepcopy(layers).eval())
    return nn.Sequential(*(layer for layer in folded if not isinstance(layer, nn.Identity)))


def fold_norms(module: nn.Module) -> nn.Module:
    """The same function, in eval mode, with every batch norm that follows a convolution taken into it, in place."""
    before = None
    for name, child in module.named_children():
        if isinstance(before, nn.Conv2d) and isinstance(child, nn.BatchNorm2d):
            if before.training or child.training:
                raise ValueError(f"module has a norm, {name}, in training mode, expected a module in eval mode")
            fused = fuse_conv_bn_eval(before, child)
            before.weight, before.bias = fused.weight, fused.bias
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's norms end in an activation
        else:
            fold_norms(child)
        before = child
    return module


def _check_multiple(size: int, of: int) -> None:
    if size < of or size % of:
        raise ValueError(f"size is {size}, expected a multiple of {of} pixels")


def _check_widths(widths: tuple[Count, ...], count: int) -> None:
    if len(widths) != count:
        raise ValueError(f"widths has {len(widths)} numbers, expected {count}, one a convolution")


def he_start(layers: nn.Sequential) -> nn.Sequential:
    """The same layers, every convolution with normal weights that keep a signal's size through ReLUs; biases zero."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # A strided transposed convolution reaches a pixel through kernel / stride² of its weights.
            inside = layer.in_channels * layer.weight[0, 0].numel()
            if isinstance(layer, nn.ConvTranspose2d):
                inside /= layer.stride[0] ** 2
            nn.init.normal_(layer.weight, std=(2 / inside) ** 0.5)
            nn.init.zeros_(layer.bias)
    return layers
