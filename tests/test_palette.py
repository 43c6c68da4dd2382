"""Pictures of few colours: what they draw, how decided they are, and that they learn."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from chromae import losses
from chromae.datasets import augment
from chromae.models import palette
from chromae.models.palette import Fourier, Palette, PaletteImage, Pixels

PENS = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 1]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbers(count, seed=0):
    return torch.rand(count, 5, generator=seeded(seed))


def picture(relaxation="annealed", logits=Pixels, pens=PENS, **options):
    return PaletteImage(logits(len(pens), 12, 16, seeded(1), **options), Palette(0, seeded(), pens), relaxation)


@pytest.mark.parametrize("logits", [Pixels, Fourier])
@pytest.mark.parametrize("relaxation", palette.RELAXATIONS)
def test_relaxed_and_strict_are_pictures(relaxation, logits):
    torch.manual_seed(0)
    image = picture(relaxation, logits)
    image.progress.fill_(0.3)
    odds = image.odds()
    torch.testing.assert_close(odds.sum(0), torch.ones(12, 16))
    assert image.relaxed().shape == image.strict().shape == (3, 12, 16)
    assert -1e-6 < image.relaxed().min() <= image.relaxed().max() < 1 + 1e-6
    assert {tuple(color) for color in image.strict().flatten(1).T.tolist()} <= {tuple(pen) for pen in PENS.tolist()}
    assert torch.equal(image.strict(), PENS[image.labels()].movedim(-1, 0))
    image.relaxed().square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in image.parameters())


def test_annealing_ends_near_the_strict_picture():
    image = picture()
    away = []
    for progress in (0, 0.5, 1):
        image.progress.fill_(progress)
        away.append((image.relaxed() - image.strict()).square().mean().item())
    assert away[0] > 3 * away[1] > 9 * away[2]
    torch.testing.assert_close(picture("annealed").odds(), picture("plain").odds())
    torch.testing.assert_close(image.odds(), (image.logits() / palette.COLD).softmax(0))


def test_straight_through_draws_strictly_and_learns_as_plain():
    images = {name: picture(name) for name in ("straight-through", "plain")}
    torch.testing.assert_close(images["straight-through"].relaxed(), images["straight-through"].strict())
    weight = torch.rand(3, 12, 16, generator=seeded(5))
    for image in images.values():
        (weight * image.relaxed()).sum().backward()
    torch.testing.assert_close(*(image.logits.values.grad for image in images.values()))


def test_gumbel_draws_every_colour_as_often_as_its_odds_say():
    torch.manual_seed(0)
    image = picture("gumbel")
    drawn = torch.stack([image.odds() for _ in range(2000)]).mean(0)
    torch.testing.assert_close(drawn, image.logits().softmax(0), atol=0.06, rtol=0)


def test_given_pens_stay_and_the_others_are_learned():
    colors = Palette(2, seeded(), PENS)
    assert colors().shape == (5, 3)
    optimizer = torch.optim.Adam(colors.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        (colors()[3:] - torch.tensor([0.2, 0.5, 0.9])).square().sum().backward()
        optimizer.step()
    assert torch.equal(colors()[:3], PENS)
    torch.testing.assert_close(colors()[3:], torch.tensor([[0.2, 0.5, 0.9]] * 2), atol=0.02, rtol=0)


@pytest.mark.parametrize("height", [7, 12])
@pytest.mark.parametrize("width", [8, 13])
def test_logits_have_their_size_and_a_common_start(height, width):
    for logits in (
        Pixels(4, height, width, seeded()), Pixels(4, height, width, seeded(), coarse=3),
        Fourier(4, height, width, seeded()),
    ):  # fmt: skip
        assert logits().shape == (4, height, width)
    assert Fourier(4, height, width, seeded())().std().item() == pytest.approx(1)


def test_fourier_logits_are_smoother_and_blur_is_a_gaussian():
    rough, smooth = (logits(3, 64, 64, seeded())() for logits in (Pixels, Fourier))
    assert smooth.diff(dim=1).std() < 0.5 * rough.diff(dim=1).std()
    sharp, soft = (Fourier(1, 64, 64, seeded(), decay=0.5, blur=blur) for blur in (0.0, 2.0))
    ratio = soft.weight / sharp.weight
    frequency = torch.fft.rfftfreq(64)
    expected = torch.exp(-2 * (math.pi * 2.0 * frequency) ** 2)
    torch.testing.assert_close(ratio[0] / ratio[0, 0], expected)


def test_a_picture_in_three_colours_is_learned():
    target = PENS[torch.arange(16) * 3 // 16].T[:, None].expand(-1, 12, -1)
    image = picture()
    optimizer = torch.optim.Adam(image.parameters(), lr=0.1)
    for step in range(60):
        optimizer.zero_grad()
        image.progress.fill_(step / 60)
        losses.mse(image.relaxed(), target).backward()
        optimizer.step()
    assert torch.equal(image.strict(), target)


@given(st.integers(2, 8), st.integers(0, 100))
def test_spikiness_lies_between_decided_and_undecided(n, seed):
    logits = 3 * torch.randn(n, 5, 4, generator=seeded(seed), dtype=torch.float64)
    assert 1 - 1e-12 <= losses.spikiness(logits) <= math.sqrt(n) + 1e-12
    assert losses.spikiness(logits).item() == pytest.approx(logits.softmax(0).sqrt().sum(0).mean().item())
    assert losses.spikiness(0 * logits).item() == pytest.approx(math.sqrt(n))
    assert losses.spikiness(1e9 * logits).item() == pytest.approx(1, abs=1e-6)


def test_spikiness_has_a_gradient_where_odds_underflow():
    logits = torch.tensor([[0.0], [-300.0]], requires_grad=True)
    losses.spikiness(logits).backward()
    assert logits.grad.isfinite().all()


@given(st.integers(2, 6), st.integers(0, 50))
def test_expected_error_is_the_mean_over_draws_and_more_than_that_of_the_mixture(n, seed):
    generator = seeded(seed)
    odds = torch.randn(n, 3, 4, generator=generator, dtype=torch.float64).softmax(0)
    colors, target = (torch.rand(*shape, generator=generator, dtype=torch.float64) for shape in ((n, 3), (3, 3, 4)))
    error = losses.expected_error(odds, colors, target)
    every = (colors[:, :, None, None] - target).square().sum(1)
    torch.testing.assert_close(error, (odds * every).sum(0).mean())
    mixed = (torch.einsum("nyx,nc->cyx", odds, colors) - target).square().sum(0).mean()
    assert error >= mixed


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="relaxation is 'soft', expected one of plain, sharpened, annealed"):
        picture("soft")
    with pytest.raises(ValueError, match="a palette has 1 colours, expected 2 or more"):
        Palette(1, seeded())
    with pytest.raises(ValueError, match=r"given has values from 0 to 255, expected RGB in \[0, 1\]"):
        Palette(0, seeded(), 255 * PENS)
    with pytest.raises(ValueError, match="logits choose among 4 colours, colors holds 3"):
        PaletteImage(Pixels(4, 8, 8, seeded()), Palette(0, seeded(), PENS))


def test_views_are_seeded_and_still_views_are_the_picture():
    image = torch.rand(3, 20, 24, generator=seeded())
    first, again, other = (augment.views(image, numbers(4, seed), blur=1.0) for seed in (1, 1, 2))
    assert first.shape == (4, 3, 20, 24)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    still = augment.views(image, numbers(2), turn=0, zoom=0, shift=0)
    torch.testing.assert_close(still, image.expand(2, -1, -1, -1), atol=1e-5, rtol=0)


def test_turning_does_not_shear():
    """A disk stays a disk in a picture that is not square."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(80.0), indexing="ij")
    disk = ((x - 39.5).square() + (y - 19.5).square() < 100).float()[None]
    views = augment.views(disk, numbers(8), turn=30, zoom=0, shift=0)
    assert (views - disk).abs().mean() < 0.01


def test_blurs_keep_the_mean_and_have_their_width():
    image = torch.zeros(2, 1, 31, 31)
    image[:, 0, 15, 15] = 1
    soft = augment.blurred(image, torch.tensor([1e-6, 2.0]), reach=8)
    torch.testing.assert_close(soft[0], image[0])
    assert soft[1].sum().item() == pytest.approx(1, abs=1e-4)
    places = torch.arange(31.0) - 15
    assert (soft[1, 0].sum(0) * places.square()).sum().sqrt().item() == pytest.approx(2.0, abs=0.05)


def test_views_let_gradients_through():
    image = nn.Parameter(torch.rand(3, 16, 16, generator=seeded()))
    augment.views(image, numbers(3), blur=1.0).sum().backward()
    assert (image.grad > 0).all()
