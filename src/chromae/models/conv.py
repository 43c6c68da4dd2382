"""Convolutional encoders and decoders of 28 × 28 digits, a shallow and a deep pair.

After https://github.com/AllaVinner/JL-ML; where that leaves strides open, every second layer of the deep pair has one.
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
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 2 * 2, out))


def deep_decoder(latent: int, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """The deep encoder mirrored: `latent` numbers → 64 × 2 × 2 → … → logits, 1 × 28 × 28."""
    layers = [nn.Linear(latent, 64 * 2 * 2), activation(), nn.Unflatten(1, (64, 2, 2))]
    for channels, out, extra in ((64, 32, 1), (32, 16, 0), (16, 8, 1), (8, 1, 1)):  # 2 → 4 → 7 → 14 → 28
        layers += [nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=extra), activation()]
        layers += [nn.ConvTranspose2d(channels, out, 3, padding=1), activation()]
    return nn.Sequential(*layers[:-1])
