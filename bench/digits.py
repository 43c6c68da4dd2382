"""The digits' pairs: likelihoods, bounds and training."""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from side_by_side import agree, compare
from torch import nn
from torch.distributions import ContinuousBernoulli, Normal

from chromae import datasets, losses, metrics, training
from chromae.models import conv, dense, vae

SHAPE = (1, 28, 28)


def cb_log_density() -> dict:
    """The continuous Bernoulli's log-density and its gradient, 128 digits: ours against torch.distributions."""
    x = torch.rand(128, 784, generator=torch.Generator().manual_seed(0))
    logits = (20 * torch.rand(128, 784, generator=torch.Generator().manual_seed(1)) - 10).requires_grad_()

    def ours() -> None:
        for _ in range(20):
            losses.continuous_bernoulli(logits, x).mean().backward()

    def theirs() -> None:
        for _ in range(20):
            (-ContinuousBernoulli(logits=logits).log_prob(x).sum(1)).mean().backward()

    return compare(ours, theirs, rounds=31)


def iwae_5000() -> dict:
    """IWAE with 5,000 samples of 32 digits: ours against encoding anew for every chunk, one image at a time.

    Ours decodes in bfloat16 where the hardware has it; the estimates must agree.
    """
    torch.manual_seed(0)
    model = _mlp()
    images = torch.rand(32, *SHAPE)

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        estimates = []
        for image in images.split(1):
            weights = []
            for _ in range(100):
                mean, log_variance = model.encoder(image.expand(50, -1, -1, -1)).chunk(2, dim=1)
                posterior = Normal(mean, torch.exp(log_variance / 2))
                z = posterior.sample()
                log_joint = Normal(0.0, 1.0).log_prob(z).sum(1) - losses.bernoulli(
                    model.decoder(z), image.expand(50, -1, -1, -1)
                )
                weights.append(log_joint - posterior.log_prob(z).sum(1))
            estimates.append(torch.cat(weights).logsumexp(0) - math.log(5000))
        return torch.stack(estimates)

    ours = functools.partial(metrics.iwae, model, images, losses.bernoulli, samples=5000, bf16=True)
    torch.testing.assert_close(ours().mean(), theirs().mean(), atol=2.0, rtol=0)  # the same estimate, drawn anew
    return compare(ours, theirs, rounds=5)


def vae_mlp_train() -> dict:
    """Training a 2 × 500 VAE on digits, in images a second: `fit` against a plain loop, at equal losses."""
    return _vae_train(_mlp, digits=12_800)


def vae_conv_train() -> dict:
    """The same for the shallow convolutional VAE."""
    return _vae_train(lambda: vae.VAE(conv.shallow_encoder(40), conv.shallow_decoder(20)), digits=2_560)


def _mlp() -> vae.VAE:
    return vae.VAE(dense.encoder(SHAPE, [500, 500], 40), dense.decoder(20, [500, 500], SHAPE))


def _vae_train(make: Callable[[], nn.Module], digits: int) -> dict:
    """Ours: logits, fused Adam, channels-last, bfloat16 where the hardware has it. Theirs: sigmoid and BCE, Adam."""
    train, _ = datasets.digits()
    images = train.images[:digits]
    floats = images / 255
    elbos = {}

    def ours() -> None:
        torch.manual_seed(0)
        model = make().to(memory_format=torch.channels_last)
        history = training.fit(model, images, vae.elbo_objective(losses.bernoulli), epochs=1, batch_size=128, bf16=True)
        elbos["ours"] = history["elbo"][-1]

    def theirs() -> None:
        torch.manual_seed(0)
        model = make()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        total = 0.0
        for index in torch.randperm(digits).split(128):
            x = floats[index]
            optimizer.zero_grad()
            mean, log_variance = model.encoder(x).chunk(2, dim=1)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            decoded = torch.sigmoid(model.decoder(z))
            error = F.binary_cross_entropy(decoded, x, reduction="sum")
            divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            loss = (error + divergence) / len(x)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        elbos["theirs"] = -total / digits

    measured = compare(ours, theirs, rounds=11)
    agree(elbos, within=0.03)
    return measured
