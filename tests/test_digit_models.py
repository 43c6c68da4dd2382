"""Autoencoders of digits: shapes there and back for every pair, that they learn, that their weights travel."""

import pytest
import torch
from torch import nn

from chromae import losses, training
from chromae.models import conv, dense, vae
from chromae.models.autoencoder import Autoencoder
from chromae.records import weights

SHAPE = (1, 28, 28)
PAIRS = {
    "dense": (lambda out: dense.encoder(SHAPE, [100], out), lambda latent: dense.decoder(latent, [100], SHAPE)),
    "shallow": (conv.shallow_encoder, conv.shallow_decoder),
    "deep": (conv.deep_encoder, conv.deep_decoder),
}
EACH = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def stripes(n=32):
    """Images of one bright stripe, a quarter of the height, in one of four places."""
    images = torch.zeros(n, *SHAPE)
    for index in range(n):
        images[index, 0, 7 * (index % 4) :][:7] = 1
    return images


@EACH
@pytest.mark.parametrize("latent", [1, 2, 20])
def test_any_latent_size_there_and_back(pair, latent):
    encoder, decoder = pair
    x = torch.rand(3, *SHAPE)
    model = Autoencoder(encoder(latent), decoder(latent))
    assert model.encode(x).shape == (3, latent)
    rebuilt = model(x)
    assert rebuilt.shape == x.shape
    assert 0 < rebuilt.min() <= rebuilt.max() < 1
    cloudy = vae.VAE(encoder(2 * latent), decoder(latent))
    assert [part.shape for part in cloudy.posterior(x)] == [(3, latent)] * 2
    assert vae.elbo_objective(losses.bernoulli)(cloudy, x)["loss"].isfinite()


@EACH
def test_learns(pair):
    encoder, decoder = pair
    torch.manual_seed(0)
    model = Autoencoder(encoder(2), decoder(2)).to(memory_format=torch.channels_last)
    history = training.fit(model, stripes(), losses.reconstruction, epochs=40, batch_size=16, lr=3e-3)
    assert history["loss"][-1] < stripes().var(0, correction=0).mean() / 2  # more than the mean image


@EACH
def test_channels_last_changes_the_speed_alone(pair):
    encoder, decoder = pair
    torch.manual_seed(0)
    model = Autoencoder(encoder(2), decoder(2))
    expected = model(stripes())
    torch.testing.assert_close(model.to(memory_format=torch.channels_last)(stripes()), expected)


def test_shallow_and_deep_have_the_layers_of_their_source():
    def channels(model, kind):
        return [layer.out_channels for layer in model if isinstance(layer, kind)]

    assert channels(conv.shallow_encoder(2), nn.Conv2d) == [32, 64]
    assert channels(conv.shallow_decoder(2), nn.ConvTranspose2d) == [64, 32, 1]
    assert channels(conv.deep_encoder(2), nn.Conv2d) == [8, 8, 16, 16, 32, 32, 64, 64]


def test_weights_come_back_in_half_precision(tmp_path):
    torch.manual_seed(0)
    model = Autoencoder(*(half(2) for half in PAIRS["dense"]))
    path = weights.save(model, tmp_path / "new" / "model.safetensors")
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]
    again = weights.load(Autoencoder(*(half(2) for half in PAIRS["dense"])), path)
    assert not again.training
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert theirs.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_unfit_weights_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "model.safetensors"
    small, large = (Autoencoder(dense.encoder(SHAPE, [n], 2), dense.decoder(2, [n], SHAPE)) for n in (4, 5))
    with pytest.raises(ValueError, match="does not hold weights of this Autoencoder"):
        weights.load(small, path)
    path.write_bytes(b"not weights")
    with pytest.raises(ValueError, match="does not hold weights of this Autoencoder"):
        weights.load(small, path)
    weights.save(large, path)
    with pytest.raises(ValueError, match="does not hold weights of this Autoencoder") as caught:
        weights.load(small, path)
    assert "\n" not in str(caught.value)


def test_deep_pair_starts_with_images_apart():
    """He's start keeps a signal through sixteen layers; torch's own shrinks it to nothing."""
    torch.manual_seed(0)
    x = torch.rand(64, 1, 4, 4).repeat_interleave(7, 2).repeat_interleave(7, 3)
    model = Autoencoder(conv.deep_encoder(2), conv.deep_decoder(2))
    kept = model.decoder(model.encode(x)).std(0).mean()
    for layer in (*model.encoder, *model.decoder):
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    shrunk = model.decoder(model.encode(x)).std(0).mean()
    assert kept > 0.02
    assert shrunk < kept / 50


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("stride", [1, 2])
def test_he_start_doubles_mean_squares_for_relus_to_halve(kind, stride):
    torch.manual_seed(0)
    layers = conv.he_start(nn.Sequential(kind(32, 32, 3, stride=stride, padding=1)))
    x = torch.randn(8, 32, 24, 24)
    inner = layers(x)[..., 2:-2, 2:-2]
    assert (inner.square().mean() / (2 * x.square().mean())).item() == pytest.approx(1, rel=0.15)
