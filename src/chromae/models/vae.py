"""The variational autoencoder over any encoder and decoder."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chromae import losses
from chromae.arguments import gave
from chromae.arguments.kinds import Finite, Size
from chromae.arguments.precision import full

Likelihood = Callable[[Tensor, Tensor], Tensor]


class VAE(nn.Module):
    """q(z|x) = N(mean, diag variance) from `encoder(x)`, p(x|z) with logits (or means) `decoder(z)`, prior N(0, 1).

    The encoder gives 2 · latent numbers an image: means, then log-variances. Kingma and Welling,
    https://arxiv.org/abs/1312.6114.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def posterior(self, x: Float[Tensor, "n *shape"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, "n latent"]]:
        """Mean and log-variance of q(z|x), and so the noise and z drawn by them, in float32 under mixed precision."""
        return full(self.encoder(x)).chunk(2, dim=1)

    def encode(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n latent"]:
        """Embeddings: the posterior means, the same on every call."""
        return self.posterior(x)[0]

    def decode(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n *shape"]:
        """Parameters of p(x|z): logits for the Bernoulli kinds, means for the Gaussian."""
        return self.decoder(z)

    def forward(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        return self.decode(self.encode(x))


def elbo_objective(
    likelihood: Likelihood, beta: Finite = 1.0, free_bits: Size = 0.0
) -> Callable[[VAE, Float[Tensor, "n *shape"]], dict[str, Tensor]]:
    """Objective of a VAE with `likelihood(parameters, x)`, one of losses' negative log-likelihoods per image.

    loss = reconstruction + β · KL, in nats per image (mean over the batch), with one sample of z. `beta`: Higgins et
    al. 2017 (β-VAE). `free_bits`: nats a latent below which the batch's mean KL is not pushed (arXiv:1606.04934,
    eq. 15). The term "elbo" is the ELBO itself, whatever β and free bits are.
    """

    def objective(model: VAE, x: Float[Tensor, "n *shape"]) -> dict[str, Tensor]:
        mean, log_variance = model.posterior(x)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        reconstruction = gave("likelihood", likelihood(model.decode(z), x), Float[Tensor, f"{len(x)}"]).mean()
        per_latent = losses.kl(mean, log_variance).mean(0)
        divergence = per_latent.sum()
        pushed = per_latent.clamp(min=free_bits).sum() if free_bits else divergence
        return {
            "loss": reconstruction + beta * pushed,
            "reconstruction": reconstruction,
            "kl": divergence,
            "elbo": -(reconstruction + divergence),
        }

    return objective
