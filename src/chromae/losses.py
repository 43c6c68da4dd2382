"""Losses: pure functions of tensors, and the objectives that `training.fit` minimises.

An objective is `objective(model, batch) -> dict[str, Tensor]`; its "loss" entry is minimised, all are logged.
Losses compute in float32 whatever mixed precision hands over; `mse` needs no help, for autocast itself sees to it.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from chromae.arguments.kinds import Positive
from chromae.arguments.networks import Coder
from chromae.arguments.precision import in_float32


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


@in_float32
def in_batch_triplet(
    anchor: Float[Tensor, "n d"], positive: Float[Tensor, "n d"], margin: float = 0.3, hard: bool = False
) -> Float[Tensor, ""]:
    """Triplet loss of L2-normalised embeddings, an anchor's negatives being the other positives of the batch.

    The mean over all of them, or, if `hard`, over each anchor's nearest alone (Hermans et al.,
    https://arxiv.org/abs/1703.07737, eq. 5 without its squares). Raises ValueError for fewer than two pairs.
    """
    distances = torch.cdist(*_normalised(anchor, positive), compute_mode="donot_use_mm_for_euclid_dist")
    near = distances.diagonal()[:, None]
    if hard:
        own = torch.eye(len(anchor), dtype=torch.bool, device=anchor.device)
        return F.relu(near[:, 0] - distances.masked_fill(own, torch.inf).amin(1) + margin).mean()
    # A mask would wait for the device. After the first of the diagonal come n − 1 times n others and one of it again.
    excess = F.relu(near - distances + margin).flatten()[1:].unflatten(0, (len(anchor) - 1, -1))[:, :-1]
    return excess.flatten().mean()


@in_float32
def info_nce(
    anchor: Float[Tensor, "n d"], positive: Float[Tensor, "n d"], temperature: Positive = 0.1, normalize: bool = True
) -> Float[Tensor, ""]:
    """InfoNCE in nats: cross-entropy of finding each anchor's positive among those of the batch; ln n is chance.

    −log(exp(s_ii / τ) / Σ_j exp(s_ij / τ)), s the cosine, or the dot product without `normalize` (van den Oord et
    al., https://arxiv.org/abs/1807.03748, eq. 4). Raises ValueError for fewer than two pairs.
    """
    if normalize:
        anchor, positive = _normalised(anchor, positive)
    else:
        _check_pairs(anchor, positive)
    similarity = anchor @ positive.T / temperature
    return F.cross_entropy(similarity, torch.arange(len(anchor), device=anchor.device))


@in_float32
def alignment(anchor: Float[Tensor, "n d"], positive: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Mean squared distance of L2-normalised pairs, in [0, 4]; 0 is best (https://arxiv.org/abs/2005.10242, eq. 2)."""
    anchor, positive = _normalised(anchor, positive)
    return (anchor - positive).square().sum(1).mean()


@in_float32
def uniformity(embeddings: Float[Tensor, "n d"], t: float = 2.0) -> Float[Tensor, ""]:
    """log of the mean over pairs of exp(−t · squared distance), L2-normalised: 0 for a point, lower is more uniform.

    The same paper, eq. 3. For t = 2 and many points it goes down to −1.57 on a circle and −3.9 in 128 dimensions.
    Raises ValueError for fewer than two embeddings.
    """
    device = embeddings.device
    if len(embeddings) < 2:
        raise ValueError(f"embeddings has {len(embeddings)} rows, expected 2 or more: one lies apart from none")
    embeddings, _ = _normalised(embeddings, embeddings)
    if device.type == "mps":  # which has no pdist
        embeddings = embeddings.cpu()
    return torch.pdist(embeddings).square().mul(-t).exp().mean().log().to(device)


def _normalised(anchor: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    _check_pairs(anchor, positive)
    return F.normalize(anchor, dim=1), F.normalize(positive, dim=1)


def _check_pairs(anchor: Tensor, positive: Tensor) -> None:
    if anchor.shape != positive.shape:
        raise ValueError(f"positive has shape {tuple(positive.shape)}, expected that of anchor, {tuple(anchor.shape)}")
    if len(anchor) < 2:
        raise ValueError(f"anchor has {len(anchor)} rows, expected 2 pairs or more: each is the others' negative")


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
