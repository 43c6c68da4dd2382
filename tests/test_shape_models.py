"""Autoencoders of shapes: there and back, cells as their formula says, an honest estimate from few pixels."""

import itertools

import pytest
import torch

from chromae import datasets, losses, training
from chromae.models import conv, convex
from chromae.models.autoencoder import Autoencoder, clamp

SIZE = 32


def drawing(size=SIZE, latent=8):
    torch.manual_seed(0)
    return Autoencoder(conv.shapes_encoder(latent, size), convex.ConvexDecoder(latent, size), clamp)


def painting(size=SIZE, latent=8):
    torch.manual_seed(0)
    return Autoencoder(conv.shapes_encoder(latent, size), conv.shapes_decoder(latent, size))


@pytest.mark.parametrize("make", [drawing, painting])
@pytest.mark.parametrize("size", [32, 64])
def test_there_and_back(make, size):
    model = make(size).eval()
    x = torch.rand(3, 3, size, size)
    assert model.encode(x).shape == (3, 8)
    rebuilt = model(x)
    assert rebuilt.shape == x.shape
    assert 0 <= rebuilt.min() <= rebuilt.max() <= 1


@pytest.mark.parametrize("make", [drawing, painting])
def test_learns(make):
    model = make().to(memory_format=torch.channels_last)
    objective = convex.sparse_reconstruction_objective() if make is drawing else losses.reconstruction
    images = datasets.shapes(64, size=SIZE).images
    history = training.fit(model, images, objective, epochs=40, batch_size=16, lr=3e-3, validation=images)
    variance = (images / 255).var(0).mean()
    assert history["val_loss"][-1] < variance / 4


def test_a_cell_is_the_product_of_its_cuts():
    decoder = convex.ConvexDecoder(2, size=8, cells=1, cuts=3)
    with torch.no_grad():
        decoder.coefficients.weight.zero_()
        decoder.colors.weight.zero_()
        decoder.coefficients.bias.copy_(torch.tensor([[1.0, 0, 0], [0, -2, 0], [0, 0, -1], [0.5, 1, 2]]).flatten())
        decoder.colors.bias.copy_(torch.tensor([0.2, 0.3, 0.4, 0.5, -0.1, 0.0]))  # the ground, then what a cell adds
    place = (2 * (torch.arange(8, dtype=torch.float64) + 0.5) / 8 - 1).expand(8, 8)
    x, y = place, place.T
    cuts = (8 * x + 1, -16 * y + 2, -8 * (x**2 + y**2) + 4)
    cell = torch.stack([torch.sigmoid(cut) for cut in cuts]).prod(0)
    expected = torch.stack([ground + add * cell for ground, add in ((0.2, 0.5), (0.3, -0.1), (0.4, 0.0))])
    for image in decoder(torch.randn(2, 2)):
        torch.testing.assert_close(image.double(), expected, atol=1e-6, rtol=0)


def test_some_rows_and_columns_are_those_of_the_whole_image():
    decoder = convex.ConvexDecoder(4, size=16)
    z = torch.randn(3, 4)
    rows, columns = slice(1, None, 4), slice(2, None, 3)
    torch.testing.assert_close(decoder(z, rows, columns), decoder(z)[:, :, rows, columns])


def test_edges_stay_exact_in_mixed_precision():
    decoder = convex.ConvexDecoder(4, size=64)
    z = torch.randn(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = decoder(z)
    assert torch.equal(mixed, decoder(z))


def test_the_loss_of_few_pixels_is_that_of_all_on_average(monkeypatch):
    model = drawing().train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    images = torch.rand(4, 3, SIZE, SIZE)
    exact = losses.mse(model.decoder(model.encode(images)), images)
    starts = iter(itertools.product(range(4), repeat=2))
    monkeypatch.setattr(torch, "randint", lambda *_: torch.tensor(next(starts)))
    sparse = convex.sparse_reconstruction_objective(4)
    mean = torch.stack([sparse(model, images)["loss"] for _ in range(16)]).mean()
    torch.testing.assert_close(mean, exact)


def test_folding_batch_norms_changes_no_number():
    encoder = conv.shapes_encoder(8, SIZE).train()
    for _ in range(3):
        encoder(torch.rand(8, 3, SIZE, SIZE))  # statistics that are not those it starts with
    images = torch.rand(4, 3, SIZE, SIZE)
    expected = encoder.eval()(images)
    folded = conv.fold(encoder).train()
    assert not [layer for layer in folded if isinstance(layer, torch.nn.BatchNorm2d)]
    torch.testing.assert_close(folded(images), expected, atol=1e-5, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in folded.parameters())


def spreads(decoder, codes):
    """The standard deviation over codes, in the mean of a layer's outputs, after every layer with weights."""
    left = []
    with torch.no_grad():
        for layer in decoder:
            codes = layer(codes)
            left += [codes.std(0).mean().item()] if hasattr(layer, "weight") else []
    return left


@pytest.mark.parametrize("size", [64, 128])
def test_a_painter_without_norms_keeps_its_signal_from_hes_weights_alone(size):
    """From one transposed convolution to the next; torch's own lose all but a third or less at each."""
    torch.manual_seed(0)
    layers = [it for it in conv.shapes_decoder(128, size) if not isinstance(it, torch.nn.BatchNorm2d)]
    decoder, codes = torch.nn.Sequential(*layers), torch.randn(64, 128)
    shrunk = spreads(decoder, codes)
    kept = spreads(conv.he_start(decoder), codes)
    assert len(kept) == 5
    assert all(0.5 < after / before < 2 for before, after in itertools.pairwise(kept))
    assert all(after < 0.35 * before for before, after in itertools.pairwise(shrunk))
    assert shrunk[-1] < kept[-1] / 50


def test_shapes_networks_begin_from_torchs_own_weights_unless_told():
    """What the published run of the convolutional network began from can be had again."""
    for make, bare in (
        (conv.shapes_encoder, lambda: torch.nn.Conv2d(3, 24, 8)),
        (conv.shapes_decoder, lambda: torch.nn.Linear(8, 128 * (SIZE // 16) ** 2)),
    ):
        torch.manual_seed(5)
        first = bare()
        torch.manual_seed(5)
        assert torch.equal(make(8, SIZE)[0].weight, first.weight)
    torch.manual_seed(5)
    first, other = torch.nn.Linear(8, 128 * (SIZE // 16) ** 2), torch.nn.ConvTranspose2d(128, 64, 4)
    torch.manual_seed(5)
    layers = conv.shapes_decoder(8, SIZE)
    assert torch.equal(layers[0].weight, first.weight)
    assert torch.equal(layers[3].weight, other.weight)


@pytest.mark.parametrize(("make", "of"), [(conv.shapes_encoder, 32), (conv.shapes_decoder, 16)])
def test_sizes_that_do_not_halve_are_named(make, of):
    with pytest.raises(ValueError, match=f"size is 40, expected a multiple of {of} pixels"):
        make(8, 40)
