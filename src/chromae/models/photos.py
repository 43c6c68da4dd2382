"""Autoencoders of 32 × 32 photos: a published small one with all of its variants.

After Roelofs and Gu's CIFAR-10 study (2020), whose network is given by its captions: two poolings around the middle
of three convolutions, two upsamplings around the first of two on the way back, 4,911 parameters.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from chromae.models.autoencoder import Autoencoder


def small(
    channels: Sequence[int] = (8, 12),
    latent: int = 16,
    kernel: int = 3,
    halvings: int = 2,
    strided: bool = False,
    extra: int = 0,
    rectified: bool = True,
) -> Autoencoder:
    """The published network: 3 × 32 × 32 → `latent` × 8 × 8 → 3 × 32 × 32, and its variants.

    Args:
        channels: of the encoder's convolutions before the last; the decoder mirrors all but the first.
        latent: channels of the code; it holds latent · (32 / 2^halvings)² numbers.
        kernel: width of every convolution, odd, padded to keep the size.
        halvings: of the picture's width, 0 to 2, and as many doublings.
        strided: halve by a stride of the convolution instead of a 2 × 2 maximum.
        extra: more convolutions of the same width, before the code and after it.
        rectified: a ReLU on the code, as published: it then spends half of its range on nothing.
    """
    if not 0 <= halvings <= len(channels):
        raise ValueError(f"halvings is {halvings}, expected 0 to {len(channels)}, one a convolution before the code")
    if kernel % 2 == 0:
        raise ValueError(f"kernel is {kernel}, expected an odd width")

    def convolution(inside: int, out: int, stride: int = 1) -> nn.Module:
        return nn.Conv2d(inside, out, kernel, stride=stride, padding=kernel // 2)

    widths = [3, *channels, latent]
    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = []
    for index, (inside, out) in enumerate(pairwise(widths)):
        halve = index < halvings
        encoder += [convolution(inside, out, stride=2 if halve and strided else 1)]
        encoder += [nn.LeakyReLU()] * (index < len(channels))
        encoder += [nn.MaxPool2d(2)] * (halve and not strided)
    for _ in range(extra):
        encoder += [nn.LeakyReLU(), convolution(latent, latent)]
        decoder += [convolution(latent, latent), nn.LeakyReLU()]
    encoder += [nn.ReLU()] * rectified
    back = [*widths[:1:-1], 3]
    for index, (inside, out) in enumerate(pairwise(back)):
        decoder += [nn.Upsample(scale_factor=2)] * (index < halvings)
        decoder += [convolution(inside, out)] + [nn.LeakyReLU()] * (index < len(back) - 2)
    return Autoencoder(nn.Sequential(*encoder), nn.Sequential(*decoder))


def receptive_field(encoder: nn.Sequential) -> int:
    """Pixels, each way, that one number of the code can see: 1 + Σ (kernel − 1) · the product of earlier strides."""
    field, jump = 1, 1
    for layer in encoder:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, stride = (size if isinstance(size, int) else size[0] for size in (layer.kernel_size, layer.stride))
            field, jump = field + (kernel - 1) * jump, jump * stride
    return field
