"""Negative log-likelihoods of images, in nats, and what goes with them."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from chromae.arguments.precision import in_float32


@in_float32
def bernoulli(logits: Float[Tensor, "n d *shape"], x: Float[Tensor, "n d *shape"]) -> Float[Tensor, " n"]:
    """Negative log-likelihood of each image under independent Bernoulli pixels, in nats, summed over pixels.

    −Σ x log σ(η) + (1 − x) log(1 − σ(η)) with η the logits: binary cross-entropy. Only for x in {0, 1} is it the
    likelihood of anything; for greys in between its minimum, the entropy of x, is not zero.
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


@in_float32
def continuous_bernoulli(
    logits: Float[Tensor, "n d *shape"], x: Float[Tensor, "n d *shape"], clip: float | None = None
) -> Float[Tensor, " n"]:
    """Negative log-likelihood of each image, pixels in [0, 1], under the continuous Bernoulli, in nats, summed.

    −log p(x) = A(η) − xη with η the logit and A(η) = log((e^η − 1)/η) (Loaiza-Ganem and Cunningham 2019,
    https://arxiv.org/abs/1907.06845, eq. 4 to 8, with λ = σ(η)). `clip` keeps λ in [clip, 1 − clip]: likelihoods
    compare only at equal clip and equal dequantisation.
    """
    if clip is not None:
        if not 0 < clip < 0.5:
            raise ValueError(f"clip is {clip}, expected None or a probability in (0, 0.5)")
        bound = math.log((1 - clip) / clip)
        logits = logits.clamp(-bound, bound)
    return (continuous_bernoulli_log_partition(logits) - x * logits).flatten(1).sum(1)


@in_float32
def continuous_bernoulli_log_partition(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """A(η) = log((e^η − 1)/η), the log-partition function, = max(η, 0) + log((1 − e^(−|η|))/|η|), exact for every η.

    Its gradient is the mean, computed as such: through the formula it would lose its digits near η = 0.
    """
    return _LogPartition.apply(logits)


class _LogPartition(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(logits):
        size = logits.abs().clamp_(min=1e-20)
        return torch.expm1(-size).neg_().div_(size).log_().add_(logits.clamp(min=0))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * continuous_bernoulli_mean(*ctx.saved_tensors)


@in_float32
def continuous_bernoulli_mean(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """μ(η) = A′(η) = 1/(1 − e^(−η)) − 1/η in (0, 1): the picture to show, where σ(η) is the mode of another density."""
    near = logits.abs() < 0.5
    small = torch.where(near, logits, 0)
    squared = small.square()
    series = 0.5 + small * (1 / 12 - squared * (1 / 720 - squared * (1 / 30240 - squared / 1209600)))
    safe = torch.where(near, 1, logits)
    return torch.where(near, series, -1 / torch.expm1(-safe) - 1 / safe)


@in_float32
def continuous_bernoulli_logits(mean: Float[Tensor, "*shape"], steps: int = 60) -> Float[Tensor, "*shape"]:
    """η with μ(η) = mean, for means in (0, 1): by bisection, which needs no luck. The inverse of the mean."""
    low, high = torch.full_like(mean, -1e6), torch.full_like(mean, 1e6)
    for _ in range(steps):
        middle = (low + high) / 2
        above = continuous_bernoulli_mean(middle) > mean
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2


@in_float32
def gaussian(
    mean: Float[Tensor, "n d *shape"], x: Float[Tensor, "n d *shape"], log_sigma: Float[Tensor, ""] | float = 0.0
) -> Float[Tensor, " n"]:
    """Negative log-likelihood of each image under N(mean, σ²) pixels, σ fixed or learnt, in nats, summed."""
    if not isinstance(log_sigma, Tensor):
        log_sigma = mean.new_full((), log_sigma)
    log_sigma = log_sigma.to(mean)
    scaled = (x - mean) * torch.exp(-log_sigma)
    return (scaled.square() / 2 + log_sigma + math.log(2 * math.pi) / 2).flatten(1).sum(1)


@in_float32
def kl(mean: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """KL(N(mean, variance) ‖ N(0, 1)) of every example and latent, in nats (arXiv:1312.6114, appendix B)."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2
