"""Devices without the device: everything on a stand-in card, and nothing in a training step that waits for it."""

import inspect
from functools import partial
from types import ModuleType, SimpleNamespace

import card
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chromae import color, datasets, excitation, latents, losses, metrics, settings
from chromae.arguments import unchecked
from chromae.datasets import augment, pairs, sprites
from chromae.models import color_autoencoder, colorizer, conv, convex, dense, embedder, palette, photos, vae
from chromae.models.autoencoder import Autoencoder, clamp
from chromae.training import Ensemble, batches

# What the stand-in does itself


def test_the_card_refuses_what_a_card_refuses():
    with card.put_in() as a_card:
        here, there = torch.rand(4, 3, device=a_card.device), torch.rand(4, 3)
        for mixed in (
            lambda: here + there,
            lambda: there[here[:, 0] > 0.5],
            lambda: np.asarray(here),
            lambda: torch.linalg.lstsq(here, here),
            lambda: here.bfloat16().cpu().numpy(),
        ):
            with pytest.raises((RuntimeError, TypeError, AssertionError), match=r"device|card|BFloat16"):
                mixed()


def test_the_card_notes_what_waits_for_it():
    with card.put_in() as a_card:
        x = torch.rand(4, 3, device=a_card.device)
        for waits in (
            lambda: x.sum().item(),
            lambda: bool(x.sum() > 1),
            lambda: x[x[:, 0] > 0.5],
            lambda: torch.tensor([1.0, 2.0], device=a_card.device),
            lambda: x.cpu(),
            lambda: x.long().flatten().bincount(),
            lambda: torch.linalg.inv(x[:3]),
            lambda: x.nonzero(),
        ):
            a_card.waits.clear()
            waits()
            assert a_card.waits
        a_card.waits.clear()
        torch.where(x > 0.5, 1, x).sum()
        assert not a_card.waits


# Public functions


def on_card(*shape, kind=float):
    made = torch.rand(*shape, device="cuda")
    return made if kind is float else (3 * made).long() if kind is int else (255 * made).to(torch.uint8)


def angles(n=20):
    return on_card(n), on_card(n)


def rgb():
    return (on_card(7, 3),)


def twins(n=8):
    return on_card(n, 4), on_card(n, 4)


def rows():
    """Logits and pixels of images."""
    return on_card(5, 1, 4, 4), on_card(5, 1, 4, 4)


def some_shapes(n=5, kinds=sprites.KINDS):
    return sprites.factors(n, generator(), kinds)


def generator():
    return card.Generator()


def dense_vae():
    return on_a_card(lambda: vae.VAE(dense.encoder((1, 4, 4), [8], 6), dense.decoder(3, [8], (1, 4, 4))))


def of_labels(n, d=3):
    return on_card(n, d), on_card(n, kind=int)


EVERY_VIEW = (pairs.crop, pairs.recolor, pairs.rotate, pairs.jitter_hue, pairs.replace_background)
CASES = {
    color: {
        "rgb_to_hsl": rgb, "hsv_to_rgb": rgb, "rgb_to_hsv": rgb, "rgb_to_oklab": rgb, "oklab_to_rgb": rgb,
        "rgb_to_ycbcr": rgb, "ycbcr_to_rgb": rgb, "delta_e": lambda: 2 * rgb(),
        "rgb_to_linear": rgb, "linear_to_rgb": rgb, "rgb_to_lab": rgb, "lab_to_rgb": rgb, "rgb_to_oklch": rgb,
        "oklch_to_rgb": rgb, "hsl_to_rgb": rgb, "rgb_to_cone": rgb, "cone_to_rgb": rgb, "space": lambda: ("HSL",),
    },
    losses: {
        "mse": twins, "triplet": lambda: (*twins(), on_card(8, 4)), "in_batch_triplet": twins, "info_nce": twins,
        "soft_info_nce": lambda: (*twins(), on_card(8, 3)), "rank_n_contrast": lambda: (*twins(), on_card(8, 3)),
        "alignment": twins, "uniformity": lambda: twins()[:1], "bernoulli": rows, "continuous_bernoulli": rows,
        "continuous_bernoulli_log_partition": rgb, "continuous_bernoulli_mean": rgb,
        "continuous_bernoulli_logits": lambda: (*rgb(), 3), "gaussian": lambda: (*rows(), -1.5), "kl": twins,
        "spikiness": lambda: (on_card(4, 6, 5),),
        "expected_error": lambda: (on_card(4, 6, 5), on_card(4, 3), on_card(3, 6, 5)), "gram": lambda: rows()[:1],
        "reconstruction": lambda: (on_a_card(color_autoencoder.ColorAutoencoder), on_card(7, 3)),
        "reconstruction_and_triplet": lambda: (on_a_card(color_autoencoder.ColorAutoencoder), on_card(7, 3, 3)),
    },
    metrics: {
        "circular_correlation": angles, "explained_variance": lambda: (on_card(9, 2), on_card(9)),
        "iwae": lambda: (dense_vae(), rows()[1], losses.bernoulli, 4, 3),
        "active_units": lambda: (dense_vae(), rows()[1]), "colorfulness": lambda: (on_card(2, 3, 4, 4),),
        "batched": lambda: (lambda part: 2 * part, on_card(5, 1, 4, 4, kind=bytes), 2),
        "embed": lambda: (dense_vae(), on_card(5, 1, 4, 4, kind=bytes), 2),
        "nearest_mse": lambda: (on_card(5, 2, 3), on_card(6, 2, 3), 2),
        "knn": lambda: (*of_labels(20), on_card(4, 3).bfloat16()),
        "knn_accuracy": lambda: (*of_labels(20), *of_labels(4)),
        "neighbors": lambda: (on_card(9, 3).bfloat16(),), "retrieval": lambda: of_labels(9),
        "pca_errors": lambda: (on_card(9, 2, 3), on_card(5, 2, 3), [0, 2]),
    },
    latents: {
        "linear": lambda: (on_card(3), on_card(3), 4), "spherical": lambda: (on_card(3), on_card(3), 4),
        "plane": lambda: (on_card(3), on_card(3), on_card(3), 4), "unit_square": lambda: (4, "cuda"),
    },
    augment: {
        "views": lambda: (on_card(3, 9, 8), on_card(4, 5), 15.0, 0.1, 0.06, 1.0),
        "blurred": lambda: (on_card(4, 3, 9, 8), on_card(4), 2),
        "mirror": lambda: (on_card(4, 3, 8, 8), generator()),
        "shift": lambda: (on_card(4, 3, 8, 8), 2, generator()),
    },
    pairs: {view.__name__: lambda: (some_shapes(), generator()) for view in EVERY_VIEW} | {
        "measured_color": lambda: (on_card(5, 3, 16, 16),),
        "pair": lambda: (some_shapes(), generator(), (pairs.crop, pairs.recolor), 16),
    },
    sprites: {
        "factors": lambda: (5, generator(), sprites.KINDS, (0.1, 0.3), (0.0, 1.0), 8), "vivid": rgb,
        "draw": lambda: (some_shapes(), 16), "draw_bytes": lambda: (some_shapes(), 16),
        "chosen": lambda: (some_shapes(), slice(2)),
    },
    datasets: {
        "colors": lambda: (5, generator()), "color_triplets": lambda: (5, generator()),
        "dequantise": rgb,
    },
}  # fmt: skip
ELSEWHERE = {
    "check": "gives nothing, and waits for the device: `draw` calls it",
    "psnr": "a function of numbers", "save": "writes files", "digits": "read and moved", "photos": "read and moved",
    "shapes": "drawn on the CPU and moved", "shape_images": "below, as samplers", "shape_pairs": "below, as samplers",
    "drawn": "below, as samplers", "folder": "read and moved",
    "tangents": "of the backward engine, which wants a real card", "stretch": "likewise", "area": "likewise",
    "search": "likewise", "distance_preservation": "of NumPy's arrays", "main": "a command",
}  # fmt: skip


def public(module: ModuleType):
    return {
        name for name, it in vars(module).items()
        if inspect.isfunction(it) and not name.startswith("_")
        and (it.__module__ == module.__name__ or name in getattr(module, "__all__", ()))
    }  # fmt: skip


@pytest.mark.parametrize("module", CASES, ids=lambda module: module.__name__)
def test_no_public_function_is_left_out(module):
    assert public(module) - set(ELSEWHERE) == set(CASES[module])


EVERY = [(module, name) for module, cases in CASES.items() for name in cases]


@pytest.mark.parametrize(("module", "name"), EVERY, ids=[f"{module.__name__[8:]}.{name}" for module, name in EVERY])
def test_every_function_runs_on_a_card(module, name):
    with card.put_in() as a_card:
        made = getattr(module, name)(*CASES[module][name]())
        if isinstance(made, Tensor) and name not in ("knn", "neighbors"):  # scikit-learn's
            assert made.device == a_card.device


def test_measures_do_without_what_apples_cards_lack():
    with card.put_in("mps") as a_card:
        x, y = torch.rand(2, 9, 3, device=a_card.device)
        images = torch.rand(2, 3, 4, 4, device=a_card.device)
        assert metrics.colorfulness(images).device == losses.uniformity(x).device == a_card.device
        metrics.explained_variance(x, y.mean(1))
        metrics.circular_correlation(x.mean(1), y.mean(1))


# Models and objectives


def shape_model(decoder=convex.ConvexDecoder, size=32):
    return Autoencoder(conv.shapes_encoder(4, size), decoder(4, size), clamp)


def picture(relaxation="annealed"):
    random = torch.Generator()
    return palette.PaletteImage(palette.Fourier(3, 12, 16, random), palette.Palette(3, random), relaxation)


def digit_vae(encoder=conv.shallow_encoder, decoder=conv.shallow_decoder):
    return vae.VAE(encoder(2 * 3), decoder(3))


def to_lab(image):
    return losses.expected_error(image.odds(), color.rgb_to_oklab(image.colors()), on_card(3, 12, 16))


def excites(image, uniform):
    seen = augment.views(image.relaxed(), uniform, blur=1.0)
    return {"loss": losses.spikiness(image.logits()) - seen.mean()}


class Sigma(vae.VAE):
    """A VAE that learns how sure it is."""

    def __init__(self):
        super().__init__(conv.shallow_encoder(6), conv.shallow_decoder(3))
        self.log_sigma = nn.Parameter(torch.zeros(()))


def of_sigma(model, x):
    return vae.elbo_objective(partial(losses.gaussian, log_sigma=model.log_sigma))(model, datasets.dequantise(x))


def digits(n, random):
    return datasets.drawn(on_card(9, 1, 28, 28, kind=bytes))(n, random)


def many_photos(n, random, labelled=False):
    data = on_card(9, 3, 32, 32, kind=bytes)
    return datasets.drawn((data, on_card(9, kind=int)) if labelled else data, mirror=True, shift=4)(n, random)


def eyes(images):
    return [images.new_zeros(len(images), n, 16 >> i, 16 >> i) for i, n in enumerate(colorizer.STAGES.values())]


BINS = torch.rand(5, 2), torch.ones(5)
SHAPE_PAIRS = datasets.shape_pairs(EVERY_VIEW, 16, partial(sprites.factors, hues=8))
COLORED_PAIRS = datasets.shape_pairs((pairs.crop,), 16, colors=True)
SHAPES = datasets.shape_images(32)
PAIRS = datasets.shape_pairs((), 16)


def measured_pairs(n, random):
    both = PAIRS(n, random)
    return both, pairs.measured_color(both[:, 0])


small_embedder = partial(embedder.Embedder, 8, (4, 8))
contrast = embedder.contrastive_objective
RECIPES = {  # a model, an objective, what makes a batch
    "colours": (color_autoencoder.ColorAutoencoder, losses.reconstruction, datasets.colors),
    "colour triplets": (color_autoencoder.ColorAutoencoder, losses.reconstruction_and_triplet, datasets.color_triplets),
    "deep colours": (lambda: color_autoencoder.ColorAutoencoder(3, (8, 8)), losses.reconstruction, datasets.colors),
    "photos": (photos.small, losses.reconstruction, many_photos),
    "strided photos": (lambda: photos.small(strided=True, extra=1), losses.reconstruction, many_photos),
    "residual photos": (lambda: photos.Residual(4, width=4), losses.reconstruction, many_photos),
    "blockwise photos": (lambda: photos.Blockwise(4, 8, width=4), losses.reconstruction, many_photos),
    "shapes, convex": (shape_model, convex.sparse_reconstruction_objective(), SHAPES),
    "shapes, painted": (
        lambda: shape_model(conv.shapes_decoder), losses.reconstruction, lambda n, random: on_card(n, 3, 32, 32)
    ),
    "InfoNCE": (small_embedder, contrast(losses.info_nce), SHAPE_PAIRS),
    "soft InfoNCE": (small_embedder, contrast(losses.soft_info_nce), COLORED_PAIRS),
    "Rank-N-Contrast": (small_embedder, contrast(losses.rank_n_contrast), measured_pairs),
    "triplet": (small_embedder, contrast(losses.in_batch_triplet), PAIRS),
    "triplet, hard": (small_embedder, contrast(partial(losses.in_batch_triplet, hard=True)), PAIRS),
    "colorizer, base": (colorizer.base, colorizer.regression, many_photos),
    "colorizer, custom": (colorizer.custom, colorizer.regression, many_photos),
    "guess": (lambda: colorizer.Guess(four_greys=True, width=4), colorizer.regression, many_photos),
    "guess, knowing": (
        lambda: colorizer.Guess(classes=3, width=4), colorizer.conditional_regression,
        partial(many_photos, labelled=True),
    ),
    "guess, seeing": (
        lambda: colorizer.Guess(width=4, feature_extractor=eyes, dropout=0.3), colorizer.regression, many_photos
    ),
    "odds": (lambda: colorizer.Odds(*BINS, width=4, feature_extractor=eyes), colorizer.classification, many_photos),
    "VAE, bernoulli": (digit_vae, vae.elbo_objective(losses.bernoulli), digits),
    "VAE, continuous": (digit_vae, vae.elbo_objective(losses.continuous_bernoulli, 2.0, 0.1), digits),
    "VAE, fixed sigma": (digit_vae, vae.elbo_objective(partial(losses.gaussian, log_sigma=-1.5)), digits),
    "VAE, learnt sigma": (Sigma, of_sigma, digits),
    "VAE, deep": (
        lambda: digit_vae(conv.deep_encoder, conv.deep_decoder), vae.elbo_objective(losses.bernoulli), digits
    ),
    "digits": (
        lambda: Autoencoder(dense.encoder((1, 28, 28), [8], 2), dense.decoder(2, [8], (1, 28, 28))),
        losses.reconstruction, digits,
    ),
} | {
    f"palette, {way}": (partial(picture, way), excites, lambda n, random: on_card(n, 5)) for way in palette.RELAXATIONS
} | {
    "palette, to a photo": (picture, lambda image, batch: {"loss": to_lab(image)}, lambda n, random: on_card(n)),
}  # fmt: skip
# In forward mode: the backward pass, `torch.func.grad` included, wants a real card's context. One of each kind, but
# where torch has no such derivatives: of `cdist` (triplets), of `grid_sample` (views), of our log-partition.
DERIVED = (
    "colour triplets", "deep colours", "photos", "residual photos", "blockwise photos", "shapes, convex", "InfoNCE",
    "colorizer, custom", "guess, seeing", "guess, knowing", "odds", "VAE, bernoulli", "VAE, learnt sigma", "digits",
    "palette, to a photo",
)  # fmt: skip


def on_a_card(make):
    """A model on the card, as `.to` would put it there."""
    model = make()
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    moved = tensor.detach().to("cuda")
                    tensors[name] = nn.Parameter(moved) if isinstance(tensor, nn.Parameter) else moved
    return model.train()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_step_runs_on_a_card_and_waits_for_nothing(recipe):
    make, objective, sample = RECIPES[recipe]
    with unchecked(), card.put_in() as a_card:
        model, random = on_a_card(make), generator()
        for _ in range(2):
            a_card.waits.clear()  # what the first step waits for are constants, which stay
            terms = objective(model, sample(8, random))
        assert not a_card.waits
        assert {term.device for term in terms.values()} == {a_card.device}


@pytest.mark.parametrize("recipe", DERIVED)
def test_derivatives_are_taken_on_a_card(recipe):
    make, objective, sample = RECIPES[recipe]
    with unchecked(), card.put_in() as a_card:
        model = on_a_card(make).eval()
        bound = _Bound(model, objective)
        batch, weights = sample(8, generator()), dict(bound.named_parameters())

        def loss(weights):
            return torch.func.functional_call(bound, weights, (batch,))["loss"]

        assert torch.func.jvp(loss, (weights,), (weights,))[1].device == a_card.device


class _Bound(nn.Module):
    def __init__(self, model, objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch):
        return self.objective(self.model, batch)


def test_tensors_on_the_cpu_come_to_the_card_batch_by_batch():
    with card.put_in() as a_card:
        data = (torch.zeros(9, 3, dtype=torch.uint8), torch.zeros(9).long())
        for _, _, _, (images, labels) in batches.batches(data, 9, 4, 0, a_card.device):
            assert images.device == labels.device == a_card.device
            assert images.is_floating_point()
        for _, _, _, (images, labels) in batches.batches([[it[:4] for it in data]], 1, 4, 0, a_card.device):
            assert images.device == labels.device == a_card.device


def test_an_ensemble_trains_on_a_card():
    with unchecked(), card.put_in() as a_card:
        models = on_a_card(partial(Ensemble, color_autoencoder.ColorAutoencoder, range(3)))
        a_card.waits.clear()
        batch = models.sample(datasets.color_triplets)(4, generator())
        terms = models.objective(losses.reconstruction_and_triplet)(models, batch)
        assert terms["loss"].shape == (3,)
        assert terms["loss"].device == a_card.device
        assert not a_card.waits


def test_neurons_answer_on_a_card():
    torch.manual_seed(0)
    with card.put_in() as a_card:
        body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        classifier = on_a_card(lambda: excitation.Classifier(body, ["red", "green", "blue", "white"]))
        images = on_card(2, 3, 9, 8)
        for answer in (
            excitation.logit(classifier, "green"),
            excitation.channel(classifier, "0", 2),
            excitation.neuron(classifier, "1", 0),
            excitation.direction(classifier, "0", on_card(4)),
            excitation.style(classifier, ["0", "1"], on_card(3, 9, 8)),
        ):
            assert answer(images).device == a_card.device


# Helpers of the notebooks


def known_shapes(n=40):
    return sprites.factors(n, generator())


def test_scores_of_embeddings():
    world = card.helpers("08", "labels", "score", HUES=8)
    with card.put_in():
        assert world["score"](on_card(40, 4), known_shapes())["shape_knn5"] <= 1


def test_palettes_are_shown_and_judged():
    world = card.helpers("09", "shares", "ranks", "judge", "quantised", SIZE=400, SUBJECT="red")
    with card.put_in():
        body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        image = on_a_card(lambda: palette.PaletteImage(
            palette.Pixels(3, 400, 400, torch.Generator()), palette.Palette(3, torch.Generator())
        ))  # fmt: skip
        world["NETWORK"] = on_a_card(lambda: excitation.Classifier(body, ["red", "green", "blue"]))
        world["STRANGERS"] = [world["NETWORK"]]
        assert world["shares"](image).ndim == 3
        world["judge"](image.relaxed(), image.strict(), image.labels())
        picture = on_card(3, 8, 9)
        assert world["quantised"](picture, 2)[0].device == picture.device


def test_codes_of_shapes_are_probed():
    with card.put_in():
        test = SimpleNamespace(factors=known_shapes(), images=on_card(40, 3, 32, 32, kind=bytes))
        world = card.helpers("07", "targets", "probe", "walk", TEST=test, STEPS=3)
        assert len(world["probe"](on_card(40, 4))) == 12
        model = on_a_card(shape_model).eval()
        rebuilt = metrics.batched(model, test.images, rows=100)
        assert rebuilt.device == world["walk"](on_card(3, 4)).device


def test_colours_of_photos_are_scored():
    with card.put_in() as a_card:
        test = SimpleNamespace(images=on_card(6, 3, 32, 32, kind=bytes))
        world = card.helpers(
            "06", "colored", "annealed", "scores", "patches", "affine", TEST=test, TEMPERATURES=[0.1, 1.0]
        )
        guess = world["colored"](on_a_card(lambda: colorizer.Guess(width=4)).eval())
        odds = on_a_card(lambda: colorizer.Odds(*BINS, width=4)).eval()
        assert set(world["annealed"](odds, test.images)) == {0.1, 1.0}
        assert guess.device == a_card.device
        assert world["scores"](guess)["psnr"] > 0
        assert world["affine"](world["patches"](test.images)[0]).device == a_card.device


def test_pictures_come_near_to_photos():
    world = card.helpers("10", "lab", "off", "kmeans", "expected", "mixed", COLORS=3)
    with card.put_in() as a_card:
        image, photo = on_a_card(picture), on_card(3, 12, 16)
        assert world["off"](image.strict(), photo) > 0
        assert {part.device for part in world["kmeans"](photo, 0)} == {a_card.device}
        assert world["expected"](image, photo).device == world["mixed"](image, photo).device == a_card.device


def test_colour_planes_are_described():
    with card.put_in():
        world = card.helpers(
            "01", "error", "pictures", "polar", "describe", "lightness", DEVICE="cuda", TEST=on_card(50, 3),
            GREY=on_card(1, 3), hsl=on_card(50, 3).cpu(), DIAGONALS=torch.rand(4, 3),
        )  # fmt: skip
        model = on_a_card(color_autoencoder.ColorAutoencoder)
        assert set(world["describe"](model)) >= {"hue", "lightness", "grey"}


def test_digits_are_rebuilt_and_estimated():
    with card.put_in():
        images = on_card(30, 1, 28, 28, kind=bytes)
        autoencoder, cloudy = on_a_card(RECIPES["digits"][0]), on_a_card(digit_vae)
        assert len(metrics.batched(autoencoder, images)) == 30
        objective = vae.elbo_objective(losses.bernoulli)
        assert card.helpers("04", "estimate")["estimate"](cloudy, objective, images, 2)["kl"] > 0


# Which device a run takes


@pytest.fixture
def machine(monkeypatch):
    """A machine with an accelerator of a kind."""

    def has(kind, **environment):
        found = torch.device(kind) if kind else None
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: found)
        monkeypatch.setattr(torch.accelerator, "set_device_index", lambda index: chosen.append(index))
        monkeypatch.setattr(torch, "empty", lambda *_, device: torch.zeros(1))
        for name in ("CHROMAE_DEVICE", "LOCAL_RANK"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return settings.device(), chosen

    chosen = []
    return has


@pytest.mark.parametrize(("kind", "expected"), [(None, "cpu"), ("mps", "cpu"), ("cuda", "cuda"), ("xpu", "xpu")])
def test_apples_cards_are_taken_only_if_asked_for(machine, kind, expected):
    assert machine(kind)[0] == torch.device(expected)
    assert machine("mps", CHROMAE_DEVICE="mps")[0] == torch.device("mps")


def test_every_process_takes_its_own_card(machine):
    assert machine("cuda", LOCAL_RANK="1") == (torch.device("cuda", 1), [1])
    assert machine("cuda", LOCAL_RANK="2", CHROMAE_DEVICE="cuda") == (torch.device("cuda", 2), [1, 2])
    assert machine("cuda", LOCAL_RANK="2", CHROMAE_DEVICE="cuda:0") == (torch.device("cuda", 0), [1, 2])
    assert machine("cuda", LOCAL_RANK="2", CHROMAE_DEVICE="cpu") == (torch.device("cpu"), [1, 2])
