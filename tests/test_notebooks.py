"""The notebooks run from a bare clone, and are committed as a reader should find them."""

import ast
import base64
import importlib.util
import io
import json
import re
import sys
from importlib.machinery import ModuleSpec
from itertools import pairwise
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from conftest import execute
from PIL import Image

from chromae import notebook as plumbing
from chromae.settings import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What the first cell does where the package's needs are not met.
INSTALLS = """\
if not all(map(importlib.util.find_spec, ('jaxtyping', 'timm', 'imageio_ffmpeg'))):
    get_ipython().system(f'echo Installing Chromae && "{sys.executable}" -m pip install -q -e "..[notebooks]"')"""
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


@EACH
def test_runs_in_the_fast_preset_from_a_bare_clone(path, tmp_path):
    """It makes the numbers that are published, and writes to a temp folder of its own only."""
    run = execute(path.stem, tmp_path)
    assert run.process.returncode == 0, run.process.stderr[-3000:]
    notebook = nbformat.read(run.folder / path.name, as_version=4)
    assert not [o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"]
    assert run.after == run.before
    (made,) = (run.folder / "temp").glob("chromae-fast-*")
    assert list((made / "images" / "frames" / path.stem).iterdir())
    assert list((made / "images").glob("*.mp4"))
    written = json.loads((run.folder / "results" / f"{path.stem}.json").read_text())
    published = json.loads((ROOT / "results" / f"{path.stem}.json").read_text())
    assert written["preset"] == "fast"
    assert written["metrics"].keys() == published["metrics"].keys()


@EACH
def test_is_committed_executed_in_order_without_noise(path):
    notebook = nbformat.read(path, as_version=4)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert not [o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"]
    kinds = [[output.output_type for output in cell.outputs] for cell in code_cells(notebook)]
    assert not [cell for cell in kinds if ("stream", "stream") in pairwise(cell)]  # a line of text in two boxes
    assert not {"widgets", "language_info"} & notebook.metadata.keys()
    assert not [cell.id for cell in notebook.cells if cell.metadata]
    assert path.stat().st_size < 2_000_000
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text())
    assert not re.search(r"/(home|root|Users|tmp|work)/", text)
    assert "np.float64(" not in text  # a number that nobody formatted


@EACH
def test_opens_with_imports_and_then_a_few_knobs(path):
    """No plumbing: what all notebooks begin and end with is in the package."""
    imports, knobs, *_, last = (ast.parse(cell.source).body for cell in code_cells(nbformat.read(path, as_version=4)))
    others = [ast.unparse(line) for line in imports if not isinstance(line, ast.Import | ast.ImportFrom)]
    *installs, finds = others
    assert finds == "if importlib.util.find_spec('chromae') is None:\n    sys.path += ['../src', 'src']"
    assert installs == [INSTALLS]
    (begins,) = [line for line in knobs if isinstance(line, ast.Assign) and "notebook.begin" in ast.unparse(line)]
    assert (ast.unparse(begins.targets[0]), begins.value.args[0].value) == ("here", path.stem)
    names = [target.id for line in knobs if isinstance(line, ast.Assign) for target in line.targets[:1]
             if isinstance(target, ast.Name) and target.id.isupper()]  # fmt: skip
    assert len(set(names)) <= 8
    assert ast.unparse(last[-1]).startswith("here.publish(")


@pytest.mark.parametrize("missing", ["", "jaxtyping", "timm"])
def test_what_is_missing_is_installed_and_a_line_says_so(missing, monkeypatch):
    """On Colab and its like: before torch, which may be replaced, is imported."""
    asked = []
    shell = SimpleNamespace(system=asked.append)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else ModuleSpec(name, None))
    exec(INSTALLS, {"importlib": importlib, "sys": sys, "get_ipython": lambda: shell})
    install = f'echo Installing Chromae && "{sys.executable}" -m pip install -q -e "..[notebooks]"'
    assert asked == ([install] if missing else [])
    firsts = [code_cells(nbformat.read(path, as_version=4))[0].source for path in NOTEBOOKS]
    assert not [it for it in firsts if "get_ipython" in it.partition("import torch")[2]]


@EACH
def test_no_function_reads_here(path):
    """A study's record would note the code of all that `here` is made by, that of figures too, as that of its run."""
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for function in ast.walk(ast.parse(cell.source)):
            if isinstance(function, ast.FunctionDef | ast.Lambda):
                assert "here" not in {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}


@EACH
def test_prints_the_numbers_that_are_published(path):
    published = json.loads((ROOT / "results" / f"{path.stem}.json").read_text())
    (output,) = code_cells(nbformat.read(path, as_version=4))[-1].outputs
    last = f"{published['seconds']} seconds, preset {published['preset']}, {published['device']}"
    assert output.text == f"{plumbing._table(published['metrics'])}\n{last}\n"


@EACH
def test_every_caption_says_where_its_figure_comes_from(path):
    """LIVE (`here.caption`), RECORD (`study.origin`), or what is neither trained nor read; no mark typed by hand."""
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for call in ast.walk(ast.parse(cell.source)):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("plots.caption", "notebook.video"):
                text = ast.unparse(call.args[1])
                assert re.search(r"here\.(caption|data|preset)|study\.origin|no data|generated", text), text
                assert not re.search(r"\b(LIVE|RECORD)\b", text), text


def test_strict_pictures_hold_their_colours_and_no_others():
    """As PNG, and as few as their palettes have: a JPEG of one has tens of thousands. Greys are text."""
    notebook = nbformat.read(ROOT / "notebooks" / "09_palette_excitation.ipynb", as_version=4)
    strict = [cell for cell in code_cells(notebook) if 'plots.caption(figure, f"strict' in cell.source]
    assert strict
    for cell in strict:
        (picture,) = (it.data["image/png"] for it in cell.outputs if "image/png" in it.get("data", {}))
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")).reshape(-1, 3)
        colors = np.unique(pixels, axis=0).astype(int)
        assert (np.ptp(colors, axis=1) > 8).sum() <= 40


@EACH
def test_links_to_its_neighbours_and_its_sources(path):
    """From 01 to 11 and back, to papers and projects, and to nothing that is not there."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    place = NOTEBOOKS.index(path)
    neighbours = [NOTEBOOKS[it].name for it in (place - 1, place + 1) if it in range(len(NOTEBOOKS))]
    assert re.findall(r"\]\((\d\d_\w+\.ipynb)\)", cells[-1]) == neighbours
    headings = {f"#{title.replace(' ', '-')}" for title in re.findall(r"^#+ (.+)$", "\n".join(cells), re.MULTILINE)}
    links = re.findall(r"\]\(([^)\s]+)\)", "\n".join(cells))
    assert any(link.startswith("https://") for link in links)
    for link in links:
        there = link in headings if link.startswith("#") else (path.parent / link.partition("#")[0]).exists()
        assert there or link.startswith("https://"), link


@EACH
def test_is_an_essay_of_short_cells(path):
    notebook = nbformat.read(path, as_version=4)
    assert len(code_cells(notebook)) >= 15
    assert max(len(cell.source.splitlines()) for cell in code_cells(notebook)) <= 25
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    assert words >= 600
