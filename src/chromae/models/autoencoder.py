"""The plain autoencoder over any encoder and decoder."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Image → `encoder` → latents → `decoder` → logits → sigmoid → image in (0, 1).

    The same encoders and decoders serve `models.vae.VAE`, the encoder there with twice as many outputs.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n latent"]:
        """Latents, unbounded."""
        return self.encoder(x)

    def decode(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n *shape"]:
        """Images in (0, 1)."""
        return torch.sigmoid(self.decoder(z))

    def forward(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        return self.decode(self.encode(x))
