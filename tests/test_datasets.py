"""Made data: where the colours lie, and that a seed fixes them."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from chromae.datasets import color_triplets, colors, dequantise, drawn, pairs, shape_images, shape_pairs, sprites
from chromae.datasets import shapes as shape_set
from chromae.datasets.augment import shift


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("sample", "shape"), [(colors, (50, 3)), (color_triplets, (50, 3, 3))])
def test_a_seed_fixes_the_examples(sample, shape):
    first, again, other = (sample(50, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == shape
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_generator_moves_on():
    generator = seeded(0)
    assert not torch.equal(colors(5, generator), colors(5, generator))


def test_colors_are_uniform_in_the_cube():
    made = colors(30_000, seeded(0)).double()
    assert made.min() >= 0
    assert made.max() <= 1
    assert torch.allclose(made.mean(0), torch.full((3,), 0.5).double(), atol=0.01)
    assert torch.allclose(made.T.cov(), torch.eye(3).double() / 12, atol=0.003)
    octants = (made > 0.5).long() @ torch.tensor([4, 2, 1])
    assert torch.allclose(octants.bincount(minlength=8) / 30_000, torch.tensor(1 / 8), atol=0.01)


@given(st.integers(0, 2**32), st.sampled_from([0.001, 0.005, 0.1, 0.3]))
@example(seed=0, nudge=0.3)
def test_triplets_keep_their_distances(seed, nudge):
    anchor, positive, negative = color_triplets(2_000, seeded(seed), nudge).double().unbind(1)
    for color in (anchor, positive, negative):
        assert color.min() >= 0
        assert color.max() <= 1
    assert (positive - anchor).abs().max() <= nudge + 1e-6
    assert (positive - anchor).abs().max() > 0.9 * nudge
    assert (negative - anchor).norm(dim=1).min() > nudge - 1e-6


def test_near_negatives_move_and_others_stay():
    raw = colors(3 * 2_000, seeded(0)).view(3, 2_000, 3)
    anchor, _, negative = color_triplets(2_000, seeded(0), nudge=0.3).unbind(1)
    assert torch.equal(anchor, raw[0])
    moved = (negative != raw[1]).any(1)
    assert torch.equal(moved, (raw[1] - raw[0]).norm(dim=1) <= 0.3)
    assert 20 < moved.sum() < 200


def test_positives_are_spread_over_the_nudge():
    anchor, positive, _ = color_triplets(20_000, seeded(0), nudge=0.01).double().unbind(1)
    inside = ((anchor > 0.02) & (anchor < 0.98)).all(1)
    shift = (positive - anchor)[inside]
    assert torch.allclose(shift.mean(0), torch.zeros(3).double(), atol=2e-4)
    assert torch.allclose(shift.std(0), torch.tensor(0.01 / 3**0.5).double(), rtol=0.03)


def test_dequantised_levels_stay_in_their_bins():
    levels = torch.arange(256).repeat(50)
    spread = dequantise(levels / 255)
    assert spread.min() >= 0
    assert spread.max() < 1 + 1e-6
    inside = ((256 * spread).floor() - levels).abs() <= 1e-3
    assert inside.double().mean() > 0.999  # float32 rounds the largest u up into the next bin
    assert (256 * spread - levels).mean().item() == pytest.approx(0.5, abs=0.02)


def test_drawn_images_come_from_the_set_as_a_seed_says():
    images = torch.arange(40, dtype=torch.uint8).view(10, 1, 2, 2)
    sample = drawn(images)
    first, again, other = (sample(300, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == (300, 1, 2, 2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert {tuple(image.flatten().tolist()) for image in first} == {
        tuple(image.flatten().tolist()) for image in images / 255
    }


def test_a_set_of_shapes_comes_with_its_factors_and_is_the_same_for_a_seed():
    first, again, other = (shape_set(300, seed, size=16) for seed in (1, 1, 2))
    assert first.images.shape == (300, 3, 16, 16)
    assert first.images.dtype == torch.uint8
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    exact = sprites.draw(first.factors, 16)
    assert (first.images / 255 - exact).abs().max() <= 0.5 / 255 + 1e-6


def test_sets_and_streams_of_shapes_take_other_ranges():
    def make(n, generator):
        return sprites.factors(n, generator, kinds=["ring"], background=(0.5, 0.5))

    assert set(shape_set(20, size=8, make=make).factors.kind.tolist()) == {sprites.KINDS.index("ring")}
    images = shape_images(8, make)(5, seeded(0))
    assert images.shape == (5, 3, 8, 8)
    assert torch.allclose(images[:, :, 0, 0], torch.tensor(0.5))


def test_pairs_of_shapes_are_views_of_one():
    anchors, positives = shape_pairs((pairs.recolor,), size=24)(6, seeded(0)).unbind(1)
    assert torch.allclose(anchors[:, :, 0, 0], positives[:, :, 0, 0])  # the ground stays
    assert not torch.allclose(anchors, positives)


def test_half_of_the_drawn_photos_are_mirrored():
    images = torch.arange(8, dtype=torch.uint8).view(1, 1, 1, 8).repeat(1, 3, 2, 1)
    batch = 255 * drawn(images, mirror=True)(400, seeded(0))
    mirrored = (batch == images.flip(-1)).flatten(1).all(1)
    assert ((batch == images).flatten(1).all(1) | mirrored).all()
    assert 150 < mirrored.sum() < 250
    assert (drawn(images)(50, seeded(0)) == images / 255).all()


def test_photos_are_shifted_each_on_its_own_and_mirrored_at_their_edges():
    images = torch.arange(2 * 6 * 9, dtype=torch.float32).view(1, 2, 6, 9) / 255
    padded = torch.nn.functional.pad(images, [2] * 4, mode="reflect")
    crops = {(y, x): padded[0, :, y : y + 6, x : x + 9] for y in range(5) for x in range(5)}
    found = [
        [place for place, crop in crops.items() if torch.equal(crop, one)]
        for one in shift(images.expand(500, -1, -1, -1), 2, seeded(0))
    ]
    assert all(len(places) == 1 for places in found)
    assert {places[0] for places in found} == set(crops)


def test_drawn_photos_are_shifted_when_asked_to_be():
    images = torch.arange(2 * 6 * 9, dtype=torch.uint8).view(1, 2, 6, 9)
    batch = drawn(images, shift=2)(50, seeded(0))
    assert len({tuple(one.flatten().tolist()) for one in batch}) > 10
    labelled, labels = drawn((images, torch.tensor([7])), shift=2)(50, seeded(0))
    assert labelled.shape == batch.shape
    assert (labels == 7).all()


@pytest.mark.parametrize("most", [5, 6, 40, -1])
def test_a_shift_beyond_the_picture_is_refused(most):
    with pytest.raises(ValueError, match=f"most is {most}, expected 0 to 4 pixels, for images of 5 × 9"):
        shift(torch.rand(2, 3, 5, 9), most, seeded(0))


def test_the_widest_shift_still_mirrors_what_is_there():
    images = torch.arange(5.0).view(1, 1, 5, 1).expand(400, 1, 5, 5)
    columns = shift(images, 4, seeded(0))[:, 0, :, 0]
    assert {tuple(column.tolist()) for column in columns} == {
        tuple(abs((row + by + 4) % 8 - 4) for row in range(5)) for by in range(-4, 5)
    }


def test_mirrored_photos_are_those_that_the_seed_chose():
    images = torch.arange(60, dtype=torch.uint8).view(5, 1, 3, 4)
    random = seeded(3)
    expected = images[torch.randint(5, (50,), generator=random)] / 255
    turned = torch.rand(50, generator=random) < 0.5
    expected[turned] = expected[turned].flip(-1)
    assert torch.equal(drawn(images, mirror=True)(50, seeded(3)), expected)


def test_a_set_of_shapes_is_drawn_on_the_cpu_and_moved():
    made = shape_set(3, seed=1, size=16, device="meta")
    assert {tensor.device.type for tensor in (made.images, *made.factors)} == {"meta"}
    assert made.images.shape == (3, 3, 16, 16)
