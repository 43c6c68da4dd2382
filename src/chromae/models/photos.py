"""Autoencoders of 32 × 32 photos: a published small one with all of its variants.

After Roelofs and Gu's CIFAR-10 study (2020), whose network is given by its captions: two poolings around the middle
of three convolutions, two upsamplings around the first of two on the way back, 4,911 parameters.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from chromae.arguments.kinds import Count, Natural
from chromae.models.autoencoder import Autoencoder


def small(
    channels: Sequence[Count] = (8, 12),
    latent: Count = 16,
    kernel: Count = 3,
    halvings: int = 2,
    strided: bool = False,
    extra: Natural = 0,
    rectified: bool = True,
    activation: Callable[[], nn.Module] = nn.LeakyReLU,
    output: Callable[[Tensor], Tensor] = torch.sigmoid,
    inside: Count = 3,
    outside: Count = 3,
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
        activation: makes what follows every convolution but the last of each side.
        output: of the decoder, as published a sigmoid.
        inside, outside: channels of the picture that goes in, and of the one that comes out.
    """
    if not 0 <= halvings <= len(channels):
        raise ValueError(f"halvings is {halvings}, expected 0 to {len(channels)}, one for each of channels")
    if kernel % 2 == 0:
        raise ValueError(f"kernel is {kernel}, expected an odd width")

    def convolution(before: int, after: int, stride: int = 1) -> nn.Module:
        return nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2)

    widths = [inside, *channels, latent]
    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        halve = index < halvings
        encoder.append(convolution(before, after, stride=2 if halve and strided else 1))
        if index < len(channels):
            encoder.append(activation())
        if halve and not strided:
            encoder.append(nn.MaxPool2d(2))
    for _ in range(extra):
        encoder += [activation(), convolution(latent, latent)]
        decoder += [convolution(latent, latent), activation()]
    if rectified:
        encoder.append(nn.ReLU())
    back = [*widths[:1:-1], outside]
    for index, (before, after) in enumerate(pairwise(back)):
        if index < halvings:
            decoder.append(nn.Upsample(scale_factor=2))
        decoder.append(convolution(before, after))
        if index < len(back) - 2:
            decoder.append(activation())
    return Autoencoder(nn.Sequential(*encoder), nn.Sequential(*decoder), output)


def receptive_field(encoder: nn.Sequential) -> int:
    """Pixels, each way, that one number of the code can see: 1 + Σ (kernel − 1) · the product of earlier strides."""
    field, jump = 1, 1
    for layer in encoder:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, stride = (size if isinstance(size, int) else size[0] for size in (layer.kernel_size, layer.stride))
            field, jump = field + (kernel - 1) * jump, jump * stride
    return field


class Residual(nn.Module):
    """32 × 32 photos through `latent` numbers: residual convolutions at 16, 8 and 4 pixels, one dense layer a side.

    He et al.'s pre-activation blocks (https://arxiv.org/abs/1603.05027) that begin as the identity. No norms, no
    sigmoid: colours leave it unbounded.
    """

    def __init__(self, latent: Count, width: Count = 32, depth: Natural = 1):
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        down: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, width, 3, padding=1), *blocks(width, depth)]
        last: list[nn.Module] = [*blocks(width, depth), nn.SiLU(), nn.Conv2d(width, 12, 3, padding=1)]
        doublings: list[list[nn.Module]] = []
        for inside, out in pairwise(widths):
            down += [nn.Conv2d(inside, out, 2, stride=2), *blocks(out, depth)]
            doublings.append([*blocks(out, depth), nn.ConvTranspose2d(out, inside, 2, stride=2)])
        up = [layer for doubling in reversed(doublings) for layer in doubling] + last
        numbers = widths[-1] * 4 * 4
        self.encoder = nn.Sequential(*down, nn.SiLU(), nn.Flatten(), nn.Linear(numbers, latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, numbers), nn.Unflatten(1, (widths[-1], 4, 4)), *up, nn.PixelShuffle(2)
        )

    def encode(self, x: Float[Tensor, "n 3 32 32"]) -> Float[Tensor, "n latent"]:
        """Latents, unbounded, of photos in [0, 1]."""
        return self.encoder(4 * x - 2)

    def decode(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n 3 32 32"]:
        """Photos, about in [0, 1]."""
        return 0.5 + self.decoder(z).float() / 4

    def forward(self, x: Float[Tensor, "n 3 32 32"]) -> Float[Tensor, "n 3 32 32"]:
        return self.decode(self.encode(x))


class Block(nn.Module):
    """x + convolution(SiLU(convolution(SiLU(x)))), the identity before training."""

    def __init__(self, width: Count):
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            zero_init(nn.Conv2d(width, width, 3, padding=1)),
        )

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        return x + self.layers(x)


def blocks(width: Count, depth: Natural) -> list[nn.Module]:
    return [Block(width) for _ in range(depth)]


def zero_init(layer: nn.Module) -> nn.Module:
    """The layer with weights of zero: what begins so begins as nothing, and still learns."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Blockwise(nn.Module):
    """A linear code of every block of a photo, and what residual convolutions around it add to code and picture.

    It starts as the principal components of blocks (`start`), the best code that is linear and alike everywhere, and
    ends as a code of `latent` · (32 / `block`)² numbers.
    """

    def __init__(self, latent: Count = 64, block: int = 8, width: Count = 96, depth: Natural = 2):
        super().__init__()
        if block not in (4, 8, 16, 32):
            raise ValueError(f"block is {block}, expected 4, 8, 16 or 32 pixels")
        self.down = nn.Conv2d(3, latent, block, stride=block)
        self.up = nn.ConvTranspose2d(latent, 3, block, stride=block)
        self.register_buffer("scale", torch.ones(latent, 1, 1))  # of the components
        steps = {"kernel_size": block // 4 + 2, "stride": block // 4, "padding": 1}
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, width, 3, padding=1), *blocks(width, depth), nn.SiLU(),
            zero_init(nn.Conv2d(width, latent, **steps)),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(latent, width, **steps), *blocks(width, depth), nn.SiLU(),
            zero_init(nn.Conv2d(width, 48, 3, padding=1)), nn.PixelShuffle(4),
        )  # fmt: skip

    @torch.no_grad()
    def start(self, images: Float[Tensor, "n 3 height width"]) -> "Blockwise":
        """Take the principal components of these photos' blocks for the linear part; returns the model."""
        latent, _, block, _ = self.down.weight.shape
        mean = images.mean((0, 2, 3))
        patches = F.pixel_unshuffle(images - mean[:, None, None], block).movedim(1, -1).flatten(0, 2).double()
        variances, axes = torch.linalg.eigh(patches.T @ patches / len(patches))  # the narrowest first
        axes = axes.flip(1)[:, :latent].T.unflatten(1, (3, block, block)).float()
        self.down.weight.copy_(axes)
        self.down.bias.copy_(-(axes.sum((2, 3)) @ mean))
        self.up.weight.copy_(axes)
        self.up.bias.copy_(mean)
        self.scale.copy_(variances.flip(0)[:latent, None, None].sqrt())
        return self

    def encode(self, x: Float[Tensor, "n 3 32 32"]) -> Float[Tensor, "n latent rows columns"]:
        """The code of photos in [0, 1]."""
        return self.down(x).float() + self.scale * self.encoder(4 * x - 2).float() / 10

    def decode(self, z: Float[Tensor, "n latent rows columns"]) -> Float[Tensor, "n 3 32 32"]:
        """Photos, about in [0, 1]."""
        return self.up(z).float() + self.decoder(z / self.scale).float() / 50

    def forward(self, x: Float[Tensor, "n 3 32 32"]) -> Float[Tensor, "n 3 32 32"]:
        return self.decode(self.encode(x))
