"""Likelihoods against float64 quadrature, closed forms and torch.distributions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from torch.distributions import Bernoulli, ContinuousBernoulli, Normal, kl_divergence

from chromae import losses

LOGITS = st.floats(-50, 50, width=32)
PIXELS = st.floats(0, 1, width=32)


def reference(logit):
    """(A, μ) of the continuous Bernoulli by quadrature of e^(xη), scaled by its largest value."""
    top = max(logit, 0.0)
    mass = quad(lambda x: math.exp(x * logit - top), 0, 1, epsabs=0, epsrel=1e-12, limit=200)[0]
    first = quad(lambda x: x * math.exp(x * logit - top), 0, 1, epsabs=0, epsrel=1e-12, limit=200)[0]
    return top + math.log(mass), first / mass


def one_pixel(value):
    return torch.tensor([[value]], dtype=torch.float32)


@given(LOGITS, PIXELS)
def test_continuous_bernoulli_density_and_gradient_equal_quadrature(logit, x):
    partition, mean = reference(logit)
    eta = one_pixel(logit).requires_grad_()
    nats = losses.continuous_bernoulli(eta, one_pixel(x))
    nats.sum().backward()
    assert nats.item() == pytest.approx(partition - x * logit, abs=1e-5)
    assert eta.grad.item() == pytest.approx(mean - x, abs=1e-5)


@given(LOGITS)
def test_continuous_bernoulli_mean_equals_quadrature(logit):
    assert losses.continuous_bernoulli_mean(one_pixel(logit)).item() == pytest.approx(reference(logit)[1], abs=1e-5)


@pytest.mark.parametrize("logit", [-50, -9.21, -0.5, -1e-8, 0, 1e-4, 0.4999, 0.5, 3, 50])
def test_continuous_bernoulli_integrates_to_one(logit):
    eta = torch.tensor([[logit]], dtype=torch.float64)

    def density(x):
        return torch.exp(-losses.continuous_bernoulli(eta, torch.tensor([[x]], dtype=torch.float64))).item()

    assert quad(density, 0, 1, limit=200)[0] == pytest.approx(1, abs=1e-9)


def test_continuous_bernoulli_gradient_is_finite_everywhere():
    eta = torch.linspace(-500, 500, 100_001).view(1, -1).requires_grad_()
    losses.continuous_bernoulli(eta, torch.full_like(eta, 0.5)).sum().backward()
    assert eta.grad.isfinite().all()


def test_continuous_bernoulli_is_near_torch_where_torch_is_right():
    eta = torch.linspace(-6, 6, 50, dtype=torch.float64).view(-1, 1)
    eta = eta[eta.abs().squeeze(1) > 1]
    x = torch.rand(len(eta), 1, dtype=torch.float64)
    expected = -ContinuousBernoulli(logits=eta).log_prob(x).sum(1)
    torch.testing.assert_close(losses.continuous_bernoulli(eta, x), expected, atol=1e-6, rtol=0)


def test_clip_bounds_the_logits():
    x = torch.ones(1, 1)
    clipped = losses.continuous_bernoulli(torch.full((1, 1), 1e4), x, clip=1e-4)
    bound = math.log((1 - 1e-4) / 1e-4)
    torch.testing.assert_close(clipped, losses.continuous_bernoulli(torch.full((1, 1), bound), x))
    assert -784 * clipped.item() == pytest.approx(1741, abs=1)  # the ceiling at this clip, for 784 pixels


@pytest.mark.parametrize("clip", [0, 0.5, -1])
def test_clip_out_of_range(clip):
    with pytest.raises(ValueError, match=f"clip is {clip}"):
        losses.continuous_bernoulli(torch.zeros(1, 1), torch.zeros(1, 1), clip=clip)


@given(st.floats(0.03, 0.97))
def test_logits_invert_the_mean(mean):
    wanted = torch.tensor([mean], dtype=torch.float64)
    logits = losses.continuous_bernoulli_logits(wanted)
    torch.testing.assert_close(losses.continuous_bernoulli_mean(logits), wanted, atol=1e-7, rtol=0)


def images(n=5):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(n, 1, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))


def test_bernoulli_sums_over_pixels():
    logits, x = images()
    expected = -Bernoulli(logits=logits, validate_args=False).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(losses.bernoulli(logits, x), expected)


@pytest.mark.parametrize("log_sigma", [0.0, -1.5, torch.tensor(0.7, dtype=torch.float64, requires_grad=True)])
def test_gaussian_sums_over_pixels(log_sigma):
    mean, x = images()
    expected = -Normal(mean, torch.as_tensor(log_sigma, dtype=torch.float64).detach().exp()).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(losses.gaussian(mean, x, log_sigma), expected)


@given(st.floats(-5, 5), st.floats(-8, 4))
def test_kl_is_that_of_two_normals(mean, log_variance):
    expected = kl_divergence(Normal(mean, math.exp(log_variance / 2)), Normal(0.0, 1.0)).item()
    value = losses.kl(torch.tensor([[mean]]).double(), torch.tensor([[log_variance]]).double()).item()
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("likelihood", [losses.bernoulli, losses.continuous_bernoulli, losses.gaussian])
def test_sums_over_pixels_do_not_lose_digits_in_mixed_precision(likelihood):
    parameters = 4 * torch.rand(8, 784, generator=torch.Generator().manual_seed(0)).bfloat16() - 2
    x = torch.rand(8, 784, generator=torch.Generator().manual_seed(1))
    mixed = likelihood(parameters, x)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, likelihood(parameters.float(), x))
    assert losses.kl(parameters, parameters).dtype == torch.float32
