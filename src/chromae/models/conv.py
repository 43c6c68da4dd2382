"""Convolutional encoders and decoders of 28 × 28 digits, a shallow and a deep pair.

After https://github.com/AllaVinner/JL-ML; where that leaves strides open, every second layer of the deep pair has one.
The deep pair starts from He's weights (https://arxiv.org/abs/1502.01852, eq. 10): torch's own, narrower ones shrink a
signal by 0.4 a layer, and after sixteen layers nothing of the image is left to learn from.
"""

from torch import nn


def shallow_encoder(out: int, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """1 × 28 × 28 → 32 × 14 × 14 → 64 × 7 × 7 → `out` numbers (2 · latent for a VAE)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1), activation(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), activation(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, out),
    )  # fmt: skip


def shallow_decoder(latent: int, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """`latent` numbers → 32 × 7 × 7 → 64 × 14 × 14 → 32 × 28 × 28 → logits, 1 × 28 × 28."""
    return nn.Sequential(
        nn.Linear(latent, 32 * 7 * 7), activation(), nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 64, 3, stride=2, padding=1, output_padding=1), activation(),
        nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), activation(),
        nn.ConvTranspose2d(32, 1, 3, padding=1),
    )  # fmt: skip


def deep_encoder(out: int, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Eight convolutions, 8-8-16-16-32-32-64-64, 28 → 14 → 7 → 4 → 2 pixels wide, → `out` numbers."""
    layers, inside = [], 1
    for channels in (8, 16, 32, 64):
        layers += [nn.Conv2d(inside, channels, 3, padding=1), activation()]
        layers += [nn.Conv2d(channels, channels, 3, stride=2, padding=1), activation()]
        inside = channels
    return he_start(nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 2 * 2, out)))


def deep_decoder(latent: int, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """The deep encoder mirrored: `latent` numbers → 64 × 2 × 2 → … → logits, 1 × 28 × 28."""
    layers = [nn.Linear(latent, 64 * 2 * 2), activation(), nn.Unflatten(1, (64, 2, 2))]
    for channels, out, extra in ((64, 32, 1), (32, 16, 0), (16, 8, 1), (8, 1, 1)):  # 2 → 4 → 7 → 14 → 28
        layers += [nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=extra), activation()]
        layers += [nn.ConvTranspose2d(channels, out, 3, padding=1), activation()]
    return he_start(nn.Sequential(*layers[:-1]))


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
