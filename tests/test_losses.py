"""Losses against torch's own, objectives against their parts."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from chromae import losses
from chromae.arguments import unchecked
from chromae.datasets import color_triplets, colors
from chromae.losses import mse, reconstruction, reconstruction_and_triplet, triplet
from chromae.models.color_autoencoder import ColorAutoencoder


def make(seed=0):
    torch.manual_seed(seed)
    return ColorAutoencoder()


@given(st.integers(1, 20), st.integers(1, 6), st.floats(0.01, 3), st.floats(0.01, 10), st.integers(0, 10_000))
def test_triplet_equals_torch(n, d, margin, scale, seed):
    points = scale * torch.randn(3, n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    points.requires_grad_()
    ours, theirs = triplet(*points, margin), F.triplet_margin_loss(*points, margin=margin)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(loss, points)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_triplet_by_hand():
    anchor = torch.zeros(2, 2)
    positive = torch.tensor([[0.3, 0.4], [0.0, 0.1]])
    negative = torch.tensor([[0.6, 0.8], [3.0, 4.0]])
    assert triplet(anchor, positive, negative).item() == pytest.approx((0.5 - 1 + 1 + 0) / 2, abs=1e-5)
    assert triplet(anchor, positive, negative, margin=0.1).item() == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_mse_is_the_mean_of_squares(pairs):
    prediction, target = torch.tensor(pairs, dtype=torch.float64).T
    expected = sum((p - t) ** 2 for p, t in pairs) / len(pairs)
    assert mse(prediction, target).item() == pytest.approx(expected, abs=1e-12)
    assert 0 <= mse(prediction, target) <= 1


def test_mse_does_not_broadcast():
    with unchecked(), pytest.raises(ValueError, match=r"prediction has shape \(4, 3\).*target, \(3,\)"):
        mse(torch.zeros(4, 3), torch.zeros(3))


def test_reconstruction_compares_a_batch_with_itself():
    model, batch = make(), colors(5, torch.Generator().manual_seed(0))
    terms = reconstruction(model, batch)
    assert set(terms) == {"loss"}
    assert terms["loss"].item() == pytest.approx((model(batch) - batch).square().mean().item())


@pytest.mark.parametrize(("margin", "weight"), [(1.0, 1.0), (0.3, 2.5), (1.0, 0.0)])
def test_reconstruction_and_triplet_adds_its_terms(margin, weight):
    model, batch = make(), color_triplets(8, torch.Generator().manual_seed(0))
    terms = reconstruction_and_triplet(model, batch, margin, weight)
    anchor, positive, negative = batch.unbind(1)
    error = F.mse_loss(model(anchor), anchor)
    distance = F.triplet_margin_loss(*(model.encode(c) for c in (anchor, positive, negative)), margin=margin)
    assert set(terms) == {"loss", "mse", "triplet"}
    assert terms["mse"].item() == pytest.approx(error.item(), rel=1e-5)
    assert terms["triplet"].item() == pytest.approx(distance.item(), rel=1e-5)
    assert terms["loss"].item() == pytest.approx((error + weight * distance).item(), rel=1e-5)


LOSSES = {
    "mse": lambda a, b, c: losses.mse(a, b),
    "triplet": losses.triplet,
    "in-batch triplet": lambda a, b, c: losses.in_batch_triplet(a, b),
    "InfoNCE": lambda a, b, c: losses.info_nce(a, b),
    "InfoNCE of dot products": lambda a, b, c: losses.info_nce(a, b, normalize=False),
    "soft InfoNCE": lambda a, b, c: losses.soft_info_nce(a, b, c[:, :3]),
    "Rank-N-Contrast": lambda a, b, c: losses.rank_n_contrast(a, b, c[:, :3]),
    "alignment": lambda a, b, c: losses.alignment(a, b),
    "uniformity": lambda a, b, c: losses.uniformity(a),
    "bernoulli": lambda a, b, c: losses.bernoulli(a, b.sigmoid()),
    "continuous bernoulli": lambda a, b, c: losses.continuous_bernoulli(a, b.sigmoid(), clip=1e-4),
    "gaussian": lambda a, b, c: losses.gaussian(a, b, -1.5),
    "kl": lambda a, b, c: losses.kl(a, b),
    "spikiness": lambda a, b, c: losses.spikiness(a),
    "expected error": lambda a, b, c: losses.expected_error(
        a.view(4, 8, 16).softmax(0), b[:4, :3], c.view(-1)[:384].view(3, 8, 16)
    ),
    "gram": lambda a, b, c: losses.gram(a.view(2, 4, 8, 8)),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_mixed_precision_rounds_no_loss(loss):
    inputs = torch.randn(3, 16, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(*inputs)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, loss(*inputs))
    assert loss(*inputs.double()).dtype == torch.float64


@pytest.mark.parametrize("name", [name for name in LOSSES if "ernoulli" not in name and name != "expected error"])
def test_losses_of_halves_are_those_of_the_same_numbers(name):
    inputs = torch.randn(3, 16, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = LOSSES[name](*inputs)
    assert torch.equal(mixed, LOSSES[name](*inputs.float()))
