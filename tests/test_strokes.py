"""Strokes that learn: their rasteriser against exact lines, a sum by hand, and what pens draw."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from chromae import pens
from chromae.models import strokes
from chromae.models.strokes import SIGMA, Strokes

PENS = torch.tensor([[0.1, 0.1, 0.1], [0.95, 0.75, 0.1], [0.15, 0.5, 0.25]])


def picture(count=40, height=48, width=64, seed=0, pens=PENS, **options):
    return Strokes(count, height, width, pens, torch.Generator().manual_seed(seed), **options)


def alone(controls, pen_width=2.5, size=40):
    """How one curve covers a square picture; its points in pixels."""
    points, lengths, _ = strokes.chains(torch.as_tensor(controls, dtype=torch.float32)[None])
    weights = (lengths / (math.sqrt(2 * math.pi) * SIGMA))[None]
    return strokes.coverage(points, weights, size, size, pen_width)[0]


@pytest.mark.parametrize("pen_width", [1.5, 2.5, 4.0])
@pytest.mark.parametrize("end", [(35.0, 5.0), (35.0, 20.3), (20.7, 35.0)])
def test_a_straight_stroke_covers_what_a_line_does(end, pen_width):
    """Against Pillow's line with round ends, sixteen times as large: the same area, and the same pixels nearly."""
    covered = alone([(5.0, 5.0), (5 + (end[0] - 5) / 2, 5 + (end[1] - 5) / 2), end], pen_width)
    page = Image.new("L", (640, 640))
    ends = (80, 80), (16 * end[0], 16 * end[1])
    ImageDraw.Draw(page).line(ends, fill=255, width=round(16 * pen_width))
    for tip in ends:
        ImageDraw.Draw(page).circle(tip, 8 * pen_width, fill=255)
    exact = torch.from_numpy(np.array(page.reduce(16))) / 255
    assert covered.sum() == pytest.approx(exact.sum().item(), rel=0.15)
    assert (covered - exact).abs().max() < 0.35
    assert (covered - exact).square().mean().sqrt() < 0.05


def test_long_curves_do_not_fall_apart_into_beads():
    """Along the middle of a stroke ten pen widths long, or a hundred, the ink is even."""
    for end in (15.0, 35.0):
        middle = alone([(5.5, 20.5), (end, 20.5)])[20, 8 : int(end) - 3]
        assert middle.max() - middle.min() < 0.01
        assert middle.min() > 0.9


def test_the_ink_is_the_sum_of_gaussians():
    generator = torch.Generator().manual_seed(1)
    points = 34 * torch.rand(30, 2, generator=generator, dtype=torch.float64) - 5  # some lie off the picture
    weights = torch.rand(2, 30, generator=generator, dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(20) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    away = (x[..., None] - points[:, 0]) ** 2 + (y[..., None] - points[:, 1]) ** 2
    by_hand = torch.einsum("yxp,np->nyx", torch.exp(-away / (2 * SIGMA**2)), weights)
    assert torch.allclose(strokes.ink(points, weights, 20, 24), by_hand, atol=1e-3)
    near = by_hand > 0.05  # where a pen's edge may be
    assert torch.allclose(strokes.ink(points, weights, 20, 24)[near], by_hand[near], rtol=0.02)


def test_gradients_of_ink_and_coverage_are_true():
    points = torch.tensor([[3.2, 4.1], [4.6, 4.9], [7.9, 2.2], [-2.3, 3.3]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[0.5, 0.8, 0.3, 0.6]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, w: strokes.ink(p, w, 8, 9), (points, weights))
    assert torch.autograd.gradcheck(lambda p, w: strokes.coverage(p, w, 8, 9, 2.0), (points, weights), atol=1e-4)


@given(st.integers(0, 10_000), st.floats(0.5, 3), st.integers(2, 4))
def test_points_lie_on_their_curves_evenly_and_close(seed, spacing, controls):
    curves = 60 * torch.rand(5, controls, 2, generator=torch.Generator().manual_seed(seed))
    points, lengths, stroke = strokes.chains(curves, spacing, tip=0.25)
    assert stroke.unique().tolist() == list(range(5))
    assert torch.equal(points[-10:], torch.cat([curves[:, 0], curves[:, -1]]))
    assert (lengths[-10:] == 0.25).all()
    points, lengths, stroke = points[:-10], lengths[:-10], stroke[:-10]
    assert (lengths <= spacing + 1e-4).all()
    for index, each in enumerate(curves):
        dense = strokes.curve(each, torch.linspace(0, 1, 2000))
        length = dense.diff(dim=0).norm(dim=1).sum()
        mine = points[stroke == index]
        assert torch.cdist(mine, dense).min(dim=1).values.max() < 0.2
        assert lengths[stroke == index].sum() == pytest.approx(length.item(), rel=0.06)
        if len(mine) > 1:
            assert mine.diff(dim=0).norm(dim=1).max() < 3 * spacing  # 2.5 at most in 5,000 seeds: sharp bends


def test_a_curve_of_two_points_is_a_line_and_one_of_four_is_beziers():
    line = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
    assert strokes.curve(line, torch.tensor([0.25, 1.0])).tolist() == [[0.5, 1.0], [2.0, 4.0]]
    a, b, c, d = (torch.tensor(point) for point in ([0.0, 1.0], [2.0, 5.0], [3.0, -1.0], [7.0, 2.0]))
    halves = [(a + b) / 2, (b + c) / 2, (c + d) / 2]  # de Casteljau's way, at t = 1/2
    middle = ((halves[0] + halves[1]) / 2 + (halves[1] + halves[2]) / 2) / 2
    assert torch.allclose(strokes.curve(torch.stack([a, b, c, d]), torch.tensor(0.5)), middle)


def test_strokes_backwards_or_in_another_order_are_the_same_picture():
    image = picture()
    before = image.relaxed()
    with torch.no_grad():
        image.points.copy_(image.points.flip(1))
        assert torch.allclose(image.relaxed(), before, atol=1e-3)
        order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
        image.points.copy_(image.points[order])
        image.choices.copy_(image.choices[order])
    assert torch.allclose(image.relaxed(), before, atol=1e-3)


def test_a_picture_moves_with_its_strokes():
    image = picture(count=6, spread=0.03)
    before = image.relaxed().detach()
    with torch.no_grad():
        image.points += torch.tensor([5.0, -3.0]) / 64
    after = image.relaxed().detach()
    assert torch.allclose(after[:, 5:-8, 10:-8], before[:, 8:-5, 5:-13], atol=1e-4)


def test_light_pens_come_first_and_dark_ones_cover_them():
    image = picture(count=2)
    assert torch.equal(image.pens, PENS[[1, 2, 0]])
    with torch.no_grad():
        image.points.copy_(torch.tensor([[0.2, 0.3], [0.4, 0.4], [0.6, 0.4], [0.8, 0.3]]))
        image.choices.copy_(torch.tensor([[9.0, 0, 0, 0], [0, 0, 9.0, 0]]))  # yellow and black, in one place
        image.progress.fill_(1)
    assert image.relaxed()[:, 23, 32].max() < 0.2


def test_relaxed_at_its_end_is_what_pens_draw():
    """Chosen pens, crossings and all: the plot of the strokes, drawn again in pixels, is nearly the same picture."""
    image = picture(count=90, height=80, width=80)
    image.progress.fill_(1)
    with torch.no_grad():
        image.choices.mul_(20)
        relaxed = image.relaxed()
    lines, chosen = image.drawn()
    assert len(lines) == (image.choices.argmax(1) < 3).sum() > 30
    strict = pens.rasterise(pens.plot_strokes(lines, chosen, image.pens, 80, 80, 2.5), 80, margins=False)
    assert (relaxed - strict).square().mean().sqrt() < 0.08
    blank = (relaxed - 1).square().mean().sqrt()
    assert blank > 0.2  # or it would be no wonder


def test_odds_cool_down_until_every_stroke_has_one_pen_or_none():
    image = picture()
    warm = image.odds()
    assert torch.allclose(warm.sum(0), torch.ones(40))
    image.progress.fill_(1)
    assert (image.odds().max(0).values > warm.max(0).values).all()


def test_strokes_learn_to_draw_a_ring():
    """A hundred steps of Adam on the squared error, from anywhere, and a film's callback need nothing else."""
    y, x = torch.meshgrid(torch.arange(48) - 23.5, torch.arange(48) - 23.5, indexing="ij")
    ring = 1 - ((x.square() + y.square()).sqrt() - 14).abs().lt(1.5).float()
    image = picture(count=24, height=48, width=48, pens=PENS[:1])
    adam = torch.optim.Adam([{"params": [image.points], "lr": 0.01}, {"params": [image.choices], "lr": 0.1}])
    errors = []
    for step in range(150):
        image.progress.fill_(step / 150)
        error = (image.relaxed() - ring).square().mean()
        adam.zero_grad()
        error.backward()
        adam.step()
        errors.append(error.item())
    assert errors[-1] < 0.25 * errors[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pens": torch.empty(0, 3)}, "pens has shape"),
        ({"pens": torch.tensor([[1.2, 0, 0]])}, "pens"),
        ({"pen_width": 0.5}, "pen_width is 0.5, expected 1 to 4.8 pixels"),
        ({"pen_width": 9.0}, "pen_width is 9, expected 1 to 4.8 pixels"),
    ],
)
def test_bad_pens_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        picture(**options)


def test_points_that_are_no_numbers_are_named():
    with pytest.raises(ValueError, match="points holds nan"):
        strokes.ink(torch.full((1, 2), math.nan), torch.ones(1, 1), 8, 8)


def test_strokes_that_left_the_picture_do_no_harm():
    image = picture(count=3)
    with torch.no_grad():
        image.points += 100
    image.relaxed().sum().backward()
    assert torch.equal(image.relaxed(), torch.ones(3, 48, 64))
    assert image.points.grad.isfinite().all()
