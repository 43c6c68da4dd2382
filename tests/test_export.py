"""Networks run in a page as they run in torch: every kind of layer, every published network, in headless Chromium."""

import base64
import copy

import pytest
import torch
from browser import chromium
from torch import nn

from chromae import losses
from chromae.explorer import export, page
from chromae.models import conv, convex, dense, photos
from chromae.models.autoencoder import Autoencoder, clamp
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.models.embedder import Embedder
from chromae.models.vae import VAE
from chromae.records import weights

RUN = """([exported, weights, inputs]) => {
  const bytes = Uint8Array.from(atob(weights), (c) => c.charCodeAt(0)).buffer;
  const made = network(exported, bytes);
  return inputs.map((numbers) => Array.from(made.run(Float64Array.from(numbers))));
}"""


@pytest.fixture(scope="module")
def script():
    """Runs an exported network on a batch, in a page that holds layers.js and nothing else."""
    with chromium() as browser:
        opened = browser.new_page()
        opened.set_content(f"<script>{page.bundle('layers')}</script>")

        def run(exported, batch):
            told = {"layers": exported.layers, "inputs": exported.inputs, "outputs": exported.outputs}
            packed = base64.b64encode(exported.weights).decode()
            found = torch.tensor(opened.evaluate(RUN, [told, packed, batch.flatten(1).tolist()]))
            if len(exported.outputs) < 3:
                return found
            channels, height, width = exported.outputs
            return found.view(-1, height, width, channels).permute(0, 3, 1, 2)  # maps come with their channels last

        yield run


def fresh(made, seed=0):
    torch.manual_seed(seed)
    model = made()
    for module in model.modules():  # statistics as after training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return model.eval()


def digits(encoder, decoder):
    return lambda: Autoencoder(encoder(2), decoder(2))


MODELS = {
    "shallow digits": (digits(conv.shallow_encoder, conv.shallow_decoder), (2,), (1, 28, 28)),
    "deep digits": (digits(conv.deep_encoder, conv.deep_decoder), (2,), (1, 28, 28)),
    "colours": (ColorAutoencoder, (2,), (3,)),
    "deep colours, extra outputs": (lambda: ColorAutoencoder(2, (16, 16), 1), (2,), (3,)),
    "shapes": (lambda: Autoencoder(conv.shapes_encoder(8, 64), conv.shapes_decoder(8, 64)), (8,), (3, 64, 64)),
    "convex": (
        lambda: Autoencoder(conv.shapes_encoder(8, 64), convex.ConvexDecoder(8, 64), clamp), (8,), (3, 64, 64)
    ),
    "small photos": (photos.small, (16, 8, 8), (3, 32, 32)),
    "small photos, strided": (lambda: photos.small(strided=True, kernel=5, extra=1), (16, 8, 8), (3, 32, 32)),
    "residual photos": (lambda: photos.Residual(8, width=8), (8,), (3, 32, 32)),
    "blockwise photos": (lambda: photos.Blockwise(8, 8, width=16), (8, 4, 4), (3, 32, 32)),
}  # fmt: skip


@pytest.mark.parametrize(("made", "latent", "image"), MODELS.values(), ids=MODELS)
def test_pictures_and_codes_are_those_of_torch(script, made, latent, image):
    model = fresh(made)
    if isinstance(model, photos.Residual | photos.Blockwise):  # whose last layers begin as nothing
        for parameter in model.parameters():
            nn.init.normal_(parameter, 0, 0.1) if not parameter.any() else None
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(1)
    z = torch.randn(4, *latent)
    x = torch.rand(6, *image) * torch.linspace(0.1, 1, 6).view(-1, *len(image) * [1])  # dark to light: codes differ
    with torch.no_grad():
        pictures, codes = model.decode(z).clamp(0, 1), model.encode(x).flatten(1)
    assert (script(export.decoder(model, latent), z) - pictures).abs().max() <= 1 / 255
    spread = (codes - codes.mean(0)).norm() / len(codes) ** 0.5
    away = script(export.encoder(model, image), x) - codes
    assert away.norm(dim=1).max() <= 0.01 * spread + 1e-3 * codes.norm(dim=1).max()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous", "gaussian"])
def test_a_vae_shows_means(script, likelihood):
    model = fresh(lambda: VAE(dense.encoder([1, 6, 6], [20], 6), dense.decoder(3, [20], [1, 6, 6])))
    z, x = 9 * torch.randn(5, 3), torch.rand(5, 1, 6, 6)
    mean = {"bernoulli": torch.sigmoid, "continuous": losses.continuous_bernoulli_mean, "gaussian": clamp}[likelihood]
    with torch.no_grad():
        assert (script(export.decoder(model, [3], likelihood), z) - mean(model.decode(z))).abs().max() <= 1 / 255
        away = script(export.encoder(model, (1, 6, 6)), x) - model.encode(x)
    assert away.abs().max() < 2e-3


def test_an_embedder_has_codes(script):
    model, x = fresh(lambda: Embedder(8, (4, 8, 8, 8, 8, 8))), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        codes = model.encode(x)
    assert (script(export.encoder(model, (3, 32, 32)), x) - codes).abs().max() <= 0.01 * codes.std()


def latent_of(name, model):
    """The shape of a published network's codes and images, by one of each."""
    image = {"co": (3,), "di": (1, 28, 28), "ph": (3, 32, 32), "sh": (3, 128, 128)}[name[:2]]
    with torch.no_grad():
        return tuple(model.encode(torch.full((1, *image), 0.5)).shape[1:]), image


@pytest.mark.parametrize("name", weights.names() or [pytest.param("", marks=pytest.mark.skip("no clone"))])
def test_every_published_network_runs_in_a_page(script, name):
    """Colour nets of every epoch by their last one; colourisers and drawings are no autoencoders, and that is said."""
    model = weights.pretrained(name)
    if name.startswith(("colorizer", "strokes")):
        with pytest.raises(ValueError, match=r"^model is a \w+ without a module called 'decoder', which a page would"):
            export.decoder(model, (2,))
        return
    model = model[-1] if isinstance(model, nn.ModuleList) else model
    latent, image = latent_of(name, model)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, *image, generator=generator)
    with torch.no_grad():
        codes = model.encode(x)
        away = script(export.encoder(model, image), x) - codes.flatten(1)
        assert away.abs().max() <= 0.01 * codes.std()
        if hasattr(model, "decode"):
            pictures = model.decode(codes)
            pictures = torch.sigmoid(pictures) if isinstance(model, VAE) else pictures.clamp(0, 1)
            assert (script(export.decoder(model, latent), codes) - pictures).abs().max() <= 1 / 255


@pytest.mark.parametrize("seed", range(12))
def test_convolutions_of_any_shape(script, seed):
    """Kernels, strides, paddings at random, forth and back."""
    draw = torch.Generator().manual_seed(seed)

    def pick(low, high):
        return int(torch.randint(low, high + 1, (), generator=draw))

    stride, kernel, inside, out = pick(1, 3), (pick(1, 5), pick(1, 5)), pick(1, 6), pick(1, 9)
    padding, size = (pick(0, kernel[0] // 2), pick(0, kernel[1] // 2)), (pick(6, 11), pick(6, 11))
    layer = nn.Conv2d(inside, out, kernel, stride, padding, bias=bool(pick(0, 1)))
    if pick(0, 1):
        layer = nn.ConvTranspose2d(inside, out, kernel, stride, padding, output_padding=pick(0, stride - 1))
    model = fresh(lambda: Autoencoder(nn.Identity(), nn.Sequential(layer), nn.Identity()), seed)
    x = torch.rand(2, inside, *size, generator=draw)
    with torch.no_grad():
        expected = model.decode(x)
    found = script(export.decoder(model, (inside, *size)), x)
    assert (found - expected).abs().max() <= 2e-3 * expected.abs().max()


@pytest.mark.parametrize(
    "layer",
    [
        nn.LeakyReLU(0.3), nn.Softplus(), nn.Tanh(), nn.MaxPool2d(2), nn.MaxPool2d(3, 2), nn.Upsample(scale_factor=3),
        nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Sequential(nn.ReLU()),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_layers_one_by_one(script, layer):
    model = fresh(lambda: Autoencoder(nn.Identity(), layer, nn.Identity()))
    x = 3 * torch.randn(2, 4, 6, 6)
    with torch.no_grad():
        assert (script(export.decoder(model, (4, 6, 6)), x) - model.decode(x)).abs().max() < 5e-3


class Mine(nn.Module):
    """A reader's own model, of no class that the package knows."""

    def __init__(self, output):
        super().__init__()
        self.encoder, self.decoder, self.output = nn.Linear(6, 2), nn.Linear(2, 6), output

    def encode(self, x):
        return self.encoder(x)

    def decode(self, z):
        return self.output(self.decoder(z))


def test_a_model_of_ones_own_needs_encoder_and_decoder(script):
    for output in (torch.sigmoid, clamp, nn.Identity()):
        model, z = fresh(lambda output=output: Mine(output)), torch.randn(3, 2)
        with torch.no_grad():
            assert (script(export.decoder(model, [2]), z) - model.decode(z)).abs().max() < 2e-3
    with pytest.raises(ValueError, match=r"^model.decode of this Mine is not its decoder, alone, with a sigmoid or"):
        export.decoder(fresh(lambda: Mine(torch.exp)), [2])


class Tilted(Mine):
    def encode(self, x):
        return torch.tanh(3 * self.encoder(x))


class Restless(VAE):
    def encode(self, x):
        return 2 * super().encode(x)

    def decode(self, z):
        return super().decode(z) + 1


class Skip(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Twice(nn.Identity):
    def forward(self, x):
        return 2 * x


class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = nn.Linear(2, 4)

    def decode(self, z):
        return torch.sigmoid(self.decoder(z.clamp(0, 2)))


def test_what_a_model_does_in_a_way_of_its_own_is_not_left_out():
    """Neither after its encoder, nor in a class that inherits from one of ours, nor inside a layer."""
    with pytest.raises(ValueError, match=r"^model.encode of this Tilted is not its encoder, alone, .* model.encoder$"):
        export.encoder(Tilted(nn.Identity()), [6])
    restless = Restless(dense.encoder([1, 6, 6], [20], 6), dense.decoder(3, [20], [1, 6, 6]))
    with pytest.raises(ValueError, match=r"^model.decode of this Restless is not its decoder"):
        export.decoder(restless, [3])
    with pytest.raises(ValueError, match=r"^model.encode of this Restless is not its encoder"):
        export.encoder(restless, (1, 6, 6))
    with pytest.raises(ValueError, match=r"^model.decode of this Cut is not its decoder"):
        export.decoder(Cut(), [2])  # though it is, for codes in [0, 1]
    for layer in (Skip(nn.Linear(2, 2)), Twice()):
        with pytest.raises(ValueError, match=rf"^model holds {type(layer).__name__}.* at 'decoder', which no page can"):
            export.decoder(Autoencoder(nn.Identity(), layer, nn.Identity()), [2])


class Maps(nn.Module):
    """A model of one's own whose codes are maps."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 2, 4, 2, 1), nn.ConvTranspose2d(2, 3, 4, 2, 1)

    def encode(self, x):
        return self.encoder(x)

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))


def test_codes_of_a_model_of_ones_own_may_be_maps(script):
    model, x = fresh(Maps), torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        codes = model.encode(x)
        assert (script(export.encoder(model, (3, 8, 8)), x) - codes.flatten(1)).abs().max() < 2e-3
        assert (script(export.decoder(model, (2, 4, 4)), codes) - model.decode(codes)).abs().max() < 2e-3
    with pytest.raises(ValueError, match=r"^model.decode takes no batch of shape \(64, 5, 4, 4\): "):
        export.decoder(model, (5, 4, 4))


def broken(value):
    model = fresh(ColorAutoencoder)
    nn.init.constant_(model.decoder.bias, value)
    return model


REFUSED = {
    "model holds GELU(approximate='none') at 'decoder.1', which no page can run; it runs Linear, Conv2d": (
        lambda: Autoencoder(nn.Identity(), nn.Sequential(nn.Linear(2, 3), nn.GELU())), [2],
    ),
    "model holds weights that are not finite at 'decoder.bias', expected numbers": (lambda: broken(torch.nan), [2]),
    "model.decode takes no batch of shape (1, 3): models.color_autoencoder.ColorAuto": (lambda: broken(0.5), [3]),
    "model holds Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), groups=2) at 'decoder', expected one group": (
        lambda: Autoencoder(nn.Identity(), nn.Conv2d(4, 4, 3, groups=2)), [4, 8, 8],
    ),
    "model holds Flatten(start_dim=2, end_dim=-1) at 'decoder', which no page can run": (
        lambda: Autoencoder(nn.Identity(), nn.Flatten(2)), [4, 8, 8],
    ),
    "model gives Linear(in_features=6, out_features=3, bias=True) a batch of shape (1, 4, 6), expected vectors": (
        lambda: Autoencoder(nn.Identity(), nn.Linear(6, 3)), [4, 6],
    ),
    "model holds Upsample(scale_factor=(2.0, 2.0), mode='nearest') at 'decoder', which no page can run": (
        lambda: Autoencoder(nn.Identity(), nn.Upsample(scale_factor=(2, 2))), [4, 8, 8],
    ),
    "model.output is <built-in method tanh": (lambda: Autoencoder(nn.Identity(), nn.Linear(2, 3), torch.tanh), [2]),
    "model is a Linear without a module called 'decoder', which a page would run": (lambda: nn.Linear(2, 2), [2]),
}  # fmt: skip


@pytest.mark.parametrize(("made", "latent"), REFUSED.values(), ids=[str(n) for n in range(len(REFUSED))])
def test_what_no_page_can_run_is_said_in_a_sentence(made, latent):
    said = next(text for text, case in REFUSED.items() if case[0] is made)
    with pytest.raises(ValueError) as error:  # noqa: PT011, the sentence is compared below
        export.decoder(made(), latent)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
