"""The gallery opens from disk, asks nobody for anything, and everything in it is there."""

import contextlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browser import Watched, chromium

from chromae import settings
from chromae.__main__ import main
from chromae.explorer import exhibits, page, posters, site

pytestmark = pytest.mark.skipif(not (settings.ROOT / "notebooks").is_dir(), reason="this is no clone")
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
    'width="9mm" height="9mm" viewBox="0 0 9 9">'
    '<g inkscape:groupmode="layer" inkscape:label="1-red" id="layer1" fill="none" stroke="#ff0000">'
    '<polyline points="0,0 3,4 3,5"/><polyline points="1,1 1,2"/></g>'
    '<g inkscape:groupmode="layer" inkscape:label="2-blue" id="layer2" fill="none" stroke="#0000ff">'
    '<polyline points="0,0 0,8"/></g></svg>'
)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """A whole gallery, but for the explorers that need a download or half a minute: tests of their own write them."""
    with pytest.MonkeyPatch.context() as patch:
        light = [one for one in exhibits.EXHIBITS if one.file in ("lab.html", "colors.html", "pens.html")]
        patch.setattr(exhibits, "EXHIBITS", light)
        return site.build(tmp_path_factory.mktemp("my projects") / "site").parent


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


class Links(HTMLParser):
    """What a page refers to: what it loads, and what it links to."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.names = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names.add(given.get("id"))
        self.loads += [given[key] for key in ("src", "poster") if given.get(key)]
        if tag == "link":
            self.loads.append(given["href"])
        elif given.get("href"):
            self.links.append(given["href"])


def test_everything_it_refers_to_is_there(gallery):
    pages = sorted(gallery.rglob("*.html"))
    assert len(pages) >= 1 + len(list((settings.ROOT / "notebooks").glob("*.ipynb"))) + 3
    for path in pages:
        found = Links(path.read_text(encoding="utf-8"))
        for address in found.loads:
            assert address.startswith("data:") or not urlsplit(address).scheme, (path.name, address)
        for address in [*found.loads, *found.links]:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https", "data", "mailto"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), (path.name, address)
            assert target.is_relative_to(gallery.resolve()), (path.name, address)


def test_it_is_small_and_has_no_scripts_in_what_is_only_read(gallery):
    assert sum(path.stat().st_size for path in gallery.rglob("*") if path.is_file()) <= 60_000_000
    for path in [gallery / "index.html", *(gallery / "notebooks").glob("*.html")]:
        assert "<script" not in path.read_text(encoding="utf-8")


def test_a_page_of_a_notebook_shows_its_code(gallery):
    for path in (settings.ROOT / "notebooks").glob("*.ipynb"):
        text = (gallery / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
        cells = [it for it in json.loads(path.read_text(encoding="utf-8"))["cells"] if it["cell_type"] == "code"]
        assert text.count('highlight hl-ipython3"') == len(cells)
        assert "<!--code" not in text


def test_every_tile_has_a_question_and_an_answer_with_a_number(gallery):
    text = (gallery / "index.html").read_text(encoding="utf-8")
    tiles = text.split('<article class="tile">')[1:]
    assert len(tiles) == 3 + len(list((settings.ROOT / "notebooks").glob("*.ipynb"))) + len(site.FILMS)
    for tile in tiles:
        question, answer = (part.split("</p>")[0] for part in tile.split("<p>")[1:3])
        assert not re.search(r"`|\*\*|\]\(", question + answer)
        assert question.endswith("?"), question
        assert any(letter.isdigit() for letter in answer), answer
    published = json.loads((settings.ROOT / "results/10_pen_plot.json").read_text())["metrics"]["plot_pen_down"]
    assert f"{published['value']:.1f}" in text


@pytest.mark.parametrize("name", ["index.html", "notebooks/02_color_questions.html"])
def test_pages_open_from_disk_on_any_screen(gallery, browser, name):
    for options in ({"width": 320}, {"color_scheme": "dark"}):
        watched = Watched(browser, **options)
        opened = watched.open(gallery / name)
        opened.wait_for_load_state()
        assert opened.evaluate("document.documentElement.scrollWidth") == options.get("width", 1280)
        assert watched.errors == []
        assert all(address.startswith(gallery.resolve().as_uri()) for address in watched.requests)
        if name == "index.html":  # those of whole notebooks take half a minute: below is a small one
            assert faults(opened) == []
        watched.close()


def faults(opened):
    """What axe-core finds serious."""
    found = Axe().run(opened).response["violations"]
    return [(it["id"], it["nodes"][0]["html"]) for it in found if it["impact"] in ("serious", "critical")]


CODE = '''
import math  # every kind of word that has a colour of its own
@property
def one(x: int = 0x1F) -> str:
    """What it gives."""
    if x is not None and not math.isnan(x) or x in (1.5, True):
        raise ValueError(f"x is {x!r}, {len(str(x))} \\n letters: wide enough that a small screen scrolls" + 'no' * 2)
'''


def test_code_is_legible_and_scrolled_by_keys(repository, browser):
    """What notebooks have, in a small one."""
    printed = nbformat.v4.new_output("stream", text=60 * "wide " + "\n")
    cells = [nbformat.v4.new_markdown_cell("# Title\n\nA *word*, `code`, and [a link](https://example.org)."),
             nbformat.v4.new_code_cell(CODE.strip(), outputs=[printed])]  # fmt: skip
    nbformat.write(nbformat.v4.new_notebook(cells=cells), repository / "notebooks" / "01_a.ipynb")
    page_of = repository / "a.html"
    page_of.write_text(site._notebook("01_a", "01 A"), encoding="utf-8")
    for options in ({"width": 320}, {"color_scheme": "dark"}):
        watched = Watched(browser, **options)
        opened = watched.open(page_of)
        assert opened.locator(".highlight span").count() > 40
        assert faults(opened) == []
        watched.close()


@pytest.mark.parametrize("breaks", [False, True])
def test_the_old_gallery_stays_until_the_new_one_is_in_its_place(tmp_path, monkeypatch, breaks):
    """Also behind a link; and if the new one cannot be moved there."""
    for part in ("_explorers", "_notebooks", "_films"):
        monkeypatch.setattr(site, part, lambda made: [])
    (tmp_path / "real").mkdir()
    (tmp_path / "site").symlink_to(tmp_path / "real")
    (tmp_path / "real" / site.MARKER).write_text("the old one")
    rename = Path.rename

    def move(self, target):
        if breaks and self.name == "site":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", move)
    with pytest.raises(KeyboardInterrupt) if breaks else contextlib.nullcontext():
        assert site.build(tmp_path / "site") == tmp_path / "real" / "index.html"
    assert ((tmp_path / "site" / site.MARKER).read_text() == "the old one") is breaks
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real", "site"]


def test_pens_are_taken_away_and_put_back(browser, tmp_path):
    path = page.save(tmp_path / "pens.html", "plot", exhibits.plot_scene(SVG), SVG.encode())
    watched = Watched(browser)
    opened = watched.open(path)
    assert opened.locator("output").inner_text() == "2 of 2 pens: 0.0 m of ink in 3 strokes."
    opened.get_by_label("1-red").uncheck()
    assert opened.locator("output").inner_text() == "1 of 2 pens: 0.0 m of ink in 1 strokes."
    assert not opened.locator("#layer1").is_visible()
    opened.wait_for_function("() => location.hash === '#off=0'")
    opened.get_by_role("slider").fill("3")
    assert opened.evaluate("document.querySelector('svg').style.width") == "300%"
    assert faults(opened) == []
    assert watched.errors == []
    watched.close()


def test_ink_is_counted_in_metres():
    first, second = exhibits.plot_scene(SVG)["pens"]
    assert first == {"name": "1-red", "id": "layer1", "color": "#ff0000", "metres": 0.007, "strokes": 2}
    assert second["metres"] == 0.008
    with pytest.raises(ValueError, match=r"^drawing has no layers, expected an SVG with one for each pen"):
        exhibits.plot_scene("<svg></svg>")


def test_another_folder_is_left_alone_and_an_older_gallery_replaced(tmp_path, monkeypatch, capsys):
    for part in ("_explorers", "_notebooks", "_films"):
        monkeypatch.setattr(site, part, lambda made: [])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    assert main(["site", str(tmp_path / "mine")]) == 1
    assert "which exists and is no gallery of ours: remove it, or name another" in capsys.readouterr().err
    assert [it.name for it in (tmp_path / "mine").iterdir()] == ["letter"]
    assert main(["site", str(tmp_path / "site")]) == 0
    (tmp_path / "site" / "old").write_text("")
    assert main(["site", str(tmp_path / "site")]) == 0
    assert not (tmp_path / "site" / "old").exists()
    assert {it.name for it in tmp_path.iterdir()} == {"mine", "site"}


def test_what_is_not_there_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    def gone(path):
        raise ConnectionError("no data today")

    one = exhibits.EXHIBITS[0]._replace(write=gone)
    monkeypatch.setattr(exhibits, "EXHIBITS", [one])
    for part in ("_notebooks", "_films"):
        monkeypatch.setattr(site, part, lambda made: [])
    site.build(tmp_path / "site")
    assert capsys.readouterr().out == "lab.html is left out: no data today\n"


@pytest.mark.parametrize("name", ["lab", "colors", "shapes", "pens"])
def test_an_explorer_has_a_poster_of_its_own(name):
    """One that fills its tile, drawn from what the explorer shows and from no figure."""
    drawn = getattr(posters, name)()
    assert drawn.shape == (360, 640, 3)
    assert drawn.dtype == np.uint8
    assert all(len(np.unique(part.reshape(-1, 3), axis=0)) > 4 for part in np.array_split(drawn, 4, axis=1))


def test_tiles_stand_row_by_row():
    tiles = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    assert posters.tiled(tiles, 2)[..., 0].tolist() == [[0, 1], [2, 3]]
    assert posters.tiled(tiles, 2).shape == (2, 2, 3)


def test_every_explorer_leads_back_and_to_its_notebook(gallery):
    pages = list((gallery / "explorers").glob("*.html"))
    assert len(pages) == 3
    for path in pages:
        back, notebook = Links(path.read_text(encoding="utf-8")).links[:2]
        assert back == "../index.html"
        assert (path.parent / notebook).resolve().is_file()


LIMITS = {"colors.html": 100_000, "shapes.html": 1_500_000}


@pytest.mark.parametrize("file", LIMITS)
def test_explorers_are_small_and_work(browser, tmp_path, file):
    """Those that need no download; of the others `make bench` writes down the sizes."""
    (one,) = [it for it in exhibits.EXHIBITS if it.file == file]
    torch.manual_seed(0)
    path = one.write(tmp_path / file)
    assert path.stat().st_size <= LIMITS[file]
    watched = Watched(browser)
    opened = watched.open(path)
    opened.locator("output.says").first.wait_for()
    assert watched.errors == []
    assert watched.requests == []
    watched.close()
