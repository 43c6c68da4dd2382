"""Contrastive losses against pytorch-metric-learning and their limits, views against what they change."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import losses as reference
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from scipy.stats import spearmanr

from chromae import datasets, losses, training
from chromae.arguments import unchecked
from chromae.color import delta_e, rgb_to_hsv, rgb_to_oklab
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
    pairs.replace_background: ("kind", "color", "center", "radius", "angle"),
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


def soft_by_hand(anchor, positive, labels, sigma, temperature):
    total = 0.0
    for i in range(len(anchor)):
        cosines = [torch.dot(anchor[i], p) / anchor[i].norm() / p.norm() / temperature for p in positive]
        weights = [math.exp(-((labels[i] - label).norm().item() ** 2) / (2 * sigma**2)) for label in labels]
        log_sum = torch.stack(cosines).logsumexp(0)
        total += sum(w * (log_sum - s) for w, s in zip(weights, cosines, strict=True)) / sum(weights)
    return total / len(anchor)


def ranked_by_hand(anchor, positive, labels, temperature):
    points = torch.cat([anchor / anchor.norm(dim=1, keepdim=True), positive / positive.norm(dim=1, keepdim=True)])
    both, n = torch.cat([labels, labels]), 2 * len(anchor)
    total = 0.0
    for i in range(n):
        for j in set(range(n)) - {i}:
            as_far = [k for k in range(n) if k != i and (both[i] - both[k]).norm() >= (both[i] - both[j]).norm()]
            against = torch.stack([-(points[i] - points[k]).norm() / temperature for k in as_far])
            total += against.logsumexp(0) + (points[i] - points[j]).norm() / temperature
    return total / (n * (n - 1))


def some_labels(n, seed, k=3):
    """Some of them equal, as those of classes are."""
    labels = torch.rand(n, k, generator=seeded(seed + 1), dtype=torch.float64)
    labels[n // 2] = labels[0]
    return labels


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 10_000), st.floats(0.05, 1), st.floats(0.1, 2))
def test_losses_of_labels_equal_their_sums_by_hand(n, d, seed, sigma, temperature):
    anchor, positive = random_pairs(n, d, seed)
    labels = some_labels(n, seed)
    soft = losses.soft_info_nce(anchor, positive, labels, sigma, temperature)
    torch.testing.assert_close(soft, soft_by_hand(anchor, positive, labels, sigma, temperature))
    ranked = losses.rank_n_contrast(anchor, positive, labels, temperature)
    torch.testing.assert_close(ranked, ranked_by_hand(anchor, positive, labels, temperature))


OF_LABELS = pytest.mark.parametrize("loss", [losses.soft_info_nce, losses.rank_n_contrast])


@OF_LABELS
@given(*SIZES)
def test_losses_of_labels_know_no_order_of_the_batch(loss, n, d, seed):
    anchor, positive = random_pairs(n, d, seed)
    labels, order = some_labels(n, seed), torch.randperm(n, generator=seeded(seed))
    torch.testing.assert_close(loss(anchor[order], positive[order], labels[order]), loss(anchor, positive, labels))


@given(*SIZES, st.floats(0.1, 5), st.floats(0.1, 20))
def test_ranks_know_no_unit_and_no_length(n, d, seed, times, longer):
    """Labels count by their order alone, embeddings by their directions."""
    anchor, positive = random_pairs(n, d, seed)
    labels = torch.rand(n, 2, generator=seeded(seed), dtype=torch.float64)
    expected = losses.rank_n_contrast(anchor, positive, labels)
    torch.testing.assert_close(losses.rank_n_contrast(longer * anchor, positive, times * labels + 1), expected)


@OF_LABELS
def test_losses_of_labels_have_the_gradients_of_their_values(loss):
    anchor, positive = (it.requires_grad_() for it in random_pairs(5, 4, 0))
    assert torch.autograd.gradcheck(partial(loss, labels=some_labels(5, 0)), (anchor, positive))


@given(*SIZES, st.floats(0.05, 2), st.sampled_from([1e-3, 1e-6, 1e-12]))
def test_soft_info_nce_of_hard_targets_is_info_nce(n, d, seed, temperature, sigma):
    anchor, positive = random_pairs(n, d, seed)
    labels = torch.arange(n, dtype=torch.float64)[:, None]  # each a distance of one from the next
    soft = losses.soft_info_nce(anchor, positive, labels, sigma, temperature)
    torch.testing.assert_close(soft, losses.info_nce(anchor, positive, temperature))


def test_soft_info_nce_of_one_label_asks_for_everything_alike():
    anchor, positive = random_pairs(6, 4, 0)
    soft = losses.soft_info_nce(anchor, positive, torch.ones(6, 1).double())
    cosines = torch.nn.functional.cosine_similarity(anchor[:, None], positive, dim=2) / 0.1
    torch.testing.assert_close(soft, -cosines.log_softmax(1).mean())


def test_embeddings_in_the_order_of_labels_have_the_better_rank_loss():
    """On a half circle, in order: the bottom of the loss. Any two that change places raise it."""
    turns = torch.linspace(0, math.pi, 8, dtype=torch.float64)
    places, labels = torch.stack([turns.cos(), turns.sin()], dim=1), turns[:, None]
    best = losses.rank_n_contrast(places, places, labels, 0.1)
    for one, other in [(0, 7), (2, 5), (3, 4)]:
        order = torch.arange(8)
        order[[one, other]] = order[[other, one]]
        assert losses.rank_n_contrast(places[order], places[order], labels, 0.1) > best + 1e-3


@OF_LABELS
def test_every_pair_wants_one_label(loss):
    anchor, positive = random_pairs(4, 3, 0)
    with pytest.raises(ValueError, match=r"labels has shape \(3, 2\)|labels is .*\(3, 2\)"):
        loss(anchor, positive, torch.rand(3, 2).double())
    with unchecked(), pytest.raises(ValueError, match="labels has 3 rows, expected one for each of 4 pairs"):
        loss(anchor, positive, torch.rand(3, 2).double())
    with pytest.raises(ValueError, match="anchor has 1 rows, expected 2 pairs or more"):
        loss(anchor[:1], positive[:1], torch.rand(1, 2).double())


def test_another_ground_is_a_grey_in_its_range():
    made = sprites.factors(500, seeded())
    grey = pairs.replace_background(made, seeded(1), (0.2, 0.6)).background
    assert (grey == grey[:, :1]).all()
    assert 0.2 <= grey.min() < 0.21 < 0.59 < grey.max() <= 0.6
    assert grey.mean().item() == pytest.approx(0.4, abs=0.02)
    with pytest.raises(
        ValueError, match=r"background is \(0.5, 0.2\), expected \(darkest, lightest\) grey in \[0, 1\]"
    ):
        pairs.replace_background(made, seeded(1), (0.5, 0.2))


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("background", [(0.1, 0.1), (0.0, 1.0)])
def test_the_measured_colour_is_the_shape_s(size, background):
    """To 0.0014 ΔE at most in 128 pixels, and where a shape has few pixels of its own, to 0.02."""
    made = sprites.factors(300, seeded(), kinds=sprites.KINDS[:4], background=background)
    apart = delta_e(pairs.measured_color(sprites.draw(made, size)), made.color)
    assert apart.max() < {32: 0.03, 64: 0.006, 128: 0.002}[size]
    assert apart.mean() < 0.002


def test_the_measured_colour_of_a_plain_picture_is_its_own():
    plain = torch.rand(5, 3, 1, 1, generator=seeded()).expand(-1, -1, 9, 7)
    torch.testing.assert_close(pairs.measured_color(plain), plain[..., 0, 0])
    with pytest.raises(ValueError, match=r"images has shape \(2, 3, 0, 4\), expected one number or more"):
        pairs.measured_color(torch.rand(2, 3, 0, 4))


def test_pairs_come_with_their_colours_if_wanted():
    plain, colored = (datasets.shape_pairs((pairs.crop,), 16, colors=colors) for colors in (False, True))
    both, rgb = colored(6, seeded(2))
    assert torch.equal(both, plain(6, seeded(2)))
    assert torch.equal(rgb, sprites.factors(6, seeded(2)).color)


@OF_LABELS
def test_an_embedder_learns_which_colours_are_near(loss):
    """A few hundred small pictures do: the order of distances agrees with that of colours better than before."""
    sample = datasets.shape_pairs((pairs.crop,), 16, partial(sprites.factors, background=(0.1, 0.1)), colors=True)
    torch.manual_seed(0)
    model = Embedder(dimensions=8, widths=(8, 8, 16))
    objective = contrastive_objective(lambda a, p, rgb: loss(a, p, rgb_to_oklab(rgb)))

    def agreement():
        both, rgb = sample(200, seeded(9))
        with torch.no_grad():
            places = torch.nn.functional.normalize(model.eval()(both[:, 0]), dim=1)
        return spearmanr(torch.pdist(places), torch.pdist(rgb_to_oklab(rgb))).statistic

    before = agreement()
    training.fit(model, sample, objective, epochs=1, epoch_size=32 * 120, batch_size=32, lr=1e-2)
    assert agreement() > max(0.75, before + 0.1)
