"""Losses: pure functions of tensors, and the objectives that `training.fit` minimises.

An objective is `objective(model, batch) -> dict[str, Tensor]`; its "loss" entry is minimised, all are logged.
Losses compute in float32 whatever mixed precision hands over; `mse` needs no help, for autocast itself sees to it.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from chromae.arguments.networks import Coder
from chromae.arguments.precision import in_float32
from chromae.losses.contrastive import (
    alignment,
    in_batch_triplet,
    info_nce,
    rank_n_contrast,
    soft_info_nce,
    triplet,
    uniformity,
)
from chromae.losses.likelihoods import (
    bernoulli,
    continuous_bernoulli,
    continuous_bernoulli_log_partition,
    continuous_bernoulli_logits,
    continuous_bernoulli_mean,
    gaussian,
    kl,
)

__all__ = [
    "alignment",
    "bernoulli",
    "continuous_bernoulli",
    "continuous_bernoulli_log_partition",
    "continuous_bernoulli_logits",
    "continuous_bernoulli_mean",
    "expected_error",
    "gaussian",
    "gram",
    "in_batch_triplet",
    "info_nce",
    "kl",
    "mse",
    "rank_n_contrast",
    "reconstruction",
    "reconstruction_and_triplet",
    "soft_info_nce",
    "spikiness",
    "triplet",
    "uniformity",
]


def mse(prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean squared error over every element; with values in [0, 1] it lies in [0, 1].

    Raises ValueError if the shapes differ (broadcasting would hide a mistake).
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction has shape {tuple(prediction.shape)}, expected that of target, {tuple(target.shape)}"
        )
    return F.mse_loss(prediction, target)


@in_float32
def spikiness(logits: Float[Tensor, "n *shape"]) -> Float[Tensor, ""]:
    """How undecided softmax(logits) is over its first axis: the mean of Σ √p, 1 if decided and √n if all p are equal.

    The penalty ‖softmax(m)^½‖₁ of "Learning a color quantization for neural excitation" (2021), as a mean instead of
    a sum, and computed from log p: √p itself has an infinite gradient where p underflows.
    """
    return (logits.log_softmax(0) / 2).exp().sum(0).mean()


@in_float32
def expected_error(
    odds: Float[Tensor, "n height width"], colors: Float[Tensor, "n c"], target: Float[Tensor, "c height width"]
) -> Float[Tensor, ""]:
    """The squared error to expect if every pixel took one of n colours by these odds: Σₖ pₖ |cₖ − t|², the mean.

    The error of the *mixed* colour Σₖ pₖ cₖ is smaller by its variance: minimising that one rewards mixing colours
    that nobody can draw. Colours and target are to be in one space, OKLab for what eyes see.
    """
    flat, weights = target.flatten(1).T, odds.flatten(1).T
    squares = flat.square().sum(1, keepdim=True) - 2 * flat @ colors.T + colors.square().sum(1)
    return (weights * squares).sum(1).mean()


@in_float32
def gram(features: Float[Tensor, "n channels length *place"]) -> Float[Tensor, "n channels channels"]:
    """How much any two channels fire together, wherever: the mean product (Gatys et al., arXiv:1508.06576, eq. 3)."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat.shape[2]


def reconstruction(model: nn.Module, batch: Float[Tensor, "n *shape"]) -> dict[str, Tensor]:
    """Objective: MSE between a batch and its reconstruction, values in [0, 1]."""
    return {"loss": mse(model(batch), batch)}


def reconstruction_and_triplet(
    model: Coder, batch: Float[Tensor, "n 3 d"], margin: float = 1.0, weight: float = 1.0
) -> dict[str, Tensor]:
    """Objective: MSE of the anchors plus `weight` times the triplet loss of the latents.

    `batch[:, 0]` are anchors, `batch[:, 1]` positives, `batch[:, 2]` negatives, values in [0, 1].
    Raises ValueError if the batch does not hold triplets.
    """
    if batch.ndim != 3 or batch.shape[1] != 3:
        raise ValueError(f"batch has shape {tuple(batch.shape)}, expected (n, 3, d): anchor, positive, negative")
    latents = model.encode(batch)
    anchor, positive, negative = latents.unbind(1)
    error = mse(model.decode(anchor), batch[:, 0])
    distance = triplet(anchor, positive, negative, margin)
    return {"loss": error + weight * distance, "mse": error, "triplet": distance}
