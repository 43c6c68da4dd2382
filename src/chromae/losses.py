"""Losses: pure functions of tensors, and the objectives that `training.fit` minimises.

An objective is `objective(model, batch) -> dict[str, Tensor]`; its "loss" entry is minimised, all are logged.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def mse(prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean squared error over every element; with values in [0, 1] it lies in [0, 1].

    Raises ValueError if the shapes differ (broadcasting would hide a mistake).
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction has shape {tuple(prediction.shape)}, expected that of target, {tuple(target.shape)}"
        )
    return F.mse_loss(prediction, target)


def triplet(
    anchor: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    negative: Float[Tensor, "n d"],
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Triplet margin loss: the mean over n of max(0, |a − p| − |a − n| + margin), in units of latent distance.

    FaceNet (Schroff et al. 2015, https://arxiv.org/abs/1503.03832), eq. 3, with plain instead of squared
    Euclidean distances. Equal to `torch.nn.functional.triplet_margin_loss`, which vmap cannot batch.
    """
    near = F.pairwise_distance(anchor, positive)
    far = F.pairwise_distance(anchor, negative)
    return F.relu(near - far + margin).mean()


def reconstruction(model: nn.Module, batch: Float[Tensor, "n *shape"]) -> dict[str, Tensor]:
    """Objective: MSE between a batch and its reconstruction, values in [0, 1]."""
    return {"loss": mse(model(batch), batch)}


def reconstruction_and_triplet(
    model: nn.Module, batch: Float[Tensor, "n 3 d"], margin: float = 1.0, weight: float = 1.0
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
