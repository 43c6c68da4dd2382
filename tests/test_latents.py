"""Ways through a latent space: where they start, pass and end."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from chromae import latents

SEEDS = st.integers(0, 10_000)


def ends(seed, d):
    return torch.randn(2, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(SEEDS, st.integers(2, 30), st.integers(2, 20))
def test_both_ways_join_their_ends(seed, d, steps):
    start, end = ends(seed, d)
    assume(torch.cosine_similarity(start, end, 0) > -0.999)
    for way in (latents.linear, latents.spherical):
        points = way(start, end, steps)
        assert points.shape == (steps, d)
        torch.testing.assert_close(points[0], start)
        torch.testing.assert_close(points[-1], end)


@given(SEEDS, st.integers(2, 30), st.integers(3, 20))
def test_line_keeps_its_step_and_arc_its_radius_and_angle(seed, d, steps):
    start, end = ends(seed, d)
    assume(torch.cosine_similarity(start, end, 0) > -0.999)
    strides = latents.linear(start, end, steps).diff(dim=0)
    torch.testing.assert_close(strides, strides[:1].expand_as(strides))
    start, end = start / start.norm(), end / end.norm()
    arc = latents.spherical(start, end, steps)
    torch.testing.assert_close(arc.norm(dim=1), torch.ones(steps, dtype=torch.float64))
    cosines = (arc[1:] * arc[:-1]).sum(1)
    torch.testing.assert_close(cosines, cosines[:1].expand_as(cosines))


def test_arc_of_a_right_angle_passes_its_middle():
    middle = latents.spherical(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 3)[1]
    torch.testing.assert_close(middle, torch.tensor([math.sqrt(2), math.sqrt(2)]))


def test_arc_between_almost_equal_points_is_their_line():
    start = torch.tensor([1.0, 1.0])
    torch.testing.assert_close(latents.spherical(start, start, 4), start.expand(4, 2))


@pytest.mark.parametrize("end", [[-1.0, 0.0], [0.0, 0.0]])
def test_no_arc_to_the_opposite_direction(end):
    with pytest.raises(ValueError, match="opposite directions"):
        latents.spherical(torch.tensor([1.0, 0.0]), torch.tensor(end), 3)


def test_plane_runs_right_and_up_through_its_three_points():
    origin, right, up = torch.tensor([[0.0, 0.0, 1.0], [3.0, 0.0, 1.0], [0.0, 6.0, 2.0]])
    grid = latents.plane(origin, right, up, 4).view(4, 4, 3)
    torch.testing.assert_close(grid[-1, 0], origin)
    torch.testing.assert_close(grid[-1, -1], right)
    torch.testing.assert_close(grid[0, 0], up)
    torch.testing.assert_close(grid[0, -1], right + up - origin)
    torch.testing.assert_close(grid[-1, 1], torch.tensor([1.0, 0.0, 1.0]))
