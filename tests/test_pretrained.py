"""Published networks in one line: what the notebooks load, from files that call nothing but makers of this package."""

import ast
import json
import os
import re
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from conftest import noticed_flips
from safetensors.torch import save_file
from torch import nn

import chromae
from chromae import excitation, files, losses, settings
from chromae.models import colorizer, conv, convex, dense, photos, strokes, vae
from chromae.models.autoencoder import Autoencoder, clamp
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.models.embedder import Embedder
from chromae.records import recipes, weights

ALL = sorted((settings.ROOT / "results" / "weights").glob("*.safetensors"))
FILES = [path for path in ALL if weights._network(path)]
# Parts, and what no maker of the package makes: their notebooks alone read them.
NAMELESS = (
    r"shapes_conv-he_(en|de)coder|photos_spaced_16|04_digits_vae_beta=[\d.]+_hidden=100_latent=2_likelihood=bernoulli"
)


def run(book: str, *names: str, **known) -> SimpleNamespace:
    """What a notebook defines under these names, run as it is committed."""
    notebook = json.loads((settings.ROOT / "notebooks" / f"{book}.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    known |= {"torch": torch, "partial": partial, "DEVICE": "cpu"}
    for node in (node for source in sources for node in ast.parse(source).body):
        targets = [getattr(target, "id", None) for target in getattr(node, "targets", ())]
        if {getattr(node, "name", None), *targets} & set(names):
            exec(compile(ast.Module([node], []), book, "exec"), known)
    return SimpleNamespace(**{name: known[name] for name in names})


def of_digits(stem: str) -> tuple[nn.Module, torch.Tensor]:
    made = run("04_digits_vae", "network", vae=vae, dense=dense, SHAPE=(1, 28, 28))
    hidden, latent = re.search(r"hidden=([\dx]+)_latent=(\d+)", stem).groups()
    return made.network([int(width) for width in hidden.split("x")], int(latent)), torch.rand(4, 1, 28, 28)


def of_color(stem: str) -> tuple[nn.Module, torch.Tensor]:
    return run("02_color_questions", "Cloud", ColorAutoencoder=ColorAutoencoder).Cloud(), torch.rand(50, 3)


def of_fold(stem: str) -> tuple[nn.Module, torch.Tensor]:
    return ColorAutoencoder(hidden=[128] * 3), torch.rand(50, 3)  # LONGEST in notebook 02


def of_photos(stem: str) -> tuple[nn.Module, torch.Tensor]:
    images = (255 * torch.rand(20, 3, 32, 32)).byte()
    made = run("05_photos_autoencoder", "spaced", "NETWORKS", photos=photos, TRAIN=images)
    _, network, size, *rest = stem.split("_")
    options = {"latent": int(size)}
    for key, value in (it.split("=") for it in rest if "=" in it):  # as in "channels=16x24", "strided=True"
        options[key] = [*map(int, value.split("x"))] if "x" in value else {"True": True}.get(value) or int(value)
    return made.NETWORKS[network](**options), torch.rand(4, 3, 32, 32)


def of_colorizers(stem: str) -> tuple[nn.Module, torch.Tensor]:
    """The colours of the odds take ten seconds to count: those that the file names stand in, on the notebook's grid."""
    given = weights._network(FILES[0].with_name("colorizer_odds_0.safetensors"))["with"]
    bins, rarity = (torch.tensor(given[key]["tensor"]) for key in ("bins", "rarity"))
    assert torch.equal(bins, 0.5 + 0.05 * ((bins - 0.5) / 0.05).round())
    counted = SimpleNamespace(**vars(colorizer) | {"chroma_bins": lambda images, step: (bins, rarity)})
    known = {"excitation": excitation, "colorizer": counted, "TRAIN": SimpleNamespace(images=torch.zeros(1))}
    made = run("06_colorization", "CLASSIFIER", "EYES", "BINS", "custom_y", "PUBLISHED", "NETWORKS", **known)
    return made.NETWORKS[stem.split("_")[1]](), torch.rand(2, 1, 32, 32)


def of_shapes(stem: str) -> tuple[nn.Module, torch.Tensor]:
    known = {"conv": conv, "convex": convex, "dense": dense, "Autoencoder": Autoencoder, "clamp": clamp}
    made = run("07_shapes_autoencoder", "NETWORKS", "fold", LATENT=128, SIZE=128, **known)
    model = made.NETWORKS["convex"]()
    return made.fold(model) if "again" in stem else model, torch.rand(2, 3, 128, 128)


def of_epochs(stem: str) -> tuple[nn.Module, torch.Tensor]:
    return nn.ModuleList(ColorAutoencoder() for _ in range(120)), torch.rand(50, 3)


def of_small_digits(stem: str) -> tuple[nn.Module, torch.Tensor]:
    x = torch.rand(4, 1, 28, 28)
    if "vae" in stem:
        return vae.VAE(conv.deep_encoder(4), conv.deep_decoder(2)), x
    made = run("03_digits_autoencoder", "ARCHITECTURES", conv=conv, dense=dense, SHAPE=(1, 28, 28))
    return Autoencoder(*(make(2) for make in made.ARCHITECTURES["deep"])), x


def of_embedders(stem: str) -> tuple[nn.Module, torch.Tensor]:
    made = run("08_shapes_contrastive", "embedder", Embedder=Embedder)
    return made.embedder(), torch.rand(2, 3, 128, 128)


def of_strokes(stem: str) -> tuple[nn.Module, None]:
    """A drawing takes no input."""
    given = weights._network(FILES[0].with_name(f"{stem}.safetensors"))["with"]
    pens = torch.tensor(given["pens"]["tensor"])
    return strokes.Strokes(500, given["height"], given["width"], pens, pen_width=2.5), None


KINDS = {
    "04_digits": of_digits, "color_loss": of_color, "color_fold": of_fold, "photos": of_photos,
    "colorizer": of_colorizers, "shapes_convex": of_shapes, "color_epochs": of_epochs, "digits_": of_small_digits,
    "shapes_by": of_embedders, "strokes": of_strokes,
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_published_network_is_that_of_its_notebook_bit_for_bit(path):
    (kind,) = (kind for kind in KINDS if path.stem.startswith(kind))
    theirs, x = KINDS[kind](path.stem)
    weights.load(theirs.network if kind == "colorizer" else theirs, path)
    ours = weights.pretrained(path.stem)
    assert not [module for module in ours.modules() if module.training]
    expected, found = theirs.eval().state_dict(), ours.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    if isinstance(ours, nn.ModuleList):
        ours, theirs = ours[-1], theirs[-1]
    if x is None:
        assert torch.equal(ours.relaxed(), theirs.relaxed())
        return
    with torch.no_grad():
        ours, theirs = (model.to(memory_format=torch.channels_last) for model in (ours, theirs))  # else other roundings
        assert torch.equal(ours(x), theirs(x))
        if hasattr(theirs, "encode"):
            assert torch.equal(ours.encode(x), theirs.encode(x))


def test_all_are_listed_with_a_line_of_what_they_are():
    listed = weights.names()
    assert len(listed) == len(FILES)
    assert not [path.stem for path in ALL if path not in FILES and not re.fullmatch(NAMELESS, path.stem)]
    assert all(re.fullmatch(r"\S+", name) and re.fullmatch(r"\S[^\n]{10,99}", line) for name, line in listed.items())


def test_a_name_of_its_own_stands_for_a_file():
    by_name = weights.pretrained("digits_vae_20")
    by_file = weights.pretrained("04_digits_vae_beta=1.0_hidden=500x500_latent=20_likelihood=bernoulli_dequantised")
    assert torch.equal(by_name.decode(torch.ones(1, 20)), by_file.decode(torch.ones(1, 20)))
    assert by_name.decode(torch.ones(3, 20)).shape == (3, 1, 28, 28)


def test_random_numbers_go_on_as_before():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    weights.pretrained("digits_vae_20")
    assert torch.equal(torch.rand(3), expected)


def own() -> tuple[nn.Module, partial]:
    encoder = partial(dense.encoder, (1, 2, 3), [5], 4, nn.SiLU)
    made = partial(Autoencoder, encoder, partial(dense.decoder, 4, [5], (1, 2, 3)), output=clamp)
    return Autoencoder(dense.encoder((1, 2, 3), [5], 4, nn.SiLU), dense.decoder(4, [5], (1, 2, 3)), clamp), made


def test_a_network_of_ones_own_comes_back_by_its_path(tmp_path):
    model, made = own()
    path = weights.save(model, tmp_path / "mine.safetensors", made)
    again, x = weights.pretrained(str(path)), torch.rand(2, 1, 2, 3)
    assert torch.equal(again(x), weights.load(model, path)(x))
    assert again.output is clamp


def test_a_part_of_a_network_and_tensors_that_it_is_made_of(tmp_path):
    bins, rarity = torch.rand(3, 2) / 3, torch.rand(3)
    model = colorizer.Odds(bins, rarity, 4)
    path = weights.save(
        model.network, tmp_path / "a.safetensors", partial(colorizer.Odds, bins, rarity, 4), part="network"
    )
    again = weights.pretrained(path)
    assert torch.equal(again.bins, bins)
    assert torch.equal(again.rarity, rarity)
    assert torch.equal(again.network.last[0].weight, model.network.last[0].weight.half().float())


def test_a_name_is_found_in_what_is_published(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    model, made = own()
    with pytest.raises(ValueError, match=r"^name is 'mine', but no weights lie in [^\n]*: a clone of the [^\n]*$"):
        weights.pretrained("mine")
    assert weights.names() == {}
    folder = tmp_path / "results" / "weights"
    weights.save(model, folder / "some_run.safetensors", made, name="mine", about="a model of mine")
    weights.save(model, folder / "unsaid.safetensors")
    (folder / "broken.safetensors").write_bytes(b"none")
    assert weights.names() == {"mine": "a model of mine"}
    assert isinstance(weights.pretrained("mine"), Autoencoder)
    with pytest.raises(ValueError, match=r"^name is 'min', expected one of weights.names\(\), such as mine$"):
        weights.pretrained("min")
    with pytest.raises(ValueError, match=r"unsaid.safetensors does not say how its network is made: [^\n]*$"):
        weights.pretrained("unsaid")
    with pytest.raises(ValueError, match=r"broken.safetensors holds no network: [^\n]*$"):
        weights.pretrained("broken")
    with pytest.raises(ValueError, match=r"^elsewhere.safetensors holds no network: [^\n]*No such file[^\n]*$"):
        weights.pretrained("elsewhere.safetensors")


DECODER = {"latent": 1, "hidden": [2], "shape": [1]}
EVIL = [
    {"call": "os.system", "with": {"command": "touch evil"}},
    {"call": "builtins.exec", "with": {"source": "open('evil', 'w')"}},
    {"call": "files.replacing", "with": {"path": "evil"}},
    {"call": "records.weights.save", "with": {}},
    {"call": "models.photos.torch.save", "with": {"obj": 1, "f": "evil"}},
    {"call": "models.photos.pairwise", "with": {}},  # what a module imports is not what it defines
    {"call": "models.colorizer.BasicBlock", "with": {"inplanes": 3, "planes": 3}},
    {"call": "models.photos.__loader__", "with": {}},
    {"call": "models...excitation.googlenet", "with": {}},
    {"call": "excitation.googlenet", "with": {}},
    {"call": "torch.nn.Linear", "with": {"in_features": 1, "out_features": 1}},
    {"call": "models.nonsense.evil", "with": {}},
    {"call": "models.dense.decoder", "with": DECODER | {"activation": {"name": "os.abort"}}},
    {"call": "models.dense.decoder", "with": DECODER | {"activation": {"name": "torch.nn.init"}}},
    {"call": "models.dense.layers", "with": {"sizes": [1, 2], "activation": {"name": "torch.nn.SiLU"}}},  # a list
    {"call": "models.photos.Residual", "with": {"latent": {"eval": "1"}}},
    {"call": "models.photos.Residual", "with": {"latent": 4, "more": 5}},
    {"call": "models.photos.Residual", "with": {"latent": -4}},
    {"call": "models.photos.Residual"},
    {"call": ["models.photos.Residual"], "with": {}},
    {"call": "models.photos.Residual", "with": {"latent": 4}, "part": "nowhere"},
    [], 7, None,
]  # fmt: skip


@pytest.mark.parametrize("network", EVIL, ids=lambda it: str(it)[:60])
def test_a_file_runs_no_other_code(tmp_path, monkeypatch, network):
    """It is refused in one sentence, whole as it is and with a right checksum."""
    monkeypatch.chdir(tmp_path)
    text = json.dumps(network)
    header = {"network": text, "network_sha256": files.digest(text)}
    save_file({"a": torch.zeros(1)}, "a.safetensors", header)
    with pytest.raises(ValueError, match=r"^a.safetensors [^\n]*$"):
        weights.pretrained("a.safetensors")
    assert os.listdir() == ["a.safetensors"]


class Mine(nn.Module):
    pass


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (partial(Mine), r"recipe names [\w.]*Mine, expected what chromae.models defines"),
        (partial(nn.Linear, 1, 1), "recipe names torch.nn.Linear, expected"),
        (partial(os.system, "ls"), r"recipe names \w+.system, expected"),
        (partial(photos.Residual, output=4), "made calls models.photos.Residual with other arguments than it has: "),
        (partial(photos.Residual, nn.Linear(1, 1)), "made holds a Linear, expected numbers, words"),
        (partial(photos.small, output=lambda x: x), r"recipe names [\w.<>]*lambda>, expected"),
    ],
)
def test_only_what_can_be_made_again_is_written(tmp_path, made, reason):
    with pytest.raises(ValueError, match=rf"^{reason}[^\n]*$"):
        weights.save(nn.Linear(1, 1), tmp_path / "a.safetensors", made)
    assert not list(tmp_path.iterdir())


def test_a_recipe_is_plain_json():
    _, made = own()
    recipe = recipes.describe(made)
    assert recipe["call"] == "models.autoencoder.Autoencoder"
    assert recipe["with"]["encoder"]["with"]["activation"] == {"name": "torch.nn.SiLU"}
    assert json.loads(json.dumps(recipe)) == recipe
    assert recipes.describe(partial(photos.Residual, 4)) == recipes.describe(partial(photos.Residual, latent=4))


def read(path) -> nn.Module | str:
    """The network, or why there is none."""
    try:
        return weights.pretrained(path)
    except ValueError as error:
        return str(error)


def test_a_flipped_bit_in_what_a_file_says_of_its_network_is_noticed(tmp_path):
    model, made = own()
    path = weights.save(model, tmp_path / "a.safetensors", made, about="of no use")
    expected, data = weights.pretrained(path), path.read_bytes()
    x = torch.rand(2, 1, 2, 3)
    begin = data.index(b"network")
    places = range(8 * begin, 8 * (begin + 900), 53)
    assert noticed_flips(path, places, read, lambda found: torch.equal(found(x), expected(x))) > 100


def test_rooms_are_there_when_they_are_asked_for():
    assert chromae.losses.mse is losses.mse
    assert chromae.models.dense.encoder is dense.encoder
    assert {"losses", "datasets", "training", "records", "settings", "__version__"} <= set(dir(chromae))
    assert "__main__" not in chromae._ROOMS
    with pytest.raises(AttributeError, match="module 'chromae' has no attribute 'nonsense'"):
        _ = chromae.nonsense


def test_what_a_room_lacks_is_said_as_it_is(monkeypatch):
    """A missing package is no missing room."""
    monkeypatch.delattr(chromae, "latents")
    monkeypatch.setitem(sys.modules, "chromae.latents", None)
    with pytest.raises(ModuleNotFoundError, match=r"chromae\.latents halted"):
        _ = chromae.latents
