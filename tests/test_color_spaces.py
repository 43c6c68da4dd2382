"""Colour spaces against coloraide and colorsys, forth and back, with finite gradients."""

import colorsys
import itertools

import pytest
import torch
from coloraide import Color
from hypothesis import given
from hypothesis import strategies as st

from chromae import color

CORNERS = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)), dtype=torch.float64)
GREYS = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None].expand(9, 3)
SOME = torch.cat([CORNERS, GREYS, torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)])
LEVELS = st.integers(0, 255).map(lambda level: level / 255)


def oracle(name):
    return torch.tensor([Color("srgb", rgb).convert(name).coords() for rgb in SOME.tolist()], dtype=torch.float64)


@pytest.mark.parametrize(
    ("convert", "name", "scale"),
    [
        (color.rgb_to_lab, "lab-d65", 100),
        (color.rgb_to_oklab, "oklab", 1),
        (color.rgb_to_linear, "srgb-linear", 1),
    ],
)
def test_equals_coloraide(convert, name, scale):
    torch.testing.assert_close(scale * convert(SOME), oracle(name), rtol=0, atol=1e-6)


def test_oklch_equals_coloraide():
    ours, theirs = color.rgb_to_oklch(SOME), oracle("oklch")
    torch.testing.assert_close(ours[:, :2], theirs[:, :2], rtol=0, atol=1e-6)
    colored = theirs[:, 1] > 1e-4
    around = (ours[colored, 2] - theirs[colored, 2] / 360 + 0.5) % 1 - 0.5
    assert around.abs().max() < 1e-6
    assert (ours[:, 2] >= 0).all()
    assert (ours[:, 2] < 1).all()


@given(st.tuples(st.floats(0, 1), LEVELS, LEVELS))
def test_hsl_back_equals_colorsys(hsl):
    hue, saturation, lightness = hsl
    expected = torch.tensor(colorsys.hls_to_rgb(hue, lightness, saturation), dtype=torch.float64)
    torch.testing.assert_close(color.hsl_to_rgb(torch.tensor(hsl, dtype=torch.float64)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", color.NAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_forth_and_back_is_the_same_color(name, dtype, tolerance):
    it, rgb = color.space(name), SOME.to(dtype)
    values = it.to(rgb)
    assert values.dtype == dtype
    torch.testing.assert_close(it.back(values), rgb, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", color.NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_are_finite_everywhere(name, dtype):
    it = color.space(name)
    rgb = torch.cat([SOME, torch.full((1, 3), 1e-30), torch.full((1, 3), 1e-12)]).to(dtype).requires_grad_()
    values = it.to(rgb)
    for numbers, start in ((values, rgb), (it.back(again := values.detach().requires_grad_()), again)):
        for channel in numbers.unbind(-1):
            (gradient,) = torch.autograd.grad(channel.sum(), start, retain_graph=True)
            assert gradient.isfinite().all()


@pytest.mark.parametrize("name", [name for name in color.NAMES if name not in ("HSV", "HSL", "OKLCh")])
def test_gradients_are_those_of_differences(name):
    it, rgb = color.space(name), (0.05 + 0.9 * SOME[-4:]).requires_grad_()
    assert torch.autograd.gradcheck(it.to, rgb)
    assert torch.autograd.gradcheck(it.back, it.to(rgb).detach().requires_grad_())


def test_white_is_white_and_grey_has_no_color():
    white = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(color.rgb_to_lab(white), torch.tensor([1.0, 0, 0]).double(), rtol=0, atol=1e-12)
    assert color.rgb_to_oklch(GREYS)[:, 1].max() < 1e-6


def test_a_pair_has_no_seam_where_the_number_has_one():
    reds = torch.tensor([[1.0, 0.001, 0], [1.0, 0, 0.001]])
    number, pair = (color.space(name).to(reds) for name in ("HSV", "HSV, hue as a pair"))
    assert (number[0] - number[1]).abs().max() > 0.99
    assert (pair[0] - pair[1]).abs().max() < 0.01


def test_members_of_an_ensemble_may_call_them():
    rgb = SOME[:36].float().view(4, 9, 3)
    for name in color.NAMES:
        it = color.space(name)
        torch.testing.assert_close(torch.vmap(lambda x, it=it: it.back(it.to(x)))(rgb), rgb, rtol=0, atol=1e-4)


def test_half_precision_is_answered_in_single():
    assert color.rgb_to_lab(SOME.to(torch.bfloat16)).dtype == torch.float32


def test_an_unknown_space_is_one_sentence():
    with pytest.raises(ValueError, match=r"^name is 'LAB', expected one of RGB, linear RGB, .*CIELAB, .*$"):
        color.space("LAB")
