"""Fully connected encoders and decoders."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from chromae.arguments.kinds import Count


def encoder(
    shape: Sequence[Count], hidden: Sequence[Count], out: Count, activation: type[nn.Module] = nn.ReLU
) -> nn.Module:
    """Image of `shape` → hidden layers → `out` numbers (2 · latent for a VAE)."""
    return nn.Sequential(nn.Flatten(), *layers([math.prod(shape), *hidden, out], activation))


def decoder(
    latent: Count, hidden: Sequence[Count], shape: Sequence[Count], activation: type[nn.Module] = nn.ReLU
) -> nn.Module:
    """`latent` numbers → hidden layers → logits of an image of `shape`."""
    return nn.Sequential(*layers([latent, *hidden, math.prod(shape)], activation), nn.Unflatten(1, tuple(shape)))


def layers(sizes: Sequence[Count], activation: type[nn.Module]) -> list[nn.Module]:
    """Affine maps between these sizes, an activation after each but the last."""
    return [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), activation())][:-1]
