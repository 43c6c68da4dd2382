"""The explorer in a notebook: Python and the page see the same state, and a picture stands where no widget can run."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from unittest import mock

import imageio.v3 as iio
import nbformat
import numpy as np
import pytest
import torch
from browser import Watched, chromium
from conftest import ROOT, forked_kernels
from nbconvert.exporters import HTMLExporter
from PIL import Image

from chromae import explorer
from chromae.explorer import still
from chromae.models import dense
from chromae.models.autoencoder import Autoencoder
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.models.vae import VAE
from chromae.running import cells

pytest.importorskip("anywidget")
SHAPE = (1, 8, 8)


def model():
    torch.manual_seed(0)
    made = Autoencoder(dense.encoder(SHAPE, [16], 2), dense.decoder(2, [16], SHAPE))
    with torch.no_grad():
        for layer in made.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(3)  # so that codes lie apart
    return made


IMAGES, LABELS = torch.rand(60, *SHAPE, generator=torch.Generator().manual_seed(1)), torch.arange(60) % 3


@pytest.fixture
def widget():
    return explorer.explore(model(), IMAGES, LABELS, title="Noise")


def test_image_is_what_the_model_makes_of_z(widget):
    widget.z = [0.5, -1.0]
    with torch.no_grad():
        expected = model().decode(torch.tensor([[0.5, -1.0]]))[0].movedim(0, -1)
    assert np.abs(widget.image - 255 * expected.numpy()).max() <= 0.5 + 1e-3


def test_image_can_be_watched_and_set(widget):
    """Set to a picture, z is that picture's code, and the image what the model makes of it."""
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), names=["image"])
    picture = (255 * IMAGES[4]).byte().movedim(0, -1).numpy()
    widget.image = picture
    with torch.no_grad():
        code = model().encode(torch.from_numpy(picture).movedim(-1, 0)[None] / 255)
    assert widget.z == pytest.approx(code[0].tolist(), abs=1e-5)
    with torch.no_grad():
        expected = 255 * model().decode(torch.tensor([widget.z]))[0].movedim(0, -1).numpy()
    assert all(np.abs(image - expected).max() <= 0.5 + 1e-3 for image in [widget.image, *seen])
    assert len(seen) == 1
    widget.z = [0.5, -1.0]
    assert len(seen) == 2
    for far in (-1, 256):
        with pytest.raises(ValueError, match=rf"^image runs from {far} to {far}, expected integers from 0 to 255$"):
            widget.image = np.full_like(widget.image, far, dtype=np.int64)
    with pytest.raises(ValueError, match=r"^image has the shape \(2, 2\), expected \(\d+, \d+, 1\), from 0 to 255$"):
        widget.image = [[1, 2], [3, 4]]
    assert widget.z == [0.5, -1.0]


def test_picked_follows_z_and_z_follows_picked(widget):
    with torch.no_grad():
        codes = model().encode(IMAGES)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), names=["picked"])
    widget.z = codes[7].tolist()
    assert widget.picked == 7
    widget.picked = 21
    assert widget.z == pytest.approx(codes[21].tolist())
    assert seen == [7, 21]
    with pytest.raises(ValueError, match=r"^picked is 60, expected the number of an image, 0 to 59$"):
        widget.picked = 60
    assert widget.picked == 21


def test_hidden_classes_are_not_picked(widget):
    with torch.no_grad():
        near = (model().encode(IMAGES) - torch.tensor(widget.z)).norm(dim=1)
    widget.hide = [0, 2]
    assert widget.picked == near.where(LABELS == 1, torch.inf).argmin()
    widget.hide = [0, 1, 2]
    assert widget.picked == -1
    widget.hide = []
    assert widget.picked == near.argmin()


@pytest.mark.parametrize("z", [[1.0], [0.0, float("nan")], [1.0, 2.0, 3.0]])
def test_z_is_as_many_finite_numbers_as_the_model_has(widget, z):
    before = widget.z
    with pytest.raises(ValueError, match=rf"^z holds {len(z)} numbers, expected 2, all of them finite$"):
        widget.z = z
    assert widget.z == before


def test_a_model_with_other_codes_can_take_over():
    """As the page sends it: first the model, then a code that fits it."""
    torch.manual_seed(0)
    larger = Autoencoder(dense.encoder(SHAPE, [16], 5), dense.decoder(5, [16], SHAPE))
    widget = explorer.explore([("two", model()), ("five", larger)], IMAGES)
    widget.model, widget.z = 1, [0.1, 0.2, 0.3, 0.4, 0.5]
    with torch.no_grad():
        expected = larger.decode(torch.tensor([widget.z]))[0].movedim(0, -1)
    assert np.abs(widget.image - 255 * expected.numpy()).max() <= 0.5 + 1e-3
    widget.model = 0
    assert widget.image.shape == (8, 8, 1)


def test_the_model_stays_as_it_was():
    """A model in training stays so, and codes are those of the page: in eval mode."""
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2), torch.nn.BatchNorm1d(2))
    one = Autoencoder(encoder, dense.decoder(2, [16], SHAPE)).train()
    before = {key: it.clone() for key, it in one.state_dict().items()}
    widget = explorer.explore(one, IMAGES)
    widget.picked = 9
    assert one.training
    assert all(torch.equal(it, before[key]) for key, it in one.state_dict().items())
    with torch.no_grad():
        assert widget.z == pytest.approx(one.eval().encode(IMAGES)[9].tolist())


def test_three_images_of_which_two_are_one_still_have_a_plane():
    three = torch.tensor([[1.0, 2, 3], [1, 2, 3], [1, 2, 5]])
    origin, axes = still.plane({"size": 3}, "three", [0, 1], three)
    assert origin.tolist() == [1, 2, 3]
    assert axes.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_path_is_filmed_at_an_even_speed(widget, tmp_path):
    with pytest.raises(ValueError, match=r"^path has 0 points, expected two or more: draw one, or set widget.path$"):
        widget.film(tmp_path / "walk.mp4")
    widget.path = [-3.0, 0.0, 0.0, 2.0, 3.0, 0.0]
    film = widget.film(tmp_path / "walk.mp4", count=12)
    shown = iio.imread(film)[:12].astype(float)
    assert shown.shape[1:] == (320, 320, 3)
    steps = np.sqrt(np.square(np.diff(shown, axis=0)).mean((1, 2, 3)))
    assert steps.max() < 3 * steps.min() + 1


def test_a_path_on_the_local_plane_is_filmed(tmp_path):
    torch.manual_seed(0)
    larger = Autoencoder(dense.encoder(SHAPE, [16], 5), dense.decoder(5, [16], SHAPE))
    widget = explorer.explore(larger, IMAGES, state={"axes": "local", "at": [0.1] * 5, "path": [-4.0, 0.0, 4.0, 0.0]})
    shown = iio.imread(widget.film(tmp_path / "walk.mp4", count=8))[:8].astype(float)
    assert np.abs(shown[0] - shown[-1]).max() > 10


def test_a_film_lies_beside_its_own_frames_and_what_was_there_stays(widget, tmp_path):
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "0001.png").write_bytes(b"mine")
    widget.path = [-3.0, 0.0, 3.0, 0.0]
    for name in ("walk.mp4", "noend"):
        film = widget.film(tmp_path / name, count=3)
        assert film.stat().st_size > 1000
        assert len(list((tmp_path / f"{name}.frames").glob("*.png"))) == 3
    assert (tmp_path / "walk" / "0001.png").read_bytes() == b"mine"


class Shown(VAE):
    """A VAE that decodes to pictures itself."""

    def decode(self, z):
        return torch.sigmoid(super().decode(z))


def test_a_vae_with_a_decode_of_its_own_is_shown_as_it_decodes():
    torch.manual_seed(0)
    vae = Shown(dense.encoder(SHAPE, [16], 4), dense.decoder(2, [16], SHAPE))
    widget = explorer.explore(vae, IMAGES)
    widget.z = [0.5, -1.0]
    with torch.no_grad():
        expected = vae.decode(torch.tensor([[0.5, -1.0]]))[0].movedim(0, -1)
    assert np.abs(widget.image - 255 * expected.numpy()).max() <= 0.5 + 1e-3


def test_epochs_of_a_named_model_are_those_shown():
    torch.manual_seed(0)
    early, late = ColorAutoencoder(), ColorAutoencoder()
    widget = explorer.explore([("one", late)], torch.rand(9, 3), epochs=[early, late])
    for widget.epoch, network in ((0, early), (1, late)):
        with torch.no_grad():
            expected = 255 * network.decode(torch.tensor([widget.z]))[0]
        assert np.abs(widget.image.ravel() - expected.numpy()).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("model", 7, "model is 7, expected 0 to 0"),
        ("epoch", 1, "epoch is 1, expected 0 to 0"),
        ("dims", [0, 5], r"dims is \[0, 5\], expected two different of 0 to 1"),
        ("three", [0, 1, 60], r"three is \[0, 1, 60\], expected three of 0 to 59"),
        ("image", np.zeros((8, 8, 1)), "image holds float64, expected integers from 0 to 255"),
    ],
)
def test_what_is_not_there_cannot_be_chosen(widget, name, value, said):
    before = getattr(widget, name)
    with pytest.raises(ValueError, match=f"^{said}$"):
        setattr(widget, name, value)
    assert getattr(widget, name) is before or getattr(widget, name) == before


def test_two_models_epochs_and_colours():
    colors = torch.rand(40, 3, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    epochs = torch.nn.ModuleList(ColorAutoencoder() for _ in range(3))
    widget = explorer.explore([("a", epochs), ("b", ColorAutoencoder())], colors)
    images = []
    for widget.model, widget.epoch in ((0, 0), (0, 2), (1, 2)):
        images.append(widget.image.tolist())
        assert widget.image.shape == (1, 1, 3)
    assert len({str(image) for image in images}) == 3


def picture(bundle):
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "text/html" not in data
    return data["image/png"]


def test_a_picture_stands_where_no_widget_can_run(widget):
    for one in (widget, explorer.color_lab()):
        data = base64.b64decode(picture(one._repr_mimebundle_()))
        assert len(data) < 150_000
        with Image.open(io.BytesIO(data)) as image:
            assert image.width > 200
            assert len(image.convert("RGB").getcolors(256)) > 10


def test_bad_settings_are_said():
    with pytest.raises(
        ValueError, match=r"^settings hold 'speed', expected some of slip, loss, lr, batch, hidden, seed"
    ):
        explorer.color_lab(speed="1")
    for bad, said in (({"slip": "epochs"}, "slip is 'epochs', expected one of 'step', 'epoch'"),
                      ({"batch": 64}, "batch is 64, expected one of '16', '64', '256', '1000'"),
                      ({"turn": "0.3"}, "turn is '0.3', expected a finite number"),
                      ({"turn": float("nan")}, "turn is nan, expected a finite number")):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{said}$"):
            explorer.color_lab(**bad)
    made = explorer.color_lab(slip="epoch", turn=0)
    made.turn = 0.3
    assert (made.slip, made.turn) == ("epoch", 0.3)
    with pytest.raises(ValueError, match=r"^batch is '0', expected one of '16', '64'"):
        made.batch = "0"  # of which the page would never see the end
    assert made.batch == "64"


def test_without_anywidget_a_sentence_says_what_to_install(monkeypatch):
    explorer.widget._kinds.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r"^a widget needs anywidget: `pip install anywidget`, or use"):
        explorer.color_lab()
    explorer.widget._kinds.cache_clear()


CELL = """
import sys
sys.path.insert(0, {tests!r})
from test_widget import IMAGES, LABELS, explorer, model
w = explorer.explore(model(), IMAGES, LABELS, title="Noise")
w
"""
NOTE = 'w.observe(lambda change: open("z.txt", "w").write(str(change["new"])), names=["z"])'
MOVE = "w.z = [1.25, -0.5]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    sources = [CELL.format(tests=str(ROOT / "tests")), NOTE, MOVE]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(it.strip()) for it in sources])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "book.ipynb")
    with mock.patch.dict(os.environ, forked_kernels(folder / "jupyter", ROOT / "src")):
        yield folder


def test_an_executed_notebook_carries_the_picture_and_no_state(folder):
    """Executed and stripped as `make notebooks` does it, then rendered as a page."""
    name = shutil.copyfile(folder / "book.ipynb", folder / "executed.ipynb")
    cells.run(name, cells.Place(name.stem, 1, 1))
    book = nbformat.read(name, as_version=4)
    nbformat.validate(book)
    assert "widgets" not in book.metadata
    picture(book.cells[0].outputs[-1].data)
    html, _ = HTMLExporter().from_filename(str(name))
    assert 'src="data:image/png;base64,' in html
    assert "html-manager" not in html


@pytest.fixture(scope="module")
def jupyter(folder):
    """The address of a JupyterLab of its own, which asks nobody for a token."""
    pytest.importorskip("jupyterlab")
    places = {
        key: str(folder / key) for key in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")
    }
    options = ["--ServerApp.token=", "--ServerApp.password=", "--no-browser", "--port=0", "--allow-root"]
    options += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder}"],
        env=os.environ | places, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(300):
            for about in (folder / "JUPYTER_RUNTIME_DIR").glob("jpserver-*.json"):
                url = json.loads(about.read_text())["url"]
                urllib.request.urlopen(f"{url}api", timeout=5)
                yield url
                return
            time.sleep(0.1)
        pytest.fail("JupyterLab did not start within 30 seconds")
    finally:
        process.terminate()
        process.wait(20)


def test_in_jupyterlab_a_click_sets_z_and_setting_z_moves_the_dot(jupyter, folder):
    with chromium() as browser:
        lab = Watched(browser).page
        lab.goto(f"{jupyter}lab/tree/book.ipynb")
        cell = lab.locator(".jp-CodeCell .jp-InputArea-editor")
        lab.get_by_text("Python 3 | Idle").wait_for(timeout=30_000)  # before that, a cell is passed over
        cell.first.click()
        for _ in range(2):  # the widget's cell, then the one that watches it
            lab.keyboard.press("Shift+Enter")
        box = lab.locator(".chromae.explorer canvas.map")
        box.wait_for(timeout=30_000)
        box.scroll_into_view_if_needed()
        lab.wait_for_timeout(500)
        box.click(position={"x": 60, "y": 60})
        for _ in range(100):
            if (folder / "z.txt").exists() and (folder / "z.txt").read_text():
                break
            lab.wait_for_timeout(100)
        z = json.loads((folder / "z.txt").read_text())
        assert len(z) == 2
        background = lab.get_by_label("Background")
        before = background.input_value()
        background.focus()
        lab.keyboard.press("ArrowDown")  # which in a notebook goes to the next cell
        assert background.input_value() != before
        lab.locator(".jp-CodeCell").nth(2).locator(".jp-InputArea-editor").click()
        lab.keyboard.press("Shift+Enter")
        lab.locator(".chromae.explorer output.says", has_text="z = (1.25, −0.50)").wait_for(timeout=10_000)
