"""Colour spaces against the standard library; the colour autoencoder and its maps."""

import colorsys
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chromae.arguments import precision, unchecked
from chromae.color import (
    delta_e,
    hsv_to_rgb,
    oklab_to_rgb,
    perception,
    rgb_to_hsl,
    rgb_to_hsv,
    rgb_to_oklab,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from chromae.latents import unit_square
from chromae.models.color_autoencoder import ColorAutoencoder, color_map, to_image

CORNERS = [tuple(map(float, corner)) for corner in itertools.product((0, 1), repeat=3)]
LEVELS = st.integers(0, 255).map(lambda level: level / 255)
COLORS = st.one_of(
    st.tuples(LEVELS, LEVELS, LEVELS),
    LEVELS.map(lambda level: (level, level, level)),
    st.sampled_from(CORNERS),
    st.tuples(*[st.floats(0.001, 0.999)] * 3),
)


def make(**sizes):
    torch.manual_seed(0)
    return ColorAutoencoder(**sizes)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


# Hue, saturation, lightness


def check_hsl(rgb, tolerance, dtype=torch.float64):
    tensor = torch.tensor(rgb, dtype=dtype)
    hue, saturation, lightness = rgb_to_hsl(tensor).double().tolist()
    expected_hue, expected_lightness, expected_saturation = colorsys.rgb_to_hls(*tensor.tolist())
    around = abs(hue - expected_hue)
    assert min(around, 1 - around) <= tolerance
    assert saturation == pytest.approx(expected_saturation, abs=tolerance)
    assert lightness == pytest.approx(expected_lightness, abs=tolerance)
    assert all(0 <= value <= 1 + tolerance for value in (hue, saturation, lightness))


@given(COLORS)
def test_hsl_equals_colorsys(rgb):
    check_hsl(rgb, 1e-9)


@given(st.tuples(LEVELS, LEVELS, LEVELS))
def test_hsl_in_single_precision(rgb):
    check_hsl(rgb, 1e-4, torch.float32)


@pytest.mark.parametrize("rgb", [(1e-9, 0.0, 0.0), (1e-6, 5e-7, 0.0), (1.0, 1.0, 1 - 2**-24), (1.0, 1.0, 1 - 2**-20)])
def test_hsl_near_black_and_white(rgb):
    check_hsl(rgb, 1e-4, torch.float32)


@given(st.lists(COLORS, min_size=1, max_size=10))
def test_hsl_gradients_are_finite(rgb):
    rgb = torch.tensor([*rgb, *CORNERS, (0.5, 0.5, 0.5)], dtype=torch.float64, requires_grad=True)
    for channel in rgb_to_hsl(rgb).unbind(-1):
        (gradient,) = torch.autograd.grad(channel.sum(), rgb, retain_graph=True)
        assert gradient.isfinite().all()


def test_hsl_gradient_is_the_slope():
    rgb = torch.tensor([[0.2, 0.5, 0.7], [0.9, 0.3, 0.4], [0.1, 0.2, 0.15]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rgb_to_hsl, rgb)


def test_hsl_keeps_leading_axes():
    rgb = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rgb_to_hsl(rgb)[1, 2], rgb_to_hsl(rgb[1, 2]))


# The autoencoder


def test_seventeen_parameters():
    assert count(make()) == 17


@given(st.lists(st.integers(1, 8), max_size=3), st.integers(1, 4))
def test_layers_mirror_each_other(hidden, latent):
    model = make(latent=latent, hidden=hidden)
    sizes = [3, *hidden, latent]
    assert count(model) == sum(2 * a * b + a + b for a, b in itertools.pairwise(sizes))
    rgb = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    assert model.encode(rgb).shape == (5, latent)
    assert model(rgb).shape == (5, 3)
    assert torch.equal(model(rgb), model.decode(model.encode(rgb)))
    for values in (model.encode(rgb), model(rgb)):
        assert ((values > 0) & (values < 1)).all()


def test_plain_model_is_two_affine_maps_with_sigmoids():
    model = make()
    rgb = [0.1, 0.6, 0.9]
    values = rgb
    for layer in (model.encoder, model.decoder):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        sums = [sum(w * v for w, v in zip(row, values, strict=True)) + bias for row, bias in rows]
        values = [1 / (1 + math.exp(-total)) for total in sums]
    assert model(torch.tensor(rgb)).tolist() == pytest.approx(values, abs=1e-6)


def test_hidden_layers_are_silu():
    model = make(hidden=(4,))
    rgb = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    first, _, second = model.encoder
    hidden = first(rgb)
    assert torch.allclose(model.encode(rgb), second(hidden * hidden.sigmoid()).sigmoid(), atol=1e-6)


def test_encode_wants_three_channels():
    with unchecked(), pytest.raises(ValueError, match=r"^rgb has shape \(2, 4\), expected"):
        make().encode(torch.zeros(2, 4))


# Maps


def test_unit_square_runs_right_then_up():
    square = unit_square(4).view(4, 4, 2)
    centers = torch.tensor([0.125, 0.375, 0.625, 0.875])
    for row in square[..., 0]:
        assert torch.equal(row, centers)
    for column in square[..., 1].T:
        assert torch.equal(column, centers.flip(0))


def test_color_map_equals_a_decode_of_every_pixel():
    model, size = make(hidden=(6,)), 7
    image = color_map(model, size)
    assert image.shape == (size, size, 3)
    assert image.dtype == torch.uint8
    for row, column in itertools.product(range(size), repeat=2):
        latents = torch.tensor([(column + 0.5) / size, (size - row - 0.5) / size])
        color = (255 * model.decode(latents).double()).detach()
        assert (image[row, column] - color).abs().max() <= 0.5 + 1e-4


def test_to_image_rounds_and_clamps():
    rgb = torch.tensor([[-0.1, 0.0, 0.4 / 255], [0.6 / 255, 1.0, 1.2], [0.2, 0.4, 0.6], [1.0, 0.0, 0.0]])
    expected = [[[0, 0, 0], [1, 255, 255]], [[51, 102, 153], [255, 0, 0]]]
    assert to_image(rgb).tolist() == expected


def test_to_image_takes_many_maps():
    rgb = torch.rand(2, 5, 9, 3, generator=torch.Generator().manual_seed(0))
    images = to_image(rgb)
    assert images.shape == (2, 5, 3, 3, 3)
    assert torch.equal(images[1, 3], to_image(rgb[1, 3]))


@given(st.tuples(*[st.floats(0, 1, width=32)] * 3))
def test_hsv_to_rgb_equals_colorsys(hsv):
    found = hsv_to_rgb(torch.tensor(hsv, dtype=torch.float64))
    assert found.tolist() == pytest.approx(colorsys.hsv_to_rgb(*hsv), abs=1e-9)


@given(st.tuples(*[st.floats(0, 1, width=32)] * 3))
def test_rgb_to_hsv_equals_colorsys(rgb):
    found = rgb_to_hsv(torch.tensor(rgb, dtype=torch.float64))
    expected = colorsys.rgb_to_hsv(*rgb)
    assert (found[0].item() - expected[0] + 0.5) % 1 - 0.5 == pytest.approx(0, abs=1e-6)
    assert found[1:].tolist() == pytest.approx(expected[1:], abs=1e-9)


# CSS Color 4's own sample code, rounded as browsers show it: oklch or oklab of named colours.
@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.62796, 0.22486, 0.12585)),
        ((0.0, 1.0, 0.0), (0.86644, -0.23389, 0.17950)),
        ((0.0, 0.0, 1.0), (0.45201, -0.03246, -0.31153)),
    ],
)
def test_oklab_of_pure_colors(rgb, lab):
    assert torch.allclose(rgb_to_oklab(torch.tensor(rgb)), torch.tensor(lab), atol=2e-4)


@given(st.floats(0.0, 1.0))
def test_oklab_of_a_grey_has_no_color(level):
    lightness, a, b = rgb_to_oklab(torch.full((3,), level, dtype=torch.float64))
    assert 0 <= lightness <= 1 + 1e-6
    assert abs(a) < 1e-4
    assert abs(b) < 1e-4


def test_oklab_becomes_rgb_again():
    steps = torch.linspace(0, 1, 17, dtype=torch.float64)
    rgb = torch.cartesian_prod(steps, steps, steps)
    torch.testing.assert_close(oklab_to_rgb(rgb_to_oklab(rgb)), rgb, atol=1e-6, rtol=0)


def test_oklab_gradients_are_finite():
    rgb = torch.tensor([[0.01, 0.5, 1.0], [1 / 255, 0.0, 0.0]], requires_grad=True)
    rgb_to_oklab(rgb).sum().backward()
    assert rgb.grad.isfinite().all()


def test_oklab_gradients_at_black_are_finite():
    rgb = torch.tensor([[0.0, 0, 0], [1e-30, 0, 0], [0, 0, 0.5]], requires_grad=True)
    for channel in rgb_to_oklab(rgb).unbind(-1):
        (gradient,) = torch.autograd.grad(channel.sum(), rgb, retain_graph=True)
        assert gradient.isfinite().all()
    assert torch.equal(gradient[0], torch.zeros(3))


def test_oklab_of_colors_outside_of_srgb_becomes_them_again():
    rgb = torch.tensor([[-0.5, -0.2, -0.3], [-1, 0, 0], [1.3, -0.4, 0.2]], dtype=torch.float64, requires_grad=True)
    lab = rgb_to_oklab(rgb)
    torch.testing.assert_close(oklab_to_rgb(lab), rgb, atol=1e-6, rtol=0)
    (gradient,) = torch.autograd.grad(lab.sum(), rgb)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    "convert",
    [rgb_to_hsl, rgb_to_hsv, hsv_to_rgb, rgb_to_oklab, oklab_to_rgb, rgb_to_ycbcr, ycbcr_to_rgb],
    ids=lambda convert: convert.__name__,
)
def test_mixed_precision_rounds_no_color(convert):
    colors = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        mixed, of_halves = convert(colors), convert(colors.bfloat16())
    assert torch.equal(mixed, convert(colors))
    assert torch.equal(of_halves, convert(colors.bfloat16().float()))
    assert convert(colors.double()).dtype == torch.float64


def test_mixed_precision_sees_small_differences_of_color():
    one = torch.tensor([0.5, 0.5, 0.5])
    other = one + torch.tensor([0.001, 0, 0])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = delta_e(one, other)
    assert torch.equal(mixed, delta_e(one, other))


def test_the_matrices_of_oklab_serve_gradients_of_every_kind():
    """They are kept from call to call, whatever transform the first call was part of."""
    precision._made.clear()
    rgb = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        rgb_to_oklab(rgb)
    slope = torch.func.vmap(torch.func.grad(lambda x: rgb_to_oklab(x).sum()))(rgb)
    rgb.requires_grad_()
    rgb_to_oklab(rgb).sum().backward()
    torch.testing.assert_close(slope, rgb.grad)
    assert precision.constant(perception._TO_LAB, rgb) is precision.constant(perception._TO_LAB, rgb)


@given(COLORS, COLORS)
def test_delta_e_is_a_distance(one, other):
    one, other = (torch.tensor(color, dtype=torch.float64) for color in (one, other))
    assert delta_e(one, one) == 0
    assert delta_e(one, other) == delta_e(other, one) >= 0
    assert delta_e(torch.zeros(3), torch.ones(3)).item() == pytest.approx(1, abs=1e-3)


@given(COLORS)
def test_ycbcr_equals_pillows_to_its_rounding(rgb):
    levels = [round(255 * value) for value in rgb]
    image = Image.new("RGB", (1, 1), tuple(levels)).convert("YCbCr")
    ours = 255 * rgb_to_ycbcr(torch.tensor(levels, dtype=torch.float64) / 255)
    expected = torch.tensor(image.getpixel((0, 0)), dtype=torch.float64)
    no_color = torch.tensor([0.0, 0.5, 0.5])  # Pillow's is at level 128, not at 127.5
    assert (ours + no_color - expected).abs().max() <= 1.01  # it cuts off what six digits after the point give


@given(COLORS)
def test_ycbcr_there_and_back(rgb):
    rgb = torch.tensor(rgb, dtype=torch.float64)
    assert torch.allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-12)


def test_ycbcr_of_greys_and_of_pure_colors():
    greys = torch.tensor([[0.0] * 3, [0.25] * 3, [1.0] * 3])
    assert torch.allclose(rgb_to_ycbcr(greys), torch.tensor([[0, 0.5, 0.5], [0.25, 0.5, 0.5], [1, 0.5, 0.5]]))
    assert torch.allclose(rgb_to_ycbcr(torch.eye(3)).amax(0), torch.tensor([0.587, 1.0, 1.0]))
