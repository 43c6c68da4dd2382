"""Sheets in the cube: their area, the best code on them, leaves by hand, grids that keep neighbours; pictures."""

import numpy as np
import pytest
import torch

from chromae import latents, metrics
from chromae.figures import cube
from chromae.latents import unit_square
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.models.leaves import Leaves

COLORS = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))


def plane(codes):
    """A face of the cube, parallel to blue and green, at half of red."""
    return torch.cat([torch.full_like(codes[:, :1], 0.5), codes], dim=1)


def bent(codes):
    """A half cylinder of radius ½: its area is π / 2."""
    angle = torch.pi * codes[:, 0]
    return torch.stack([0.5 + angle.cos() / 2, angle.sin() / 2, codes[:, 1]], dim=1)


def test_area_of_known_surfaces():
    assert latents.area(plane, COLORS[:, :2], cells=32) == pytest.approx(1, abs=1e-6)
    assert latents.area(bent, COLORS[:, :2], cells=32) == pytest.approx(np.pi / 2, rel=1e-5)
    assert latents.area(bent, COLORS[:, :2] * torch.tensor([0.5, 1]), cells=32) == pytest.approx(np.pi / 4, rel=1e-5)


def test_area_counts_the_cells_where_codes_lie_not_their_mirror_images():
    def steep(codes):
        return torch.stack([codes[:, 0] ** 2, codes[:, 1] ** 2, 0 * codes[:, 0]], dim=1)

    corner = COLORS[:, :2] * 0.25 + torch.tensor([0.5, 0.0])  # ∫ 2u du from ½ to ¾, ∫ 2v dv from 0 to ¼
    assert latents.area(steep, corner) == pytest.approx((0.75**2 - 0.5**2) * 0.25**2, rel=1e-5)


def test_stretch_is_that_of_differences():
    torch.manual_seed(0)
    decode = ColorAutoencoder(hidden=(8,)).double().decode
    codes, small = unit_square(5).double(), torch.tensor([1e-5, 0]).double()
    first, second = ((decode(codes + step) - decode(codes - step)) / 2e-5 for step in (small, small.flip(0)))
    expected = torch.stack(
        [torch.linalg.det(torch.stack([a, b]) @ torch.stack([a, b]).T) for a, b in zip(first, second, strict=True)]
    )
    torch.testing.assert_close(latents.stretch(decode, codes), expected.sqrt(), rtol=1e-5, atol=0)


def test_search_finds_the_nearest_point_of_a_sheet():
    found = latents.search(plane, COLORS[:500], grid=10)
    torch.testing.assert_close(found, COLORS[:500, 1:], rtol=0, atol=1e-4)


def test_search_is_as_good_as_the_best_code_by_hand():
    leaves, colors = Leaves(3), COLORS[:1000]
    best = (leaves(colors) - colors).square().mean()
    assert (leaves.decode(latents.search(leaves.decode, colors, grid=60)) - colors).square().mean() <= 1.001 * best


def test_search_is_better_than_an_encoder():
    torch.manual_seed(0)
    model, colors = ColorAutoencoder(hidden=(8,)), COLORS[:300]
    codes = latents.search(model.decode, colors, grid=20)
    assert (model.decode(codes) - colors).norm(dim=1).mean() < (model(colors) - colors).norm(dim=1).mean()


def test_search_leaves_no_gradient_and_stays_in_the_square():
    model = ColorAutoencoder(hidden=(8,))
    codes = latents.search(model.decode, COLORS[:200], grid=20)
    assert not codes.requires_grad
    assert codes.min() >= 0
    assert codes.max() <= 1
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("k", range(1, 9))
def test_leaves_by_hand_meet_the_area_law(k):
    leaves = Leaves(k)
    codes = leaves.encode(COLORS)
    assert codes.min() >= 0
    assert codes.max() <= 1
    error = (leaves.decode(codes) - COLORS).square().mean().item()
    assert 0.9 < 36 * k**2 * error <= 1.02
    assert latents.area(leaves.decode, codes, cells=32) == pytest.approx(k + (k - 1) / k, rel=0.01)


def test_leaves_decode_what_they_encode():
    leaves = Leaves(4)
    codes = unit_square(40)
    torch.testing.assert_close(leaves.encode(leaves.decode(codes)), codes, rtol=0, atol=1e-5)
    step = (leaves.decode(torch.tensor([[0.0, 0], [1, 0]])) - torch.tensor([[0.125, 0, 0], [0.875, 0, 0]])).abs()
    assert step.max() < 1e-6


def test_distance_preservation_of_the_published_example():
    grid = np.random.RandomState(3).uniform(0, 255, (32, 32, 3)).astype(int)
    assert metrics.distance_preservation(grid) == pytest.approx(0.340, abs=5e-4)


def test_distance_preservation_is_one_where_nobody_could_do_better():
    line = np.arange(9.0)[:, None, None]
    assert metrics.distance_preservation(line) == pytest.approx(1)
    worse = line[np.array([0, 5, 2, 7, 4, 1, 6, 3, 8])]
    assert metrics.distance_preservation(worse) < 0.6
    assert metrics.distance_preservation(7 * worse + 3) == pytest.approx(metrics.distance_preservation(worse))


def test_wrong_arguments_are_one_sentence():
    with pytest.raises(ValueError, match=r"^colors run from .*, expected colours in \[0, 1\]$"):
        latents.search(plane, COLORS + 1)
    with pytest.raises(
        ValueError, match=r"^codes are 20000, not all in \[0, 1\], expected one or more in the unit square$"
    ):
        latents.area(plane, COLORS[:, :2] - 0.5)
    with pytest.raises(ValueError, match=r"^leaves is 0, expected 1 or more$"):
        Leaves(0)
    with pytest.raises(ValueError, match=r"^grid has 4 cells, expected two or more that are not all alike$"):
        metrics.distance_preservation(np.ones((2, 2, 3)))
    with pytest.raises(ValueError, match=r"^sheet has 1 × 5 points, expected 2 × 2 or more$"):
        cube.view(np.zeros((1, 5, 3)))
    with pytest.raises(ValueError, match=r"^lines holds nan or infinite values, expected numbers$"):
        cube.view(lines=np.full((1, 2, 3), np.nan))


def test_a_view_shows_the_sheet_in_its_own_colors():
    red = np.array([[[1, 0.1, 0.1], [1, 0.3, 0.1]], [[1, 0.1, 0.3], [1, 0.3, 0.3]]])
    empty, small = (cube.view(sheet, turn=0.1, size=100) for sheet in (None, red))
    assert empty.shape == (100, 100, 3)
    changed = small[(empty != small).any(-1)].astype(int)
    assert 20 < len(changed) < 600  # a red patch near the red corner
    assert (changed[:, 0] > changed[:, 1:].max(1) + 50).mean() > 0.7
    large = np.stack(np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9), [1.0], indexing="ij"), -1)[:, :, 0]
    seen = cube.view(large, turn=0.1, lift=0.25, size=100).reshape(-1, 3)  # from above: the blue face
    assert ((seen[:, 2] > 150) & (seen[:, 0] < 90) & (seen[:, 1] < 90)).any()


def test_what_is_nearer_hides_what_is_farther():
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 5), indexing="ij"), -1)
    dark, light = (np.concatenate([grid, np.full((5, 5, 1), value)], -1) for value in (0.3, 0.7))
    both = np.concatenate([light, dark])  # one sheet, whose rows cross over from one layer to the other
    above = cube.view(both, lift=0.24, size=60)
    assert (
        np.abs(above.astype(int) - cube.view(light, lift=0.24, size=60)).mean()
        < np.abs(above.astype(int) - cube.view(dark, lift=0.24, size=60)).mean()
    )


def test_lines_run_through_their_own_colors():
    diagonal = np.array([[[0, 0, 0], [1, 1, 1]]], float)
    drawn = (cube.view(size=120) != cube.view(size=120, lines=diagonal)).any(-1)
    columns = np.nonzero(drawn)[1]
    assert np.ptp(columns) < 10  # grey stands upright
    assert drawn.any(1).sum() > 90
