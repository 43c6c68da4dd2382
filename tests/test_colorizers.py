"""Colour for grey photos: what goes in and comes out, the published sizes, odds and their annealed mean."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chromae import excitation, training
from chromae.models import colorizer


def photos(n=4, size=32, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_luma_and_chroma_make_the_photo_again():
    x = photos()
    luma, chroma = colorizer.split(x)
    assert luma.shape == (4, 1, 32, 32)
    assert chroma.shape == (4, 2, 32, 32)
    torch.testing.assert_close(colorizer.join(luma, chroma), x, atol=1e-5, rtol=0)


def test_a_guess_beyond_rgb_is_cut():
    joined = colorizer.join(torch.full((1, 1, 2, 2), 0.9), torch.ones(1, 2, 2, 2))
    assert joined.min() >= 0
    assert joined.max() == 1


def test_mixed_precision_leaves_what_is_to_be_learnt_alone():
    """Luma is a sum of products: rounded to bfloat16 it would leak into both chromas."""
    torch.manual_seed(0)
    x, model = photos(), colorizer.Odds(BINS, torch.ones(3), width=8)
    logits = torch.randn(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        luma, chroma = colorizer.split(x)
        mean = model.annealed_mean(logits, 0.4)
    assert torch.equal(luma, colorizer.split(x)[0])
    assert torch.equal(chroma, colorizer.split(x)[1])
    assert torch.equal(mean, model.annealed_mean(logits, 0.4))


@given(st.floats(0, 1))
def test_gammas_are_powers_from_the_darkest_to_the_brightest(level):
    greys = colorizer.gammas(torch.full((1, 1, 2, 2), level, dtype=torch.float64))
    expected = [level**0.1, level**0.5, level**1.5, level**3]
    assert greys[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-12)


BINS = torch.tensor([[0.5, 0.5], [0.6, 0.4], [0.3, 0.7]])
MODELS = {
    "base": colorizer.base,
    "base, luma alone": lambda: colorizer.base(four_greys=False),
    "double": lambda: colorizer.base(double=True),
    "custom": colorizer.custom,
    "guess": lambda: colorizer.Guess(width=8),
    "guess by gammas": lambda: colorizer.Guess(four_greys=True, width=8),
    "odds": lambda: colorizer.Odds(BINS, torch.ones(3), width=8),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("size", [32, 64])
def test_luma_becomes_chroma_of_the_same_size(make, size):
    """Of each photo by itself, from its brightness, through every weight."""
    torch.manual_seed(0)
    model, luma = make(), photos(size=size)[:, :1]
    model(luma).square().sum().backward()
    used = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not used, f"{used} have no part in it"
    model.eval()
    chroma = model(luma)
    assert chroma.shape == (4, 2, size, size)
    assert chroma.dtype == torch.float32
    assert 0 < chroma.min() <= chroma.max() < 1
    torch.testing.assert_close(chroma[1:2], model(luma[1:2]), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(model(luma.flip(-1)), chroma, atol=1e-6)


@pytest.mark.parametrize("double", [False, True])
def test_the_published_network_sees_four_greys_and_gives_two_chromas(double):
    torch.manual_seed(0)
    model, luma = colorizer.base(double), photos()[:, :1]
    greys = torch.cat([luma**gamma for gamma in (0.1, 0.5, 1.5, 3.0)], dim=1)
    by_hand = torch.sigmoid(model.network.decoder(model.network.encoder(greys)))
    torch.testing.assert_close(model(luma), by_hand)
    plain = colorizer.base(double, four_greys=False)
    torch.testing.assert_close(plain(luma), torch.sigmoid(plain.network.decoder(plain.network.encoder(luma))))


def test_a_guess_starts_near_grey_and_adds_an_eighth_of_its_network():
    torch.manual_seed(0)
    model, luma = colorizer.Guess(width=8).eval(), photos()[:, :1]
    torch.testing.assert_close(model(luma), 0.5 + model.network(luma) / 8)


def test_published_sizes():
    convolutions = ((4, 16), (16, 16), (16, 16), (16, 32), (32, 32), (32, 32), (32, 16), (16, 8), (8, 2))
    assert count(colorizer.custom()) == sum(9 * before * after + after for before, after in convolutions)
    assert count(colorizer.base()) == 4911 + 9 * 8 - (9 * 12 + 1)  # one channel more goes in, one less comes out
    assert count(colorizer.base(four_greys=False)) == count(colorizer.base()) - 9 * 3 * 8


def test_a_guess_sees_the_whole_picture():
    torch.manual_seed(0)
    model = colorizer.Guess(width=8)
    luma = photos(1)[:, :1].requires_grad_()
    model(luma)[0, :, 0, 0].sum().backward()
    assert luma.grad[0, 0, 20:, 20:].abs().sum() > 0


def test_a_word_changes_the_guess():
    torch.manual_seed(0)
    model = colorizer.Guess(classes=3, width=8)
    luma = photos(1)[:, :1].expand(2, -1, -1, -1)
    first, second = model(luma, torch.tensor([0, 1]))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize(
    "make", [colorizer.Guess, partial(colorizer.Odds, torch.rand(5, 2), torch.ones(5))], ids=["guess", "odds"]
)
def test_eyes_are_shown_a_large_grey_copy_and_change_the_colours(make):
    shown, brightness = [], [0.0]

    def eyes(images):
        shown.append(images)
        return [
            torch.full((len(images), channels, 16 >> level, 16 >> level), brightness[0])
            for level, channels in enumerate(colorizer.STAGES.values())
        ]

    torch.manual_seed(0)
    model = make(width=8, feature_extractor=eyes).eval()
    luma = torch.rand(2, 1, 32, 32)
    before = model(luma)
    brightness[0] = 1.0
    assert not torch.allclose(model(luma), before)
    assert shown[0].shape == (2, 3, 128, 128)
    assert torch.equal(shown[0][:, 0], shown[0][:, 2])
    torch.testing.assert_close(shown[0].mean((1, 2, 3)), luma.mean((1, 2, 3)), atol=0.01, rtol=0)


@pytest.mark.parametrize("make", [colorizer.Guess, partial(colorizer.Odds, BINS, torch.ones(3))], ids=["guess", "odds"])
def test_maps_of_the_eyes_are_left_out_in_training_only(make):
    torch.manual_seed(0)
    maps = [torch.rand(4, channels, 16 >> i, 16 >> i) for i, channels in enumerate(colorizer.STAGES.values())]
    model = make(width=8, feature_extractor=lambda images: maps, dropout=0.5)
    luma = torch.rand(4, 1, 32, 32)
    assert not torch.allclose(model(luma), model(luma))
    model.eval()
    assert torch.equal(model(luma), model(luma))


def test_a_trained_classifier_serves_as_eyes():
    classifier = excitation.efficientnet_lite0()
    eyes = partial(excitation.activations, classifier, list(colorizer.STAGES))
    model = colorizer.Guess(width=8, feature_extractor=eyes)
    luma = torch.rand(2, 1, 32, 32)
    model(luma).sum().backward()
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert not any("eyes" in name for name in model.state_dict())


def test_the_annealed_mean_lies_between_the_likeliest_and_the_mean():
    torch.manual_seed(0)
    model = colorizer.Odds(BINS, torch.ones(3), width=8)
    luma = photos(1)[:, :1]
    odds = model.logits(luma).softmax(1)
    up = lambda half: torch.nn.functional.interpolate(half, scale_factor=2, mode="bilinear")  # noqa: E731
    likeliest = BINS[odds.argmax(1)].movedim(-1, 1)
    torch.testing.assert_close(model(luma, temperature=1e-6), up(likeliest))
    torch.testing.assert_close(model(luma, temperature=1), up(torch.einsum("nqyx,qc->ncyx", odds, BINS)))


@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_bins_are_the_chromas_there_and_rare_ones_count_more(mix):
    x = photos(8)
    x[:6] = x[:6].mean(1, keepdim=True)  # six grey pictures
    bins, rarity = colorizer.chroma_bins(x, step=0.05, rarest=0, mix=mix)
    chroma = torch.nn.functional.avg_pool2d(colorizer.split(x)[1], 2).movedim(1, -1).flatten(0, 2)
    distance, nearest = torch.cdist(chroma, bins).min(1)
    assert distance.max() < 0.05
    assert rarity[nearest].mean().item() == pytest.approx(1, abs=1e-4)  # over pixels
    grey = (bins - 0.5).norm(dim=1).argmin()
    if mix == 1:
        assert rarity.tolist() == pytest.approx([1.0] * len(bins))
    else:
        assert rarity[grey] == rarity.min()


def test_rarest_chromas_are_left_out():
    every, common = (colorizer.chroma_bins(photos(8), rarest=rarest)[0] for rarest in (0, 1e-2))
    assert 0 < len(common) < len(every)


@pytest.mark.parametrize(("make", "objective"), [
    (lambda: colorizer.Guess(width=8), colorizer.regression),
    (lambda: colorizer.Odds(BINS, torch.ones(3), width=8), colorizer.classification),
])  # fmt: skip
def test_colour_that_follows_from_luma_is_learnt(make, objective):
    """Bright is one colour, dark another: chroma of two bins, told apart by the luma."""
    torch.manual_seed(0)
    luma = (torch.rand(32, 1, 4, 4) > 0.5).float().repeat_interleave(8, 2).repeat_interleave(8, 3) * 0.2 + 0.4
    chroma = torch.where(luma > 0.5, BINS[1].view(1, 2, 1, 1), BINS[2].view(1, 2, 1, 1))
    x = colorizer.join(luma, chroma)
    model = make()
    training.fit(model, x, objective, epochs=60, batch_size=32, lr=5e-3)
    assert (model(luma) - chroma).square().mean() < 0.2 * (
        chroma - chroma.mean((0, 2, 3), keepdim=True)
    ).square().mean()


def test_knowing_what_it_is_helps_where_luma_cannot():
    torch.manual_seed(0)
    labels = torch.arange(32) % 3
    luma = torch.full((32, 1, 16, 16), 0.5)
    x = colorizer.join(luma, BINS[labels][:, :, None, None].expand(-1, -1, 16, 16))
    model = colorizer.Guess(classes=3, width=8)
    history = training.fit(model, (x, labels), colorizer.conditional_regression, epochs=80, batch_size=32, lr=5e-3)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
