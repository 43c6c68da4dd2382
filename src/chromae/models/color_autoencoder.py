"""The colour autoencoder: three numbers squeezed through two."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from chromae.arguments import gave
from chromae.arguments.kinds import Count, Natural
from chromae.arguments.networks import Decoder
from chromae.latents import unit_square
from chromae.models import dense


class ColorAutoencoder(nn.Module):
    """RGB in [0, 1] → `latent` numbers in (0, 1) → RGB in (0, 1).

    With no hidden layer it is two affine maps, each followed by a sigmoid, 17 parameters in all (after
    https://github.com/GuilhermeFreire/ColorAE). `hidden` gives the widths of SiLU layers between, `extra_outputs` how
    many numbers the encoder gives after the code, which `encode` leaves to an objective (a code's width, say).
    """

    def __init__(self, latent: Count = 2, hidden: Sequence[Count] = (), extra_outputs: Natural = 0):
        super().__init__()
        self.kept = latent if extra_outputs else None  # None: all, for a slice takes time that tiny models feel
        self.encoder = _mlp([3, *hidden, latent + extra_outputs])
        self.decoder = _mlp([latent, *reversed(hidden), 3])

    def encode(self, rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n latent"]:
        """Latents in (0, 1). Raises ValueError if the last axis is not RGB."""
        if rgb.shape[-1] != 3:
            raise ValueError(f"rgb has shape {tuple(rgb.shape)}, expected (…, 3)")
        codes = torch.sigmoid(self.encoder(rgb))
        return codes if self.kept is None else codes[..., : self.kept]

    def decode(self, latents: Float[Tensor, "*n latent"]) -> Float[Tensor, "*n 3"]:
        """RGB in (0, 1)."""
        return torch.sigmoid(self.decoder(latents))

    def forward(self, rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        return self.decode(self.encode(rgb))


def epochs(count: Count, latent: Count = 2, hidden: Sequence[Count] = ()) -> nn.ModuleList:
    """One autoencoder for each epoch of a training run, for what is looked at from its beginning to its end."""
    return nn.ModuleList(ColorAutoencoder(latent, hidden) for _ in range(count))


def _mlp(sizes: Sequence[int]) -> nn.Module:
    layers = dense.layers(sizes, nn.SiLU)
    return nn.Sequential(*layers) if len(layers) > 1 else layers[0]


def to_image(rgb: Float[Tensor, "*n pixels 3"]) -> UInt8[Tensor, "*n size size 3"]:
    """Square 8-bit pictures of maps' decoded colours, rounded to the nearest level. Raises ValueError for others."""
    size = round(rgb.shape[-2] ** 0.5)
    if size**2 != rgb.shape[-2]:
        raise ValueError(f"rgb has {rgb.shape[-2]} pixels, expected those of a square")
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).unflatten(-2, (size, size))


@torch.no_grad()
def color_map(model: Decoder, size: Count = 200) -> UInt8[Tensor, "size size 3"]:
    """What a model with two latents decodes over the whole unit square, in one batch."""
    device = next((it.device for it in model.parameters()), torch.device("cpu"))
    rgb = gave("model.decode", model.decode(unit_square(size, device)), Float[Tensor, f"{size**2} 3"])
    return to_image(rgb)
