"""Losses of embeddings: what is to lie near, what apart, and how evenly."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from chromae.arguments.kinds import Positive
from chromae.arguments.precision import in_float32


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
def soft_info_nce(
    anchor: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    labels: Float[Tensor, "n k"],
    sigma: Positive = 0.08,
    temperature: Positive = 0.1,
) -> Float[Tensor, ""]:
    """InfoNCE that also asks for positives of near labels: in nats, −Σ_j w_ij log softmax_j(s_ij / τ), the mean over i.

    w_i = softmax_j(−|y_i − y_j|² / 2σ²) with y the label of a pair, s the cosine. As σ → 0 it is `info_nce`; else the
    least it can be is the mean entropy of w. Colours as OKLab: then |y_i − y_j| is ΔE. Such kernels of labels as
    targets: y-aware InfoNCE (Dufumier et al. 2021, https://arxiv.org/abs/2106.08808).
    Raises ValueError for fewer than two pairs.
    """
    anchor, positive = _normalised(anchor, positive)
    targets = torch.softmax(-(_apart(labels, anchor) / sigma).square() / 2, dim=1)
    return F.cross_entropy(anchor @ positive.T / temperature, targets)


@in_float32
def rank_n_contrast(
    anchor: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    labels: Float[Tensor, "n k"],
    temperature: Positive = 0.5,
) -> Float[Tensor, ""]:
    """Rank-N-Contrast in nats: the farther two labels lie apart, the farther the embeddings are to lie.

    The mean over all i ≠ j of the 2n embeddings of −log(exp(s_ij / τ) / Σ_k exp(s_ik / τ)), s being minus the distance
    on the unit sphere, and k all but i whose labels lie no nearer to that of i than that of j does (Zha et al.,
    https://arxiv.org/abs/2210.01189, section 3, where embeddings are not normalised and τ is 2). A pair has one label.
    Raises ValueError for fewer than two pairs.
    """
    points = torch.cat(_normalised(anchor, positive))
    apart = _apart(labels, anchor).repeat(2, 2).fill_diagonal_(-1)  # each comes last in its own row
    apart, order = (it[:, :-1] for it in apart.sort(dim=1, descending=True))
    similarity = -torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist") / temperature
    ranked, nearness = similarity.gather(1, order), -apart.contiguous()
    last = torch.searchsorted(nearness, nearness, right=True) - 1  # of those whose labels lie equally far
    return (ranked.logcumsumexp(1).gather(1, last) - ranked).mean()


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


def _apart(labels: Tensor, anchor: Tensor) -> Tensor:
    if len(labels) != len(anchor):
        raise ValueError(f"labels has {len(labels)} rows, expected one for each of {len(anchor)} pairs")
    return torch.cdist(labels, labels, compute_mode="donot_use_mm_for_euclid_dist")
