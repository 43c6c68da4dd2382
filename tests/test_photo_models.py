"""The published autoencoder of photos and its variants: sizes, counts, what a number of the code sees."""

import inspect

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from torch import nn

from chromae import losses, training
from chromae.models import photos
from chromae.models.autoencoder import Autoencoder

VARIANTS = {
    "baseline": ({}, (16, 8, 8)),
    "latent x 2": ({"latent": 32}, (32, 8, 8)),
    "latent x 4": ({"latent": 64}, (64, 8, 8)),
    "channels x 2": ({"channels": (16, 24)}, (16, 8, 8)),
    "channels x 20": ({"channels": (160, 240)}, (16, 8, 8)),
    "5 x 5": ({"kernel": 5}, (16, 8, 8)),
    "strides": ({"strided": True}, (16, 8, 8)),
    "one pooling less": ({"halvings": 1}, (16, 16, 16)),
    "more layers": ({"extra": 2}, (16, 8, 8)),
    "free code": ({"rectified": False}, (16, 8, 8)),
}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("options", "shape"), VARIANTS.values(), ids=VARIANTS)
def test_every_variant_goes_there_and_back(options, shape):
    model = photos.small(**options)
    x = torch.rand(2, 3, 32, 32)
    code = model.encode(x)
    assert code.shape == (2, *shape)
    rebuilt = model.decode(code)
    assert rebuilt.shape == x.shape
    assert 0 < rebuilt.min() <= rebuilt.max() < 1
    assert (code.min() >= 0) == options.get("rectified", True)


def test_the_baseline_has_its_published_size():
    assert count(photos.small()) == 4911
    assert photos.small().encode(torch.rand(1, 3, 32, 32)).numel() == 1024
    kinds = [type(layer) for layer in photos.small(activation=nn.SiLU, extra=1).modules()]
    assert (kinds.count(nn.SiLU), kinds.count(nn.LeakyReLU)) == (5, 0)


@pytest.mark.parametrize(("options", "shape"), VARIANTS.values(), ids=VARIANTS)
def test_the_receptive_field_is_what_moves_a_number(options, shape):
    """Which pixels reach the number in the middle of the code; all weights positive, so that none cancel."""
    torch.manual_seed(0)
    encoder = photos.small(**options).encoder
    for layer in encoder:
        if isinstance(layer, nn.Conv2d):
            nn.init.uniform_(layer.weight, 0.01, 0.02)
            nn.init.zeros_(layer.bias)
    size, middle = 96, 96 * shape[1] // 64
    x = torch.rand(1, 3, size, size, requires_grad=True)
    if any(isinstance(layer, nn.MaxPool2d) for layer in encoder):  # a maximum passes one gradient, an average all
        encoder = nn.Sequential(*(nn.AvgPool2d(2) if isinstance(layer, nn.MaxPool2d) else layer for layer in encoder))
    encoder(x)[0, 0, middle, middle].backward()
    reached = (x.grad.abs().sum((0, 1)) > 0).any(0)
    assert reached.sum().item() == photos.receptive_field(photos.small(**options).encoder)


def test_bad_sizes_are_one_sentence():
    with pytest.raises(ValueError, match="halvings is 3, expected 0 to 2"):
        photos.small(halvings=3)
    with pytest.raises(ValueError, match="kernel is 4, expected an odd width"):
        photos.small(kernel=4)


def random_photos(n=4, seed=0):
    """Smooth colours, as photos have: noise at 4 × 4 pixels, enlarged."""
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("latent", [5, 64])
def test_the_residual_net_goes_there_and_back(latent):
    torch.manual_seed(0)
    model = photos.Residual(latent, width=8)
    x = random_photos()
    assert model.encode(x).shape == (4, latent)
    assert model(x).shape == x.shape
    training.fit(model, x, losses.reconstruction, epochs=60, batch_size=4, lr=3e-3)
    assert losses.mse(model(x), x) < 0.15 * (x - x.mean(0)).square().mean()


def test_a_block_starts_as_the_identity_and_learns():
    x = torch.randn(2, 8, 5, 5)
    block = photos.Block(8)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert sum(parameter.grad.abs().sum() for parameter in block.parameters()) > 0


@pytest.mark.parametrize(("block", "latent"), [(4, 16), (8, 64), (16, 256)])
def test_blockwise_starts_as_the_principal_components_of_blocks(block, latent):
    x = random_photos(60) + 0.05 * torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    model = photos.Blockwise(latent, block, width=8).start(x)
    rebuilt = model(x)
    assert model.encode(x).shape == (60, latent, 32 // block, 32 // block)
    rows = x.unfold(2, block, block).unfold(3, block, block).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2).double()
    mean = x.double().mean((0, 2, 3)).repeat_interleave(block * block)
    left = torch.linalg.svdvals(rows - mean)[latent:].square().sum() / rows.numel()
    assert losses.mse(rebuilt.double(), x.double()).item() == pytest.approx(left.item(), rel=1e-3, abs=1e-9)
    codes = model.encode(x).movedim(1, -1).flatten(0, 2)
    torch.testing.assert_close(codes.square().mean(0).sqrt(), model.scale.flatten(), rtol=1e-3, atol=1e-4)


def test_blockwise_learns_more_than_its_start():
    x = random_photos(16, seed=2)
    model = photos.Blockwise(4, 8, width=16).start(x)
    before = losses.mse(model(x), x)
    training.fit(model, x, losses.reconstruction, epochs=100, batch_size=16, lr=3e-3)
    assert losses.mse(model(x), x) < 0.3 * before


def test_signatures_say_the_shapes_that_go_through():
    """Read by a type checker: maps as codes, pictures that are not square, other channels out than in."""
    block, model = photos.Block(8), photos.small(inside=4, outside=2)
    x = torch.rand(2, 4, 32, 32)
    for method, argument in (
        (photos.Block.forward, (block, torch.rand(2, 8, 5, 6))),
        (Autoencoder.encode, (model, x)),
        (Autoencoder.decode, (model, model.encode(x))),
        (Autoencoder.forward, (model, x)),
    ):
        jaxtyped(typechecker=beartype)(inspect.unwrap(method))(*argument)
