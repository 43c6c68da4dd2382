"""A notebook's first line and its last."""

import base64
import ctypes
import io
import json
import os
import platform
import subprocess
import sys
from unittest import mock

import nbclient
import nbformat
import pytest
import torch
from conftest import ROOT, forked_kernels
from IPython.display import HTML
from PIL import Image

from chromae import notebook, settings
from chromae.figures import frames, style
from chromae.records import results

NUMBERS = {
    "mse": results.metric([0.25, 0.75], "MSE on [0,1]"),
    "images_seen": results.metric(2_200_000.0, "images"),
}


@pytest.fixture
def by_hand(tmp_path, monkeypatch):
    """A run by hand of the standard preset, in a repository of its own."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    for name in ("CHROMAE_PRESET", "CHROMAE_DEVICE", "CHROMAE_PUBLISH", "CHROMAE_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_first_line_says_where_a_notebook_runs(by_hand):
    here = notebook.begin("03_digits", data="MNIST, 7 digits")
    assert (here.name, here.preset, here.device) == ("03_digits", "standard", settings.device())
    assert here.folders == settings.folders("03_digits")
    assert here.folders.frames.is_dir()
    assert here.data == "MNIST, 7 digits, preset standard"
    assert here.caption == "LIVE · MNIST, 7 digits, preset standard"


def test_it_takes_a_device_and_a_quality_of_figures(by_hand, monkeypatch):
    used = []
    monkeypatch.setattr(style, "use", used.append)
    here = notebook.begin("03_digits", data="none", device="meta", quality=33)
    assert here.device == torch.device("meta")
    assert here.caption == "LIVE · none, preset standard"
    assert used == [33]


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="it is glibc that keeps it")
def test_memory_is_kept_for_the_next_tensor(tmp_path):
    script = """
import os
import psutil, torch
from chromae import notebook
notebook.begin("00_memory", data="no data", device="cpu")
process = psutil.Process()
for count, numbers in ((1, 24_000_000), (12, 2_000_000)):  # 96 MB each time
    tensors = [torch.ones(numbers) for _ in range(count)]
    held = process.memory_info().rss
    del tensors
    print((held - process.memory_info().rss) / 1e6)
print(os.environ["MALLOC_MMAP_THRESHOLD_"], os.environ["MALLOC_TRIM_THRESHOLD_"])
"""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    fresh = theirs | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=fresh, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    large, small, mapped, trimmed = map(float, done.stdout.split())
    assert small < 10
    assert large > 90
    assert (mapped, trimmed) == (32 * 2**20, 128 * 2**20)


@pytest.mark.parametrize(
    "chosen",
    [
        {"MALLOC_TRIM_THRESHOLD_": "1000000"},
        {"MALLOC_MMAP_THRESHOLD_": "1000000"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1000000"},
    ],
)
def test_what_the_user_chose_for_memory_stays(by_hand, monkeypatch, chosen):
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ctypes, "CDLL", mock.Mock(side_effect=AssertionError("the C library is told something")))
    notebook.begin("00_memory", data="no data", device="cpu")
    assert {name: os.environ[name] for name in names if name in os.environ} == chosen


def test_an_unknown_preset_is_told_before_anything_is_made(by_hand, monkeypatch):
    monkeypatch.setenv("CHROMAE_PRESET", "slow")
    with pytest.raises(ValueError, match="CHROMAE_PRESET is 'slow', expected one of fast, standard, full"):
        notebook.begin("03_digits", data="none")
    assert list(by_hand.iterdir()) == []


def test_the_last_line_writes_the_numbers_and_prints_them(by_hand, monkeypatch, capsys):
    here = notebook.begin("03_digits", data="MNIST", device="cpu")
    monkeypatch.setattr("time.perf_counter", lambda: here.started + 12.4)
    assert here.publish(NUMBERS) is None  # or a notebook would show it
    name = settings.device_name("cpu")
    assert capsys.readouterr().out.splitlines() == [
        "mse                  0.500000 ± 0.353553  MSE on [0,1]",
        "images_seen  2,200,000.000000             images",
        f"12 seconds, preset standard, {name}",
    ]
    written = json.loads((by_hand / "build" / "results" / "03_digits.json").read_text())
    assert written["metrics"] == NUMBERS
    assert [written[key] for key in ("notebook", "preset", "device", "data", "seconds")] == [
        "03_digits", "standard", name, "MNIST, preset standard", 12,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({}, r"metrics is empty, expected one number or more"),
        ({"mse": 0.5}, r"Here\.publish: metrics is dict {'mse': 0\.5}, expected [^\n]*"),
        ({"mse": {"value": 0.5}}, r"Here\.publish: metrics is dict [^\n]*, expected [^\n]*"),
    ],
)
def test_what_is_no_number_to_publish_is_one_sentence_and_nothing_is_written(by_hand, metrics, sentence):
    here = notebook.begin("03_digits", data="MNIST")
    with pytest.raises((ValueError, TypeError), match=f"^(notebook.)?{sentence}$"):
        here.publish(metrics)
    assert list(here.folders.results.iterdir()) == []


def test_films_are_found_from_where_the_notebook_lies(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    film = tmp_path / "images" / "a.mp4"
    end = " autoplay loop muted controls></video>"
    path = os.path.join("..", "images", "a.mp4")
    one, two = notebook.video(film, "Seed 0"), notebook.video([film, str(film)], "twice", width=49)
    assert isinstance(one, HTML)
    assert one.data == f'<video src="{path}" width="80%"{end}<p>Seed 0</p>'
    odd = notebook.video(tmp_path / "images" / 'a #1 "x".mp4', "").data
    assert odd.startswith('<video src="../images/a%20%231%20%22x%22.mp4" width="80%"')
    assert two.data == 2 * f'<video src="{path}" width="49%"{end}' + "<p>twice</p>"


WATCHED = """
import numpy as np
import time
from chromae import notebook
from chromae.figures import frames
notebook.begin("00_watched", data="no data", device="cpu")
folder = frames.clear("{folder}")
"""
FRAMES = """
for step in range({count}):
    frames.save(np.full((32, 48, 3), 40 * step, np.uint8), folder, step)
    time.sleep({pause})
"""


@pytest.mark.parametrize("silent", ["", "1"])
def test_frames_stand_below_their_cell_while_it_runs(silent, tmp_path, monkeypatch):
    """One picture a cell, the last that was shown; none where progress is silenced, as while publishing."""
    monkeypatch.setenv("TQDM_DISABLE", silent)
    films = [FRAMES.format(count=4, pause=0.4), FRAMES.format(count=6, pause=0)]
    cells = [WATCHED.format(folder=tmp_path / "clip"), *films]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with mock.patch.dict(os.environ, forked_kernels(tmp_path, ROOT / "src")):
        nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute(cwd=tmp_path)
    shown = [[output for output in cell.outputs if output.output_type == "display_data"] for cell in book.cells]
    assert [len(outputs) for outputs in shown] == [0, *([0, 0] if silent else [1, 1])]
    if not silent:
        first, second = (
            Image.open(io.BytesIO(base64.b64decode(outputs[0]["data"]["image/jpeg"]))) for outputs in shown[1:]
        )
        assert first.size == (48, 32)
        assert first.getpixel((9, 9))[0] == pytest.approx(120, abs=3)  # the fourth took the place of the third
        assert second.getpixel((9, 9))[0] == pytest.approx(0, abs=3)  # the others came within a third of a second


def test_without_jupyter_nobody_watches(by_hand):
    notebook.begin("00_watched", data="no data")
    assert frames.watchers == []
