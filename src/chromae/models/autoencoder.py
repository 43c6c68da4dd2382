"""The plain autoencoder over any encoder and decoder."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Image → `encoder` → latents → `decoder` → logits → sigmoid → image in (0, 1).

    The same encoders and decoders serve `models.vae.VAE`, the encoder there with twice as many outputs. A decoder of
    colours instead of logits comes with another `output`, such as `clamp`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, output: Callable[[Tensor], Tensor] = torch.sigmoid):
        super().__init__()
        self.encoder, self.decoder, self.output = encoder, decoder, output

    def encode(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *latent"]:
        """Latents, unbounded: a number each, or maps of them."""
        return self.encoder(x)

    def decode(self, z: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *output"]:
        """Images in [0, 1]."""
        return self.output(self.decoder(z))

    def forward(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *output"]:
        return self.decode(self.encode(x))


def clamp(colors: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
    """Colours cut to [0, 1], for an autoencoder's `output`."""
    return colors.clamp(0, 1)
