"""Contrastive losses against pytorch-metric-learning and their limits, views against what they change."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning import losses as reference
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance

from chromae import losses, training
from chromae.arguments import unchecked
from chromae.color import rgb_to_hsv
from chromae.datasets import pairs, sprites
from chromae.models.embedder import Embedder, contrastive_objective

SIZES = (st.integers(2, 12), st.integers(2, 20), st.integers(0, 10_000))


def random_pairs(n, d, seed):
    return torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def anchors_and_positives(n):
    """Index tuples in pytorch-metric-learning's form: anchor i with positive i, against all other positives."""
    own = torch.arange(n)
    first, second = torch.meshgrid(own, own, indexing="ij")
    others = first != second
    return own, own, first[others], second[others]


@given(*SIZES, st.floats(0.05, 2))
def test_info_nce_equals_the_reference(n, d, seed, temperature):
    anchor, positive = random_pairs(n, d, seed)
    expected = reference.NTXentLoss(temperature=temperature, distance=CosineSimilarity())(
        anchor, indices_tuple=anchors_and_positives(n), ref_emb=positive
    )
    torch.testing.assert_close(losses.info_nce(anchor, positive, temperature), expected)


@given(*SIZES, st.floats(0.05, 1))
def test_in_batch_triplet_equals_the_reference(n, d, seed, margin):
    anchor, positive = random_pairs(n, d, seed)
    _, _, same, other = anchors_and_positives(n)
    triplets = (same, same, other)
    expected = reference.TripletMarginLoss(margin=margin, distance=LpDistance(), reducer=_Mean())(
        anchor, indices_tuple=triplets, ref_emb=positive
    )
    torch.testing.assert_close(losses.in_batch_triplet(anchor, positive, margin), expected)
    hardest = losses.in_batch_triplet(anchor, positive, margin, hard=True)
    assert hardest >= losses.in_batch_triplet(anchor, positive, margin) - 1e-9


class _Mean(torch.nn.Module):
    """The mean over all triplets, those without loss included."""

    def forward(self, loss_dict, embeddings, labels):
        return loss_dict["loss"]["losses"].mean()


@given(*SIZES)
def test_info_nce_of_equal_embeddings_is_chance(n, d, seed):
    same = random_pairs(n, d, seed)[0, :1].expand(n, -1)
    assert losses.info_nce(same, same).item() == pytest.approx(math.log(n))


def test_uniformity_has_its_known_bottoms():
    angles = 2 * math.pi * torch.arange(2000, dtype=torch.float64) / 2000
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert losses.uniformity(circle).item() == pytest.approx(-1.575, abs=0.005)
    sphere = torch.randn(3000, 128, generator=seeded(), dtype=torch.float64)
    assert losses.uniformity(sphere).item() == pytest.approx(-3.94, abs=0.02)
    assert losses.uniformity(torch.ones(5, 3)).item() == pytest.approx(0)


def test_alignment_is_the_squared_distance_of_directions():
    east, north = torch.tensor([[2.0, 0.0]] * 2), torch.tensor([[0.0, 5.0]] * 2)
    assert losses.alignment(east, 7 * east).item() == pytest.approx(0)
    assert losses.alignment(east, north).item() == pytest.approx(2)
    assert losses.alignment(east, -east).item() == pytest.approx(4)


@pytest.mark.parametrize("loss", [losses.info_nce, losses.in_batch_triplet])
def test_one_pair_has_no_negative(loss):
    one = torch.rand(1, 4)
    with pytest.raises(ValueError, match="anchor has 1 rows, expected 2 pairs or more"):
        loss(one, one)
    with (
        unchecked(),
        pytest.raises(ValueError, match=r"positive has shape \(3, 4\), expected that of anchor, \(2, 4\)"),
    ):
        loss(torch.rand(2, 4), torch.rand(3, 4))


KEEPS = {
    pairs.crop: ("kind", "color", "background", "angle"),
    pairs.recolor: ("kind", "background", "center", "radius", "angle"),
    pairs.rotate: ("kind", "color", "background", "center", "radius"),
    pairs.jitter_hue: ("kind", "background", "center", "radius", "angle"),
}


@pytest.mark.parametrize("view", KEEPS, ids=lambda view: view.__name__)
def test_views_change_what_they_say_and_nothing_else(view):
    made = sprites.factors(200, seeded())
    changed = view(made, seeded(1))
    for name in made._fields:
        assert torch.equal(getattr(made, name), getattr(changed, name)) == (name in KEEPS[view])
    assert sprites.draw(changed, 16).isfinite().all()
    again = view(made, seeded(1))
    assert all(torch.equal(a, b) for a, b in zip(changed, again, strict=True))


def test_crop_is_a_window_of_the_picture():
    """The drawn crop equals the large picture's window, at a scale where pixels coincide."""
    made = sprites.factors(1, seeded(3), radius=(0.3, 0.3))
    window = made._replace(center=(made.center - torch.tensor([[0.25, 0.5]])) / 0.5, radius=made.radius / 0.5)
    large = sprites.draw(made, 64)
    torch.testing.assert_close(sprites.draw(window, 32), large[..., 32:64, 16:48], atol=1e-4, rtol=0)
    cropped = pairs.crop(sprites.factors(500, seeded()), seeded(1), smallest=0.4)
    zoom = cropped.radius / sprites.factors(500, seeded()).radius
    assert zoom.min() >= 1
    assert zoom.max() <= 2.5 + 1e-5


def test_hue_jitter_moves_hue_by_no_more_than_asked():
    made = sprites.factors(500, seeded())
    before, after = rgb_to_hsv(made.color), rgb_to_hsv(pairs.jitter_hue(made, seeded(1), most=0.05).color)
    moved = ((after - before)[:, 0] + 0.5) % 1 - 0.5
    assert moved.abs().max() <= 0.05 + 1e-4
    assert moved.abs().mean().item() == pytest.approx(0.025, abs=0.003)
    torch.testing.assert_close(after[:, 1:], before[:, 1:], atol=1e-4, rtol=0)


def test_embedder_learns_to_tell_colors():
    examples, unseen = (
        pairs.pair(sprites.factors(64, seeded(seed)), seeded(seed + 1), (pairs.crop,), size=16) for seed in (0, 5)
    )
    assert examples.shape == (64, 2, 3, 16, 16)
    torch.manual_seed(0)
    model = Embedder(dimensions=8, widths=(8, 8, 16))
    objective = contrastive_objective(losses.info_nce)
    history = training.fit(model, examples, objective, epochs=40, batch_size=32, lr=1e-2)
    assert history["loss"][0] > 1.5
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    with torch.no_grad():
        assert objective(model, unseen)["loss"] < 0.6 * math.log(64)  # of chance, on shapes that it has not seen
    assert model.encode(torch.rand(5, 3, 40, 24)).shape == (5, 8)


def test_crop_wants_a_part_of_the_width():
    with pytest.raises(ValueError, match=r"smallest is 0, expected a part of the width in \(0, 1\]"):
        pairs.crop(sprites.factors(2, seeded()), seeded(), smallest=0)
