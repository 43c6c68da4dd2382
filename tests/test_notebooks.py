"""The notebooks run from a bare clone, and are committed as a reader should find them."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from itertools import pairwise

import nbformat
import pytest

from chromae.settings import ROOT, data_folder

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def files(folder):
    skipped = {"__pycache__", ".git"}
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in folder.rglob("*") if not skipped & set(p.parts)}


@EACH
def test_runs_in_the_fast_preset_from_a_bare_clone(path, clone, tmp_path):
    """With the requirements, without the package installed, from the notebook's own folder; writes to temp only."""
    temp, executed = tmp_path / "temp", tmp_path / "executed"
    temp.mkdir()
    before = files(clone)
    # The interpreter under the environment, with its libraries on the path but not its editable packages.
    environment = os.environ | {
        "CHROMAE_PRESET": "fast",
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(temp),
        "TQDM_DISABLE": "1",
        "CHROMAE_DATA": str(data_folder()),  # fetched once for all clones
    }
    command = [sys._base_executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", executed]
    run = subprocess.run(
        [*command, path.name], cwd=clone / "notebooks", env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    notebook = nbformat.read(executed / path.name, as_version=4)
    assert not [o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"]
    assert files(clone) == before

    written = json.loads((temp / "chromae-fast" / "results" / f"{path.stem}.json").read_text())
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
    assert path.stat().st_size < 500_000
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text())
    assert not re.search(r"/(home|root|Users|tmp|work)/", text)


@EACH
def test_is_an_essay_of_short_cells(path):
    notebook = nbformat.read(path, as_version=4)
    assert 15 <= len(code_cells(notebook)) <= 25
    assert max(len(cell.source.splitlines()) for cell in code_cells(notebook)) <= 40
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    assert 600 <= words <= 1500
