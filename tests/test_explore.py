"""The explorer in a browser: what it decodes is what torch decodes, and everything it shows can be reached and said."""

import re
from itertools import pairwise
from pathlib import Path

import browser
import numpy as np
import pytest
import torch
from torch import nn

from chromae import datasets
from chromae.explorer import page, pictures, save_html, scene, still
from chromae.explorer.blob import Blob
from chromae.models.autoencoder import Autoencoder
from chromae.models.color_autoencoder import ColorAutoencoder, epochs
from chromae.models.embedder import Embedder

SIZE = 12


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as one:
        yield one


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens an explorer of what is given; at the end nothing was asked of the network and nothing went wrong."""
    watched = []

    def open_(model, data, labels=None, fragment="", window=None, **options):
        path = save_html(model, data, labels, tmp_path / "page.html", **options)
        watched.append(browser.Watched(chromium, **(window or {})))
        found = watched[-1].open(path, fragment)
        found.set_default_timeout(4000)
        found.wait_for_selector(".map")
        settle(found)
        return found

    yield open_
    for one in watched:
        assert one.errors == []
        assert one.requests == []
        one.close()


def at_rest(found) -> str:
    """The map, once it has not changed for a second: what it shows is found and drawn in pieces."""
    pictures = [""]
    for _ in range(40):
        found.wait_for_timeout(250)
        pictures.append(found.evaluate("document.querySelector('.map').toDataURL()"))
        if len(pictures) > 5 and len(set(pictures[-5:])) == 1:
            break
    return pictures[-1]


def settle(found) -> None:
    """Two frames and the pause after which a new sentence is spoken."""
    found.wait_for_timeout(250)


def shapes(count=300, channels=3):
    made = datasets.factors(count, torch.Generator().manual_seed(0), kinds=["circle", "square", "star"])
    images = datasets.draw(made, SIZE)
    return (images if channels == 3 else images.mean(1, keepdim=True)), made.kind.long() - 1


def dense(latent=2, channels=3, seed=0) -> Autoencoder:
    """An autoencoder whose codes spread over a few units, and whose pictures differ from code to code."""
    torch.manual_seed(seed)
    pixels = channels * SIZE * SIZE
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 24), nn.SiLU(), nn.Linear(24, latent))
    back = [nn.Linear(latent, 24), nn.SiLU(), nn.Linear(24, pixels), nn.Unflatten(1, (channels, SIZE, SIZE))]
    model = Autoencoder(encoder, nn.Sequential(*back))
    with torch.no_grad():
        encoder[3].weight *= 8
        back[2].weight *= 6
    return model.eval()


def decoded(model, z) -> np.ndarray:
    with torch.no_grad():
        picture = model.decode(torch.tensor([z])).clamp(0, 1)[0]
    picture = picture if picture.ndim == 3 else picture.view(3, 1, 1)
    return picture.expand(3, -1, -1).permute(1, 2, 0).numpy() * 255


def pane(found, index, model=0) -> np.ndarray:
    """The pixels of a picture beside the map."""
    read = """([index, model]) => {
      const canvas = document.querySelectorAll(".model")[model].querySelectorAll(".pane canvas")[index];
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [canvas.height, canvas.width, Array.from(data)];
    }"""
    height, width, data = found.evaluate(read, [index, model])
    return np.array(data).reshape(height, width, 4)[..., :3]


def state(found) -> dict[str, str]:
    """The state in the address, once it is written."""
    found.wait_for_timeout(350)
    text = found.evaluate("location.hash.slice(1)")
    return dict(part.split("=", 1) for part in text.split("&") if part)


def numbers(text: str) -> list[float]:
    return [float(it) for it in text.split(",")]


def click(found, x: float, y: float, model=0) -> None:
    box = found.locator(".map").nth(model).bounding_box()
    found.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    settle(found)


def says(found, model=0) -> str:
    return found.locator(".says").nth(model).text_content()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_click_decodes_what_torch_decodes_there(opened, channels):
    images, labels = shapes(channels=channels)
    model = dense(channels=channels)
    names, inks = ["circle", "square", "star"], torch.tensor([[1.0, 0, 0], [0, 0.5, 0], [0, 0, 1]])
    found = opened(model, images, labels, classes=names, colors=inks)
    assert found.locator(".chip").first.evaluate("it => it.style.background") == "rgb(255, 0, 0)"
    before = pane(found, 0)
    click(found, 0.7, 0.2)
    z = numbers(state(found)["z"])
    assert np.abs(pane(found, 0) - decoded(model, z)).max() <= 1.5  # 1 of 255, and rounding
    assert np.abs(pane(found, 0) - before).max() > 20
    with torch.no_grad():
        codes = model.encode(images)
    distances = (codes - torch.tensor(z)).norm(dim=1)
    nearest = distances.argmin().item()
    assert np.abs(pane(found, 1) - images[nearest].expand(3, -1, -1).permute(1, 2, 0).numpy() * 255).max() <= 0.51
    assert np.abs(pane(found, 2) - decoded(model, codes[nearest].tolist())).max() <= 1.5
    name = ["circle", "square", "star"][labels[nearest]]
    assert f"looks like {name} by the nearest code; nearest real image: {name}" in says(found)
    assert float(re.search(r"distance ([\d.]+)", says(found))[1]) == pytest.approx(distances[nearest].item(), abs=0.006)


def test_hovering_shows_the_nearest_real_image_and_moves_nothing(opened):
    images, labels = shapes()
    found = opened(dense(), images, labels, classes=["circle", "square", "star"])
    box, before = found.locator(".map").bounding_box(), says(found)
    found.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    assert re.fullmatch(r"(circle|square|star), [\d.]+ away", found.locator(".hovercard").inner_text().strip())
    found.mouse.move(5, 5)
    assert not found.locator(".hovercard").is_visible()
    assert says(found) == before
    assert "z" not in state(found)


def test_the_keyboard_reaches_every_place(opened):
    images, labels = shapes()
    model = dense()
    found = opened(model, images, labels)
    ranges = found.locator(".mapbox input")
    assert found.locator(".mapbox input[tabindex='0']").count() == 1  # by Tab; touch finds both
    assert found.locator(".mapbox input[aria-hidden]").count() == 0
    low, high = (np.array([float(ranges.nth(i).get_attribute(end)) for i in range(2)]) for end in ("min", "max"))
    start = np.array(found.evaluate("[...document.querySelectorAll('.mapbox input')].map((it) => Number(it.value))"))
    ranges.nth(0).focus()
    for key in ["ArrowRight", "ArrowUp", "Shift+ArrowRight", "PageUp", "ArrowLeft"]:
        found.keyboard.press(key)
    settle(found)
    z = np.array(numbers(state(found)["z"]))
    np.testing.assert_allclose((z - start) / (high - low), [0.10, 0.11], atol=1e-4)
    assert np.abs(pane(found, 0) - decoded(model, z.tolist())).max() <= 1.5
    exposed = found.locator(".mapbox input[tabindex='0']")
    assert exposed.count() == 1
    assert exposed.get_attribute("aria-valuetext") == says(found)
    assert says(found).startswith(f"z = ({z[0]:.2f}, {z[1]:.2f})".replace("-", "−"))
    for _ in range(15):
        found.keyboard.press("End")
        found.keyboard.press("PageDown")
    settle(found)
    np.testing.assert_allclose(numbers(state(found)["z"]), [high[0], low[1]], rtol=1e-4)


def test_a_touch_moves_the_finger(opened):
    images, labels = shapes()
    model = dense()
    found = opened(model, images, labels, window={"has_touch": True, "width": 400})
    box = found.locator(".map").bounding_box()
    found.touchscreen.tap(box["x"] + 0.25 * box["width"], box["y"] + 0.3 * box["height"])
    settle(found)
    assert np.abs(pane(found, 0) - decoded(model, numbers(state(found)["z"]))).max() <= 1.5


def test_the_address_restores_the_state(opened):
    images, labels = shapes()
    model = dense()
    fragment = "#z=0.5,-0.25&ground=lattice&hide=0,2&dots=false&path=0,0,1,1"
    found = opened(model, images, labels, fragment=fragment, classes=["circle", "square", "star"])
    assert np.abs(pane(found, 0) - decoded(model, [0.5, -0.25])).max() <= 1.5
    assert found.locator("select").first.input_value() == "lattice"
    assert [it.get_attribute("aria-pressed") for it in found.locator(".class").all()] == ["false", "true", "false"]
    assert found.get_by_role("button", name="Play").is_enabled()
    found.get_by_label("dots").check()
    assert state(found) == {"z": "0.5,-0.25", "ground": "lattice", "hide": "0,2", "path": "0,0,1,1"}


def test_hidden_classes_are_no_nearest_images(opened):
    images, labels = shapes()
    found = opened(dense(), images, labels, classes=["circle", "square", "star"])
    for hidden in ("circle", "star"):
        found.locator(".class", has_text=hidden).click()
    settle(found)
    assert state(found)["hide"] == "0,2"
    assert "nearest real image: square" in says(found)
    found.get_by_role("button", name="none").click()
    settle(found)
    assert says(found).endswith("no real image is shown")
    assert not found.locator(".pane").nth(1).is_visible()
    found.get_by_role("button", name="all").click()
    assert "hide" not in state(found)


def test_a_hole_is_said_and_hatched(opened):
    images, labels = shapes()
    model = dense()
    with torch.no_grad():
        codes = model.encode(images)
    near = torch.cdist(codes, codes).fill_diagonal_(torch.inf).min(1).values
    far = codes.mean(0) + torch.tensor([50.0, 0.0]) * codes.std()
    address = ",".join(f"{it:.4f}" for it in far.tolist())
    found = opened(model, images, labels, fragment=f"#z={address}&dots=false&ground=plain")
    times = (codes - far).norm(dim=1).min() / near.median()
    said = re.search(r"no data near: ([\d.]+) × the usual distance", says(found))
    assert float(said[1]) == pytest.approx(times.item(), rel=0.01)
    # The map's corner is far from all codes, its middle is not: one is hatched, the other as the panel is.
    corner = """() => {
      const canvas = document.querySelector(".map");
      const side = canvas.width;
      const shades = (x, y) => {
        const { data } = canvas.getContext("2d").getImageData(x * side, y * side, 24, 24);
        return new Set(data.filter((_, i) => i % 4 === 0)).size;
      };
      return [shades(0.01, 0.01), shades(0.94, 0.94)];
    }"""
    found.wait_for_timeout(300)
    hatched = found.evaluate(corner)
    found.get_by_label("hatch where no data is near").uncheck()
    settle(found)
    assert max(hatched) > 3
    assert found.evaluate(corner) == [1, 1]


def test_the_plane_of_colors_is_what_torch_decodes(opened):
    torch.manual_seed(3)
    model = ColorAutoencoder()
    with torch.no_grad():
        model.decoder.weight *= 6
    colors = datasets.colors(200, torch.Generator().manual_seed(0))
    found = opened(model, colors, fragment="#dots=false&holes=false", window={"width": 1000})
    found.wait_for_timeout(300)
    read = """(places) => {
      const canvas = document.querySelector(".map");
      return places.map(([x, y]) => {
        const at = [Math.floor(x * canvas.width), Math.floor((1 - y) * canvas.height)];
        return Array.from(canvas.getContext("2d").getImageData(...at, 1, 1).data.slice(0, 3));
      });
    }"""
    places = [[0.03, 0.04], [0.9, 0.1], [0.1, 0.93], [0.8, 0.85]]
    pixels = np.array(found.evaluate(read, places))
    expected = np.array([decoded(model, place)[0, 0] for place in places])
    slope = 1.5 * np.abs(decoded(model, [0.5, 0.5]) - decoded(model, [0.505, 0.505])).max() + 2  # half a cell away
    assert np.abs(pixels - expected).max() <= slope
    assert np.ptp(expected, axis=0).max() > 40
    click(found, 0.8, 0.3)
    shown = found.locator(".pane figcaption").first.text_content()
    assert shown == "decoded here: #" + "".join(f"{it:02x}" for it in pane(found, 0)[0, 0])


def test_the_epoch_slider_decodes_with_that_epochs_network(opened):
    torch.manual_seed(0)
    models = epochs(5)
    with torch.no_grad():
        for one in models:
            one.decoder.weight *= 5
    colors = datasets.colors(50, torch.Generator().manual_seed(0))
    found = opened(models, colors, fragment="#z=0.2,0.7", epoch_numbers=[0, 10, 20, 30, 40])
    assert np.abs(pane(found, 0) - decoded(models[4], [0.2, 0.7])).max() <= 1.5
    slider = found.get_by_label("Epoch")
    slider.focus()
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    settle(found)
    assert state(found) == {"z": "0.2,0.7", "epoch": "2"}
    assert slider.get_attribute("aria-valuetext") == "epoch 20 of 40"
    assert np.abs(pane(found, 0) - decoded(models[2], [0.2, 0.7])).max() <= 1.5
    with torch.no_grad():  # the dots move, too: each epoch has codes of its own
        distance = (models[2].encode(colors) - torch.tensor([0.2, 0.7])).norm(dim=1).min().item()
    assert float(re.search(r"distance ([\d.]+)", says(found))[1]) == pytest.approx(distance, abs=0.008)


def test_a_dragged_slider_changes_the_plane_three_times_a_second_at_most(opened):
    """Its words follow at once."""
    colors = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
    found = opened(epochs(40), colors)
    drag = """async (range) => {
      const shown = document.querySelector(".pane canvas").getContext("2d");
      const seen = [], start = performance.now();
      for (let epoch = 0; performance.now() - start < 1200; epoch = (epoch + 1) % 40) {
        range.value = epoch;
        range.dispatchEvent(new Event("input", { bubbles: true }));
        const color = shown.getImageData(0, 0, 1, 1).data.join();
        if (color !== seen.at(-1)) seen.push(color);
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
      return [seen.length, range.getAttribute("aria-valuetext") === `epoch ${Number(range.value) + 1} of 40`];
    }"""
    changes, told = found.get_by_label("Epoch").evaluate(drag)
    assert 2 <= changes <= 6
    assert told


def test_two_models_under_one_finger(opened):
    images, labels = shapes()
    first, second = dense(seed=0), dense(seed=1)
    found = opened([("first", first), ("second", second)], images, labels)
    for leads, follows, model, other in ((0, 1, first, second), (1, 0, second, first)):
        click(found, 0.6, 0.6, leads)
        z = numbers(state(found)["z"])
        assert state(found).get("model", "0") == str(leads)
        assert np.abs(pane(found, 0, leads) - decoded(model, z)).max() <= 1.5
        with torch.no_grad():
            follower = other.encode(model.decode(torch.tensor([z])))[0].tolist()
        assert np.abs(pane(found, 0, follows) - decoded(other, follower)).max() <= 2.5


def test_planes_through_sixteen_numbers(opened):
    images, labels = shapes()
    model = dense(latent=16)
    with torch.no_grad():
        codes = model.encode(images)
    found = opened(model, images, labels)
    click(found, 0.3, 0.3)
    start, z = numbers(found.evaluate("JSON.parse(document.getElementById('scene').textContent).state.z.join()")), None
    z = numbers(state(found)["z"])
    centered = codes - codes.mean(0)
    axes = torch.linalg.svd(centered, full_matrices=False).Vh[:2]
    moved = torch.tensor(z) - torch.tensor(start)
    assert (moved - moved @ axes.T @ axes).norm() < 1e-3 * moved.norm()  # moved within the plane of the largest spread
    assert np.abs(pane(found, 0) - decoded(model, z)).max() <= 1.5
    plane = found.get_by_label("The map's plane")
    plane.select_option("dims")
    found.get_by_label("up").select_option("latent 6")
    settle(found)  # the plane is another one from the next frame on
    click(found, 0.6, 0.7)
    changed = np.flatnonzero(np.abs(np.subtract(numbers(state(found)["z"]), z)) > 1e-4)
    assert changed.tolist() == [0, 5]
    found.get_by_text("The other numbers").click()
    slider = found.get_by_role("slider", name="latent 9")
    slider.focus()
    before = numbers(state(found)["z"])
    slider.press("End")
    settle(found)
    after = numbers(state(found)["z"])
    assert np.flatnonzero(np.abs(np.subtract(after, before)) > 1e-4).tolist() == [8]
    assert np.abs(pane(found, 0) - decoded(model, after)).max() <= 1.5
    plane.select_option("three")
    settle(found)
    z = torch.tensor(numbers(state(found)["z"]))
    corners = codes[[0, 149, 299]]  # the plane goes through three images, and the finger with it
    edges, away = (corners[1:] - corners[0]).T, z - corners[0]
    assert (edges @ torch.linalg.lstsq(edges, away[:, None]).solution - away[:, None]).norm() < 0.01 * codes.std()
    for name, bound in (("min", torch.lt), ("max", torch.gt)):
        ends = torch.tensor([float(it.get_attribute(name)) for it in found.locator(".mapbox input").all()])
        assert bound(ends[0], torch.tensor([0.0, (corners[1] - corners[0]).norm()])).all()  # both lie on the map


@pytest.mark.parametrize("latent", [6, 30])
def test_sliders_move_what_the_map_does_not_show(opened, latent):
    """On every plane: the finger stays where it is on the map, and a slider moves no other."""
    images, labels = shapes()
    found = opened(dense(latent), images, labels, fragment="#dims=1,4")
    found.get_by_text("The other numbers").click()
    finger = "[...document.querySelectorAll('.mapbox input')].map((it) => Number(it.value))"
    for plane, key, end in (("pca", "Home", 0), ("dims", "End", 1), ("three", "Home", 0), ("local", "End", 1)):
        found.get_by_label("The map's plane").select_option(plane)
        found.wait_for_timeout(500)  # until the local plane is found
        sliders = found.locator(".sliders input")
        assert min(latent, 20) - 2 <= sliders.count() <= 20
        before, z = found.evaluate(finger), [0.0] * latent
        for n in (0, 3):
            sliders.nth(n).focus()
            sliders.nth(n).press(key)
            settle(found)
            at = numbers(state(found)["z"])
            moved, z = np.subtract(at, z), at
            assert np.abs(moved).max() > 1e-3
        np.testing.assert_allclose(found.evaluate(finger), before, atol=2e-3)
        assert plane != "dims" or np.abs(moved)[[1, 4]].max() < 1e-3
        values = sliders.evaluate_all("(all) => all.map((it) => [it.value, it.min, it.max].map(Number))")
        assert all(values[n][0] == pytest.approx(values[n][1 + end], abs=1e-2) for n in (0, 3))


def test_three_dots_are_picked_for_a_plane(opened):
    """Whatever lies near the finger on the map, though its code lies far off the plane; the plane goes through it."""
    images, labels = shapes()
    model = dense(latent=16)
    found = opened(model, images, labels)
    with torch.no_grad():
        codes = model.encode(images)
    found.get_by_label("The map's plane").select_option("three")
    settle(found)
    origin, axes = still.plane({"size": 16}, "three", [0, 1], codes[[0, 149, 299]])
    places = (codes - origin) @ axes.T
    inputs = found.locator(".mapbox input").all()
    low, high = (torch.tensor([float(it.get_attribute(end)) for it in inputs]) for end in ("min", "max"))
    alone = torch.cdist(places, places).fill_diagonal_(torch.inf).min(1).values
    inside = ((places > low + 0.1 * (high - low)) & (places < high - 0.1 * (high - low))).all(1)
    wanted = (alone * inside).argmax().item()
    x, y = ((places[wanted] - low) / (high - low)).tolist()
    click(found, x, 1 - y)
    assert wanted not in (0, 149, 299)
    found.get_by_role("button", name="nearest dot as the second").click()
    assert state(found)["three"] == f"0,{wanted},299"
    z = torch.tensor(numbers(state(found)["z"]))
    origin, axes = still.plane({"size": 16}, "three", [0, 1], codes[[0, wanted, 299]])
    rest = z - origin - (z - origin) @ axes.T @ axes
    assert rest.norm() < 0.01 * codes.std()


def test_local_axes_are_the_strongest_of_the_jacobian(opened):
    images, labels = shapes()
    model = dense(latent=16)
    found = opened(model, images, labels)
    found.get_by_label("The map's plane").select_option("local")
    found.wait_for_timeout(500)
    at = torch.tensor(numbers(state(found)["at"]))
    click(found, 0.8, 0.3)
    moved = torch.tensor(numbers(state(found)["z"])) - at
    jacobian = torch.autograd.functional.jacobian(lambda z: model.decode(z[None])[0].flatten(), at)
    axes = torch.linalg.svd(jacobian, full_matrices=False).Vh[:2]
    assert (moved - moved @ axes.T @ axes).norm() < 0.02 * moved.norm()
    known = still.strongest(lambda z: model.decode(z[None])[0], at)  # in Python they point where they do on the map
    for key, axis in (("ArrowRight", known[0]), ("ArrowUp", known[1])):
        before = torch.tensor(numbers(state(found)["z"]))
        found.locator(".mapbox input[tabindex='0']").press(key)
        moved = torch.tensor(numbers(state(found)["z"])) - before
        assert moved @ axis > 0.98 * moved.norm()


@pytest.mark.parametrize("ground", ["plain", "plane"])
def test_dots_and_ground_lie_on_the_local_plane(opened, ground):
    """What is on the map once the plane is found is what is drawn when everything is drawn anew."""
    images, labels = shapes()
    found = opened(dense(latent=6), images, labels, fragment=f"#ground={ground}&holes=false", classes=list("abc"))
    found.get_by_label("The map's plane").select_option("local")
    at_rest(found)
    click(found, 0.7, 0.6)
    found.get_by_role("button", name="find them again here").click()
    seen = at_rest(found)
    found.get_by_role("button", name="none").click()
    found.get_by_label("Background").select_option("lattice")
    assert at_rest(found) != seen
    found.get_by_role("button", name="all").click()
    found.get_by_label("Background").select_option(ground)
    assert at_rest(found) == seen


def test_what_an_address_cannot_mean_is_as_at_the_beginning(opened):
    images, labels = shapes()
    wrong = "epoch=-1&dims=1,1&axes=umap&three=1&model=7&ground=no&z=0.25,0.5"
    assert set(state(opened(dense(), images, labels, fragment=f"#{wrong}"))) == {"z"}
    found = opened(dense(latent=4), images, labels, fragment="#dims=0,9&axes=dims")
    assert state(found) == {"axes": "dims"}
    found = opened(epochs(3), datasets.colors(20, torch.Generator().manual_seed(0)), fragment="#epoch=0.5")
    assert state(found) == {}
    found = opened(dense(latent=4), images, labels, fragment="#axes=local&at=1,2")
    settle(found)
    assert len(numbers(state(found)["at"])) == 4
    wrong = "dots=banana&ground=plane&axes=local&path=1&hide=99&show=7"
    assert state(opened(Embeds(), images, labels, fragment=f"#{wrong}", encoder=False)) == {}


def test_numbers_in_words_and_colours_as_names(chromium):
    watched = browser.Watched(chromium)
    watched.page.goto("about:blank")
    watched.page.add_script_tag(content=page.bundle("words", "paths"))
    shown = watched.page.evaluate("[0, 1e-9, 0.0012, -0.00003, 0.005, -1.5, 12.34, 512].map(short)")
    assert shown == ["0", "0", "0.001", "−0.00003", "0.01", "−1.50", "12.3", "512"]
    assert watched.page.evaluate("hexColor([1.02, -0.02, 0.5])") == "#ff0080"
    walk = "() => { const found = {}; [...evenPath([[1, 2], [1, 2]], (it) => it, 5, found)]; return found.places; }"
    assert watched.page.evaluate(walk) == [[1, 2]] * 5
    assert watched.errors == []
    watched.close()


def test_a_point_is_added_once_and_a_long_path_is_kept_to_its_end(opened):
    images, labels = shapes()
    found = opened(dense(), images, labels)
    add = found.get_by_role("button", name="Add this point")
    add.click()
    add.click()
    assert len(numbers(state(found)["path"])) == 2
    assert found.get_by_text("The path ends here already: move first.").is_visible()
    found.get_by_role("button", name="Draw a path on the map").click()
    box = found.locator(".map").bounding_box()
    places = [(0.5 + t * np.cos(30 * t), 0.5 + t * np.sin(30 * t)) for t in np.linspace(0.02, 0.45, 250)]
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    found.mouse.move(*at[0])
    found.mouse.down()
    for place in at[1:]:
        found.mouse.move(*place)
    found.mouse.up()
    path = np.array(numbers(state(found)["path"])).reshape(-1, 2)
    assert 20 < len(path) <= 60
    inputs = found.locator(".mapbox input").all()
    low, high = (np.array([float(it.get_attribute(end)) for it in inputs]) for end in ("min", "max"))
    wanted = np.array([places[-1][0], 1 - places[-1][1]])
    np.testing.assert_allclose((path[-1] - low) / (high - low), wanted, atol=0.01)


def test_a_path_on_the_map_of_an_embedder_is_not_played(opened):
    images, labels = shapes()
    both = [("decodes", dense()), ("embeds", Embeds())]
    found = opened(both, images, labels, fragment="#model=1&path=0,0,1,1", encoder=[True, False])
    found.get_by_role("button", name="Play").click()
    assert found.get_by_text("This model decodes nothing: move on the other map first.").is_visible()


def test_a_path_is_even_in_the_picture(chromium):
    watched = browser.Watched(chromium)
    watched.page.goto("about:blank")
    walk = """() => {
      const decode = ([x, y]) => Float32Array.from({ length: 50 }, (_, i) => Math.tanh(9 * (x * x - i / 50)) + 0.3 * y);
      const found = {};
      for (const step of evenPath([[0, 0], [0.9, 0.1], [1, 1]], decode, 60, found));
      const pictures = found.places.map(decode);
      return [found.places, pictures.slice(1).map((picture, i) => pictureDistance(picture, pictures[i]))];
    }"""
    watched.page.add_script_tag(content=page.bundle("paths"))
    places, steps = watched.page.evaluate(walk)
    watched.close()
    assert len(places) == 60
    assert places[0] == [0, 0]
    np.testing.assert_allclose(places[-1], [1, 1], atol=1e-9)
    assert max(steps) < 2 * min(steps)
    lengths = [np.hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(places)]
    assert max(lengths) > 3 * min(lengths)  # so it is not even on the map


def test_a_path_is_drawn_played_and_paused(opened):
    images, labels = shapes()
    found = opened(dense(), images, labels)
    box = found.locator(".map").bounding_box()
    found.get_by_role("button", name="Draw a path").click()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ((0.2, 0.2), (0.5, 0.7), (0.9, 0.4))]
    found.mouse.move(*at[0])
    found.mouse.down()
    for place in at[1:]:
        found.mouse.move(*place, steps=8)
    found.mouse.up()
    assert len(numbers(state(found)["path"])) >= 6
    found.get_by_role("button", name="Play").click()
    frames, before = [], says(found)
    for _ in range(12):
        found.wait_for_timeout(120)
        frames.append(pane(found, 0))
    moving = [np.abs(a - b).max() for a, b in pairwise(frames)]
    assert says(found) != before
    assert sum(it > 0 for it in moving) >= 6
    found.get_by_role("button", name="Pause").click()
    settle(found)
    still = pane(found, 0)
    found.wait_for_timeout(300)
    assert np.array_equal(pane(found, 0), still)
    assert "z" in state(found)
    path = state(found)["path"]
    found.get_by_role("button", name="Draw a path").click()
    found.mouse.click(*at[0])
    assert found.get_by_text("That was a point: drag to draw a path.").is_visible()
    assert state(found)["path"] == path
    for _ in range(2):
        found.get_by_role("button", name="Clear the path").click()
        assert "path" not in state(found)
        found.get_by_role("button", name="Add this point").click()
    assert len(numbers(state(found)["path"])) == 2


def test_a_drawing_gets_the_encoders_code(opened):
    images, labels = shapes(channels=1)
    model = dense(channels=1)
    found = opened(model, images, labels)
    found.locator(".sketch").scroll_into_view_if_needed()
    pad = found.locator(".sketch").bounding_box()
    found.mouse.move(pad["x"] + 50, pad["y"] + 40)
    found.mouse.down()
    found.mouse.move(pad["x"] + 120, pad["y"] + 130, steps=5)
    found.mouse.up()
    settle(found)
    drawn = torch.tensor(pane(found, 3)[..., 0] / 255).float()[None, None]
    assert drawn.max() > 0.5
    assert drawn.min() == 0
    with torch.no_grad():
        code, spread = model.encode(drawn)[0], model.encode(images).std(0)
    z = torch.tensor(numbers(state(found)["z"]))
    assert ((z - code).abs() < 0.01 * spread).all()
    found.get_by_role("button", name="Clear it").click()
    settle(found)
    assert not found.locator(".pane").nth(3).is_visible()


def test_a_file_is_encoded_and_one_that_is_no_image_is_named(opened, tmp_path):
    from PIL import Image

    images, labels = shapes()
    model = dense()
    found = opened(model, images, labels)
    pixels = (images[7].permute(1, 2, 0) * 255).round().to(torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "mine.png")
    found.get_by_label("image file").set_input_files(tmp_path / "mine.png")
    settle(found)
    with torch.no_grad():
        code, spread = model.encode(pixels.permute(2, 0, 1)[None] / 255)[0], model.encode(images).std(0)
    assert ((torch.tensor(numbers(state(found)["z"])) - code).abs() < 0.01 * spread).all()
    (tmp_path / "notes.txt").write_text("no image")
    found.get_by_label("image file").set_input_files(tmp_path / "notes.txt")
    settle(found)
    assert "notes.txt is no image that this browser reads." in found.locator(".yours").inner_text()


def test_a_file_may_be_dropped_anywhere(opened, tmp_path):
    """Beside the field, too, where a browser would leave the page to show the file."""
    from PIL import Image

    images, labels = shapes()
    model = dense()
    found = opened(model, images, labels)
    pixels = (images[5].permute(1, 2, 0) * 255).round().to(torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "mine.png")
    drop = """(map, bytes) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([Uint8Array.from(bytes)], "mine.png", { type: "image/png" }));
      return ["dragover", "drop"].map((kind) =>
        map.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true })));
    }"""
    went_on = found.locator(".map").evaluate(drop, list((tmp_path / "mine.png").read_bytes()))
    assert went_on == [False, False]
    settle(found)
    with torch.no_grad():
        code, spread = model.encode(pixels.permute(2, 0, 1)[None] / 255)[0], model.encode(images).std(0)
    assert ((torch.tensor(numbers(state(found)["z"])) - code).abs() < 0.01 * spread).all()
    assert "mine.png, 12 × 12 pixels, is shown at 12 × 12." in found.locator(".yours").inner_text()


def test_an_embedder_answers_with_its_nearest_image(opened):
    torch.manual_seed(0)
    images, labels = shapes(120)
    model = Embedder(8, widths=(8, 8, 8)).eval()
    found = opened(model, images, labels, encoder=False)
    click(found, 0.4, 0.4)
    assert [it.is_visible() for it in found.locator(".pane").all()] == [False, True, False, False]
    with torch.no_grad():
        nearest = (model.encode(images) - torch.tensor(numbers(state(found)["z"]))).norm(dim=1).argmin()
    assert np.abs(pane(found, 1) - images[nearest].permute(1, 2, 0).numpy() * 255).max() <= 0.51
    assert found.get_by_label("Background").locator("option").all_text_contents() == [
        "real images at their codes", "plain scatter",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_narrow(opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    images, labels = shapes(channels=1)
    window = {"width": 320, "height": 700, "color_scheme": scheme, "bypass_csp": True}
    found = opened(dense(3, 1), images, labels, title="Shapes", classes=["circle", "square", "star"], window=window)
    found.get_by_text("The other numbers").click()
    assert found.evaluate("document.documentElement.scrollWidth") == 320
    violations = Axe().run(found).response["violations"]
    assert [it["id"] for it in violations if it["impact"] in ("serious", "critical")] == []
    small = """() => [...document.querySelectorAll(".explorer *")].filter((it) =>
      it.textContent.trim() && it.checkVisibility() && parseFloat(getComputedStyle(it).fontSize) < 12.7).length"""
    assert found.evaluate(small) == 0


def test_a_million_points_are_subsampled_and_said_so():
    colors = torch.rand(1_000_000, 3)
    made, _ = scene.make(ColorAutoencoder(), colors, images=500)
    assert made["count"] == 500
    assert made["notes"] == ["500 of 1,000,000 images are shown, drawn evenly with seed 0."]


def test_sizes():
    made, blob = scene.make(epochs(240), datasets.colors(500, torch.Generator().manual_seed(0)))
    assert len(blob) < 30_000  # 240 networks of 17 numbers, encoders and decoders
    images, _ = shapes(50)
    large = torch.nn.functional.interpolate(images, scale_factor=8)
    made, _ = scene.make(Shrinking(), large, encoder=False)
    assert made["tile"] == [64, 64]
    assert made["notes"] == ["Real images of 96 × 96 pixels are shown at 64 × 64."]


class Shrinking(nn.Module):
    """Codes of two numbers, and no decoder."""

    def encode(self, x):
        return x.flatten(1)[:, :2]


class Embeds(nn.Module):
    """Codes of two numbers, and no decoder."""

    def encode(self, x):
        return 5 * x.flatten(1)[:, 40:42]


def test_codes_far_from_zero_keep_their_differences():
    """In half precision they would lose them."""
    values = 100 + 0.05 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    narrow = torch.cat([10 * (values[:, :5] - 100), values[:, 5:]], dim=1)  # one column far from zero
    for numbers_of, kind in ((values, "float"), (values - 100, "half"), (narrow, "float"), (values[:1], "float")):
        blob = Blob()
        told = blob.numbers(numbers_of)
        kept = np.frombuffer(blob.bytes(), np.float16 if told["type"] == "half" else np.float32)
        assert told["type"] == kind
        assert np.abs(kept.reshape(-1, 6) - numbers_of.numpy()).max() < 1e-2 * 0.05


def test_a_map_begins_on_a_ground_that_it_has():
    colors = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    assert scene.make(Embeds(), torch.rand(50, 3, 8, 8), encoder=False)[0]["state"]["ground"] == "pictures"
    assert scene.make(Kept(), colors, encoder=False)[0]["state"]["ground"] == "plain"


class Kept(nn.Module):
    """Of a colour, red and green."""

    def encode(self, x):
        return x[:, :2]


class Tall(Shrinking):
    def decode(self, z):
        return z @ torch.zeros(3, 3)


class Misfit(Shrinking):
    def decode(self, z):
        return z.new_zeros(len(z), 3, 5, 5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": torch.zeros(0, 3, SIZE, SIZE), "labels": None}, "data is empty"),
        ({"data": torch.rand(5, 2, 4, 4), "labels": None}, r"data are of shape \(2, 4, 4\) each, expected"),
        ({"data": torch.rand(5, 3, 9, 9), "labels": None}, r"data are of shape \(3, 9, 9\), which model does not"),
        ({"data": torch.rand(5, 3, SIZE, SIZE) * 3, "labels": None}, r"data run from .* expected images in \[0, 1\]"),
        ({"data": torch.full((5, 3, SIZE, SIZE), torch.nan), "labels": None}, "data run from nan"),
        (
            {"labels": torch.zeros(7).long()},
            r"labels is a tensor of int64 of shape \(7,\), expected .* \(data has shape \(40, 3",
        ),
        ({"labels": torch.rand(40)}, "labels are torch.float32"),
        ({"classes": ["circle"]}, "classes are 1 names, but labels run to 2"),
        ({"colors": torch.rand(2, 3)}, "colors are 2, expected one for each of 3 classes$"),
        ({"colors": 255 * torch.rand(3, 3)}, r"colors has values from .* expected RGB in \[0, 1\]"),
        ({"classes": ["circle", "square"], "labels": None}, "classes are 2 names, but labels is None"),
        ({"model": nn.Linear(2, 2)}, "model is a Linear without encode"),
        ({"model": Tall()}, r"model.decode takes no batch of shape \(1, 2\): .* multiplied"),
        ({"model": Misfit()}, r"model decodes to \(3, 5, 5\), but data are of shape \(3, 12, 12\)"),
        ({"model": dense(latent=1)}, "model has codes of 1 number"),
        ({"model": []}, "model is 0 models, expected one or two"),
        ({"epoch_numbers": [1, 2]}, "epoch_numbers are 2 for 1 epochs"),
        ({"state": {"zoom": 2}}, "state has 'zoom', expected some of"),
        ({"state": {"model": 1}}, "model is 1, expected 0 to 0$"),
        ({"state": {"epoch": [0]}}, r"epoch is \[0\], expected 0 to 0$"),
        ({"state": {"epoch": -1}}, "epoch is -1, expected 0 to 0$"),
        ({"state": {"dims": [0, 2]}}, r"dims is \[0, 2\], expected two different of 0 to 1$"),
        ({"state": {"dims": [1, 1]}}, r"dims is \[1, 1\], expected two different of 0 to 1$"),
        ({"state": {"ground": "plan"}}, "ground is plan, expected one of plane, lattice, pictures, plain$"),
        ({"state": {"axes": "umap"}}, "axes is umap, expected one of pca, dims, three, local$"),
        ({"state": {"three": [0, 1]}}, r"three is \[0, 1\], expected three of 0 to 39$"),
        ({"state": {"dims": 0}}, "dims is 0, expected two different of 0 to 1$"),
        ({"state": {"path": [1.0, 2.0, 3.0]}}, r"path is \[1.0, 2.0, 3.0\], expected finite numbers, two a point$"),
        ({"state": {"path": [0.0, torch.nan]}}, r"path is \[0.0, nan\], expected finite numbers, two a point$"),
        ({"state": {"at": [1.0]}}, r"at is \[1.0\], expected finite numbers, as many as a code has, or none$"),
        ({"state": {"hide": [99]}}, r"hide is \[99\], expected some of 0 to 2$"),
        ({"state": {"show": [True]}}, r"show is \[True\], expected some of 0 to 2$"),
        ({"state": {"hide": ["one"]}}, r"hide is \['one'\], expected some of 0 to 2$"),
        ({"state": {"show": [7]}}, r"show is \[7\], expected some of 0 to 2$"),
        ({"state": {"dots": "no"}}, "dots is no, expected True or False$"),
        ({"state": {"z": torch.zeros(3)}}, "z holds 3 numbers, expected 2, all of them finite$"),
        ({"encoder": [True, False]}, "encoder is 2 answers for 1 models"),
        ({"shades": 1}, "shades is 1, expected 2 to 256"),
        ({"path": Path("nowhere/at/all.html")}, "there is no folder nowhere/at"),
        ({"path": Path()}, "path is ., a folder, expected a file"),
    ],
)
def test_bad_input_is_one_sentence(change, sentence, tmp_path):
    images, labels = shapes(40)
    given = {"model": dense(), "data": images, "labels": labels, "path": tmp_path / "page.html"} | change
    with pytest.raises(ValueError, match=sentence):
        save_html(**given)
    assert not (tmp_path / "page.html").exists()


def test_weights_that_are_not_finite_and_layers_that_pages_lack_are_named(tmp_path):
    images, labels = shapes(40)
    broken = dense()
    broken.decoder[2].bias.data[0] = torch.nan
    with pytest.raises(ValueError, match="weights that are not finite at"):
        save_html(broken, images, labels, tmp_path / "page.html")
    unknown = Autoencoder(dense().encoder, nn.Sequential(nn.GELU(), *dense().decoder))
    with pytest.raises(ValueError, match=r"GELU.* at 'decoder.0'"):
        save_html(unknown, images, labels, tmp_path / "page.html")


def test_the_model_stays_as_it_was(tmp_path):
    images, labels = shapes(40)
    model = dense().train()
    before = {key: it.clone() for key, it in model.state_dict().items()}
    save_html(model, images, labels, tmp_path / "page.html")
    assert model.training
    assert all(torch.equal(it, before[key]) for key, it in model.state_dict().items())


@pytest.mark.parametrize("count", range(1, 9))
def test_few_classes_have_colours_and_no_greys(count):
    found = pictures.class_colors(count)
    assert len(set(map(tuple, found))) == count
    assert all(max(color) - min(color) > 40 for color in found)
