"""Measures of what a model learnt."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def circular_correlation(alpha: Float[Tensor, " n"], beta: Float[Tensor, " n"]) -> float:
    """Correlation of two angles in radians, in [-1, 1]: 1 if β turns with α from any offset, -1 if against it.

    The T-linear coefficient of Fisher and Lee, "A correlation coefficient for circular data", Biometrika 70
    (1983), p. 327, in its form without double sums. It needs no mean direction, so it also serves uniform angles.
    """
    a, b = alpha.double(), beta.double()
    n = len(a)
    parallel = (a.cos() * b.cos()).sum() * (a.sin() * b.sin()).sum()
    crossed = (a.cos() * b.sin()).sum() * (a.sin() * b.cos()).sum()
    spread_a = n**2 - (2 * a).cos().sum() ** 2 - (2 * a).sin().sum() ** 2
    spread_b = n**2 - (2 * b).cos().sum() ** 2 - (2 * b).sin().sum() ** 2
    return (4 * (parallel - crossed) / (spread_a * spread_b).sqrt()).item()


def explained_variance(inputs: Float[Tensor, "n d"], target: Float[Tensor, " n"]) -> float:
    """R²: the part of the target's variance that an affine function of the inputs explains, in [0, 1]."""
    x = inputs.double() - inputs.double().mean(0)
    y = target.double() - target.double().mean()
    fitted = x @ torch.linalg.lstsq(x, y[:, None]).solution
    return 1 - ((y - fitted[:, 0]).square().sum() / y.square().sum()).item()


def mean_absolute_change(before: Shaped[Tensor, "*shape"], after: Shaped[Tensor, "*shape"]) -> float:
    """Mean absolute difference of two images, in their own units (8-bit images: in 1/255)."""
    return (after.float() - before.float()).abs().mean().item()
