"""The VAE against a model whose likelihood is known: probabilistic PCA."""

import math

import pytest
import torch
from torch import nn

from chromae import losses, metrics, settings, training
from chromae.models import dense, vae

SIGMA = 0.3


def ppca():
    """A linear-Gaussian VAE at its optimum, data, and their exact log-likelihood (Tipping and Bishop 1999)."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(6, 2, generator=generator, dtype=torch.float64)).Q
    weight = directions * torch.tensor([1.5, 0.8], dtype=torch.float64)
    offset = torch.randn(6, generator=generator, dtype=torch.float64)
    covariance = weight @ weight.T + SIGMA**2 * torch.eye(6, dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(offset, covariance)
    torch.manual_seed(1)
    x = normal.sample((200,))

    precision = (weight * weight).sum(0) + SIGMA**2  # the columns are orthogonal: the posterior's is diagonal
    encoder, decoder = nn.Linear(6, 4).double(), nn.Linear(2, 6).double()
    with torch.no_grad():
        decoder.weight.copy_(weight)
        decoder.bias.copy_(offset)
        encoder.weight[:2] = (weight / precision).T
        encoder.bias[:2] = -encoder.weight[:2] @ offset
        encoder.weight[2:] = 0
        encoder.bias[2:] = torch.log(SIGMA**2 / precision)
    return vae.VAE(encoder, decoder), x, normal.log_prob(x)


def likelihood(mean, x):
    return losses.gaussian(mean, x, math.log(SIGMA))


def test_elbo_of_a_linear_vae_is_the_exact_log_likelihood():
    model, x, exact = ppca()
    torch.manual_seed(2)
    objective = vae.elbo_objective(likelihood)
    with torch.no_grad():
        elbos = torch.stack([objective(model, x)["elbo"] for _ in range(2000)])
    error = elbos.std() / len(elbos) ** 0.5
    assert elbos.mean().item() == pytest.approx(exact.mean().item(), abs=4 * error.item() + 1e-9)


@pytest.mark.parametrize("samples", [1, 7])
def test_iwae_with_the_exact_posterior_is_exact_for_any_number_of_samples(samples):
    model, x, exact = ppca()
    torch.testing.assert_close(metrics.iwae(model, x, likelihood, samples=samples, rows=3 * len(x)), exact)


def worse():
    """The same with a posterior that is too wide."""
    model, x, exact = ppca()
    with torch.no_grad():
        model.encoder.bias[2:] += 1.0
    return model, x, exact


def test_iwae_rises_with_its_samples_from_the_elbo_to_the_likelihood():
    model, x, exact = worse()
    torch.manual_seed(3)
    x, exact = x.repeat(20, 1), exact.repeat(20)
    bounds = [metrics.iwae(model, x, likelihood, samples=k).mean().item() for k in (1, 2, 8, 64, 512)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < exact.mean().item() + 1e-3
    assert bounds[-1] == pytest.approx(exact.mean().item(), abs=0.02)


def test_chunks_do_not_change_the_estimate():
    model, x, _ = worse()
    torch.manual_seed(4)
    whole = metrics.iwae(model, x, likelihood, samples=12)
    torch.manual_seed(4)
    torch.testing.assert_close(metrics.iwae(model, x, likelihood, samples=12, rows=5 * len(x)), whole)


def test_embeddings_are_posterior_means_and_repeat_exactly():
    model, x, _ = ppca()
    assert torch.equal(model.encode(x), model.encode(x))
    assert torch.equal(model.encode(x), model.posterior(x)[0])


def test_active_units_counts_the_latents_in_use():
    model, x, _ = ppca()
    with torch.no_grad():
        model.encoder.weight[1] = 0
    assert metrics.active_units(model, x) == 1


def test_beta_and_free_bits_weigh_the_kl():
    model, x, _ = worse()

    def terms(**options):
        torch.manual_seed(5)
        return vae.elbo_objective(likelihood, **options)(model, x)

    plain, beta, bits = terms(), terms(beta=4.0), terms(free_bits=100.0)
    torch.testing.assert_close(plain["loss"], -plain["elbo"])
    torch.testing.assert_close(beta["loss"], plain["reconstruction"] + 4 * plain["kl"])
    torch.testing.assert_close(bits["loss"], plain["reconstruction"] + 2 * 100.0)
    for name in ("reconstruction", "kl", "elbo"):
        torch.testing.assert_close(beta[name], plain[name])


def test_dense_vae_learns_binary_stripes():
    torch.manual_seed(0)
    rows = torch.rand(512, 4, 1).round().expand(-1, -1, 4).unsqueeze(1).contiguous()  # four bits an image
    model = vae.VAE(dense.encoder((1, 4, 4), [32], 2 * 4), dense.decoder(4, [32], (1, 4, 4)))
    history = training.fit(model, rows, vae.elbo_objective(losses.bernoulli), epochs=60, batch_size=64, lr=1e-2)
    assert history["elbo"][-1] > -4.5  # 4 bits are 2.77 nats; 16 pixels untrained, 11.1
    assert model.decode(model.encode(rows)).shape == rows.shape


def test_iwae_wants_a_sample():
    model, x, _ = ppca()
    with pytest.raises(ValueError, match="samples is 0"):
        metrics.iwae(model, x, likelihood, samples=0)


def test_iwae_in_mixed_precision_stays_within_hundredths_of_a_nat():
    torch.manual_seed(0)
    rows = torch.rand(256, 16, 1).round().expand(-1, -1, 16).unsqueeze(1).contiguous()
    model = vae.VAE(dense.encoder((1, 16, 16), [64], 2 * 16), dense.decoder(16, [64], (1, 16, 16)))
    training.fit(model, rows, vae.elbo_objective(losses.bernoulli), epochs=40, batch_size=64, lr=1e-2)
    bounds = []
    for bf16 in (False, True):
        torch.manual_seed(1)
        bounds.append(metrics.iwae(model, rows[:32], losses.bernoulli, samples=200, bf16=bf16).mean().item())
    assert bounds[1] == pytest.approx(bounds[0], abs=0.05)
    assert bounds[1] != bounds[0] or not settings.has_bf16("cpu")


def test_mixed_precision_leaves_posterior_noise_and_latents_in_float32():
    torch.manual_seed(0)
    x = torch.rand(64, 1, 4, 4)
    model = vae.VAE(dense.encoder((1, 4, 4), [32], 2 * 4), dense.decoder(4, [32], (1, 4, 4)))
    decoded = []
    model.decoder.register_forward_pre_hook(lambda _module, inputs: decoded.append(inputs[0]))
    with torch.autocast("cpu", torch.bfloat16):
        mean, log_variance = model.posterior(x)
        torch.manual_seed(1)
        vae.elbo_objective(losses.bernoulli)(model, x)
    torch.manual_seed(1)
    torch.testing.assert_close(decoded[0], mean + torch.exp(log_variance / 2) * torch.randn(64, 4))
    assert mean.dtype == log_variance.dtype == decoded[0].dtype == torch.float32


@pytest.mark.parametrize("rows", [1, 64, 199])
def test_iwae_asks_for_no_more_rows_than_it_may(rows):
    model, x, exact = ppca()
    asked = []
    for part in (model.encoder, model.decoder):
        part.register_forward_pre_hook(lambda _module, inputs: asked.append(len(inputs[0])))
    torch.testing.assert_close(metrics.iwae(model, x, likelihood, samples=3, rows=rows), exact)
    assert max(asked) == rows
