"""The bench: its ratios are right, and the published loop that it measures does the published work."""

import importlib
import json
import math
import mmap
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, fork, forking
from PIL import Image

from chromae import datasets

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture(scope="module")
def bench():
    """The bench's modules; they are no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TQDM_DISABLE", "1")
        patch.syspath_prepend(BENCH)
        names = (
            "run", "side_by_side", "colors", "animation", "ceilings", "ensembles", "loaders", "pythae_environment",
            "gpu_check", "growth", "newcomer",
        )  # fmt: skip
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def clock(bench, monkeypatch):
    """A clock that stands still unless a workload moves it on."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(bench.side_by_side, "time", clock)
    return clock


def workload(clock: SimpleNamespace, times: list[float], calls: list, name: str):
    """Something that takes these times, one a call."""
    left = iter(times)

    def work() -> None:
        calls.append(name)
        clock.now += next(left)

    return work


def test_compare_gives_median_and_range_of_the_ratios(bench, clock):
    calls = []
    ours = workload(clock, [99.0, 2.0, 1.0, 4.0], calls, "ours")
    theirs = workload(clock, [1.0, 6.0, 8.0, 8.0], calls, "theirs")
    assert bench.side_by_side.compare(ours, theirs, 3) == {
        "ratio": 3.0, "low": 2.0, "high": 8.0, "bound": 2.0, "n": 3, "seconds_ours": 2.0, "seconds_theirs": 8.0,
    }  # fmt: skip
    # Warmed up once each, then in turns, each side first as often as the other.
    assert calls == ["ours", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours"]


def test_compare_counts_units_of_work(bench, clock):
    ours, theirs = (workload(clock, [each] * 3, [], "") for each in (10.0, 6.0))
    measured = bench.side_by_side.compare(ours, theirs, 2, ours_count=5)
    assert measured["ratio"] == pytest.approx(3.0)
    assert (measured["seconds_ours"], measured["seconds_theirs"]) == (pytest.approx(2.0), pytest.approx(6.0))


def test_cost_is_the_inverse_of_the_ratio(bench, clock):
    ours, theirs = (workload(clock, each, [], "") for each in ([1.0, 2.0, 1.0, 4.0], [1.0, 6.0, 8.0, 8.0]))
    measured = bench.side_by_side.compare(ours, theirs, 3, cost=True)
    assert measured == {
        "ratio": pytest.approx(1 / 3),
        "low": pytest.approx(1 / 8),
        "high": pytest.approx(1 / 2),
        "bound": pytest.approx(1 / 2),
        "n": 3,
        "seconds_ours": pytest.approx(2.0),
        "seconds_theirs": pytest.approx(8.0),
    }


def test_compare_measures_real_time(bench):
    measured = bench.side_by_side.compare(lambda: sum(range(20_000)), lambda: sum(range(400_000)), 9)
    assert 2 < measured["ratio"] < 200
    assert 0 < measured["low"] <= measured["ratio"] <= measured["high"]


def own_memory(process):  # of no child, and shared pages too: those of a fork that ends become this process's own
    import psutil

    return psutil.Process(process).memory_info().rss / 1e6


def test_the_memory_of_a_side_is_what_it_takes_beyond_the_process(bench, monkeypatch):
    monkeypatch.setattr(bench.side_by_side.cells, "_memory", own_memory)

    def ours() -> None:
        with mmap.mmap(-1, 60_000_000) as held:  # never served from memory that earlier tests left free
            np.frombuffer(held, np.uint8)[:] = 1
            time.sleep(0.2)

    monkeypatch.setattr(bench.run, "PAIRS", {"pair": lambda: bench.side_by_side.compare(ours, lambda: 1 / 0, 3)})
    assert bench.run.peak("ours", "pair") == pytest.approx(60, abs=15)
    with pytest.raises(ZeroDivisionError):
        bench.run.peak("theirs", "pair")
    assert bench.side_by_side.alone is None


def test_a_pair_that_fails_costs_no_other(bench, monkeypatch, tmp_path, capsys):
    """And where none can be written, a line says why."""
    found = {"ratio": 2.0, "low": 1.0, "high": 3.0, "bound": 1.5, "n": 3, "seconds_ours": 1.0, "seconds_theirs": 2.0}
    monkeypatch.setattr(bench.run, "PAIRS", {"good": lambda: found, "bad": lambda: bench.side_by_side.agree(
        {"ours": 1.0, "theirs": 2.0}, within=0.1), "later": lambda: found})  # fmt: skip
    monkeypatch.setattr(bench.run, "peaks", lambda name: {"peak_mb_ours": 1.0, "peak_mb_theirs": 2.0})
    monkeypatch.setattr(bench.run.settings, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"^failed: bad$"):
        bench.run.main([])
    path = tmp_path / "results" / "bench.json"
    assert list(json.loads(path.read_text())["pairs"]) == ["good", "later"]
    assert re.search(r"^bad +failed: AssertionError: the two loops do not learn", capsys.readouterr().out, re.MULTILINE)
    path.write_text('{"device": "another", "pairs": {}}')
    bench.run.main(["good"])
    assert "results/bench.json stays: it is of another machine or other versions" in capsys.readouterr().out
    assert json.loads(path.read_text())["pairs"] == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["four"], "JOBS is four, expected a number: 0 for the tests alone"),
        (["2", "nonsense"], "COMMIT is nonsense, which this clone does not have"),
        (["2"], "has run its notebooks, so that `make` would find nothing to do: name another FOLDER"),
    ],
)
def test_a_newcomers_mistakes_cost_no_hour(bench, tmp_path, arguments, sentence):
    made = tmp_path / "my projects" / "chromae" / "build"
    made.mkdir(parents=True)
    (made / "01_a.ipynb").touch()
    with pytest.raises(SystemExit, match=re.escape(sentence)):
        bench.newcomer.main(str(tmp_path), *arguments)


def test_an_older_commit_is_not_asked_to_bear_a_space(bench, tmp_path):
    with pytest.raises(SystemExit, match="expected no spaces beside a COMMIT"):
        bench.newcomer.main(str(tmp_path / "a b"), "2", "HEAD")


def test_notebooks_in_a_row_are_told_from_what_make_prints(bench, tmp_path):
    """Of a Makefile that echoes its commands, as of one that is silent."""
    for told in ("run notebooks/{}.ipynb", "[1 of 2] {}: running, about a minute"):
        lines = "".join(f"\t@echo '{told.format(name)}'\n" for name in ("01_a", "01_a", "02_b"))
        (tmp_path / "Makefile").write_text(f"all:\n{lines}")
        seconds, took = bench.newcomer.in_a_row(tmp_path)
        assert list(took) == ["01_a", "02_b"]
        assert sum(took.values()) <= seconds + 1


def test_every_pair_says_what_it_compares(bench):
    published = json.loads((BENCH.parent / "results" / "bench.json").read_text())
    assert set(bench.run.PAIRS) >= set(published["pairs"]), "those that were skipped are not published"
    assert all(pair.__doc__ for pair in bench.run.PAIRS.values())


class Ran(Exception):
    """Our side of a pair has run."""


@pytest.mark.parametrize("name", ["color_epoch", "fit_overhead_cost", "cb_log_density", "shapes_render"])
def test_our_side_of_a_pair_runs(bench, monkeypatch, name):
    def once(ours, *_, **__):
        ours()
        raise Ran

    pair = bench.run.PAIRS[name]
    monkeypatch.setattr(sys.modules[pair.__module__], "compare", once)
    with pytest.raises(Ran):
        pair()


def test_unknown_pair_ends_in_one_sentence(bench):
    with pytest.raises(SystemExit) as ended:
        bench.run.main(["color_epoch", "nonsense"])
    assert ended.value.code == f"unknown pair nonsense, expected some of: {', '.join(bench.run.PAIRS)}"


def test_published_loop_trains_evaluates_and_draws(bench, tmp_path):
    torch.manual_seed(0)
    loop = bench.colors.PublishedLoop(128)
    before = [parameter.detach().clone() for parameter in loop.network.parameters()]
    error = loop.epoch(tmp_path / "map.png")
    assert math.isfinite(error)
    assert 0 < error < 0.5
    for old, new in zip(before, loop.network.parameters(), strict=True):
        assert not torch.equal(old, new)

    picture = np.asarray(Image.open(tmp_path / "map.png"))
    assert picture.shape == (200, 200, 3)
    axis = torch.linspace(0, 1, 200)
    second, first = torch.meshgrid(axis, axis, indexing="ij")
    with torch.no_grad():
        decoded = 255 * loop.network.decode(torch.stack([first, second], -1))
    assert np.abs(picture - decoded.numpy()).max() <= 1
    assert picture.std((0, 1)).max() > 1, "a map of one colour shows no order of rows and columns"


def test_published_loop_learns(bench):
    torch.manual_seed(0)
    loop = bench.colors.PublishedLoop(256, batch_size=4)
    errors = []
    for _ in range(2):
        errors.append(loop.evaluate())
        loop.train()
    assert errors[1] < errors[0]


def test_ensembles_learn_what_their_members_learn_in_turn(bench, monkeypatch):
    for name, value in {"MEMBERS": 2, "EPOCHS": 1, "COLORS": 64}.items():
        monkeypatch.setattr(bench.ensembles, name, value)
    assert bench.ensembles.ensemble_32_vs_in_turn()["n"] == 7
    assert bench.ensembles.ensemble_32_cost()["n"] == 21


@pytest.mark.parametrize("channels", [1, 3])
def test_loaders_give_the_same_images(bench, monkeypatch, channels):
    monkeypatch.setattr(bench.loaders, "WORKERS", 0)
    images = torch.randint(256, (200, channels, 8, 8), dtype=torch.uint8)
    data = datasets.Labelled(images, torch.zeros(200, dtype=torch.long))
    assert bench.loaders._loaders(data, 150, rounds=1)["n"] == 1
    image, label = bench.loaders.in_torchvision(*data)[3]
    assert torch.equal(255 * image, images[3].float())
    assert label == 0


def test_films_of_both_sides_have_their_frames(bench):
    assert bench.animation._films(2, rounds=1)["n"] == 1


def speaks(path: Path, lines: str) -> Path:
    """Something that runs in place of the other environment's Python."""
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name == "nt", reason="there is no sh")
def test_pythae_answers_from_a_process_of_its_own(bench, monkeypatch, tmp_path):
    there, fake = (
        bench.pythae_environment,
        speaks(tmp_path / "python", 'echo "{}"; read line; echo "{\\"loss\\": 3.5}"'),
    )
    monkeypatch.setattr(there, "python", lambda folder: fake)
    with there.trainer("mlp", 128) as train:
        assert train() == 3.5
    speaks(fake, "echo no module named pythae >&2; exit 1")
    with (
        pytest.raises(bench.side_by_side.Skipped, match="does not run here: no module named pythae"),
        there.trainer("mlp", 128),
    ):
        pass


def test_pairs_without_pythae_are_skipped_with_the_reason(bench, monkeypatch, tmp_path):
    def fails(command, **_):
        raise subprocess.CalledProcessError(1, command, stderr="WARNING: tried\nERROR: no matching distribution\n")

    monkeypatch.setattr(bench.pythae_environment.subprocess, "run", fails)
    with pytest.raises(bench.side_by_side.Skipped, match=r"cannot be installed in there: ERROR: no matching"):
        bench.pythae_environment.python(tmp_path / "there")


def test_work_counts_matrix_products_and_bytes(bench):
    a, b = torch.rand(8, 16), torch.rand(16, 4, requires_grad=True)
    forward = bench.ceilings.work(lambda: a @ b)
    assert forward == (2 * 8 * 16 * 4, 4 * (8 * 16 + 16 * 4 + 8 * 4))
    assert bench.ceilings.work(lambda: (a @ b).sum().backward()).flops == 2 * forward.flops
    assert bench.ceilings.work(lambda: a.T).bytes == 0
    assert bench.ceilings.matrix_product(torch.device("cpu"), torch.float32, 32) > 0


@pytest.fixture
def two_cases(bench, monkeypatch):
    monkeypatch.setenv("CHROMAE_PRESET", "fast")
    cases = {name: bench.gpu_check.CASES[name]._replace(batch=4) for name in ("colors", "photos")}
    monkeypatch.setattr(bench.gpu_check, "CASES", cases)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--device", "cpu"])


def test_gpu_check_measures_every_case(bench, two_cases, capsys):
    bench.gpu_check.main()
    path = Path(capsys.readouterr().out.splitlines()[-1].removeprefix("wrote "))
    assert not path.is_relative_to(BENCH.parent)
    record = json.loads(path.read_text())
    assert (record["notebook"], record["preset"]) == ("gpu", "fast")
    found = {name: one["value"] for name, one in record["metrics"].items()}
    assert {"copy_gb_per_second", "matmul_gflops_float32"} <= set(found)
    for case in ("colors", "photos"):
        assert found[f"gradient_error_{case}"] == found[f"loss_error_{case}"] == 0  # the CPU against itself
        assert min(found[f"{kind}_{case}"] for kind in ("images_per_second", "matmul_share", "bandwidth_share")) > 0


def test_gpu_check_says_where_a_gpu_differs(bench, two_cases, monkeypatch):
    errors = {"gradient_error_colors": float("nan"), "loss_error_colors": 0.009, "loss_error_photos": 0.011}
    metrics = {name: {"value": value} for name, value in errors.items()}
    monkeypatch.setattr(bench.gpu_check, "check", lambda *_: metrics)
    with pytest.raises(SystemExit, match=r"what the CPU does: see gradient_error_colors, loss_error_photos$"):
        bench.gpu_check.main()


def test_gpu_check_needs_a_gpu(bench, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(SystemExit, match=r"^PyTorch sees no GPU on this machine: gpu-check needs one$"):
        bench.gpu_check.main()


@pytest.mark.parametrize("name", ["digits_conv", "digits_dense", "photos", "shapes"])
def test_gpu_check_trains_its_cases(bench, name):
    case = bench.gpu_check.CASES[name]._replace(batch=2)
    assert bench.gpu_check.parity(case, torch.device("cpu"), 1) == (0, 0)
    assert bench.gpu_check.rate(case, torch.device("cpu"), bench.gpu_check.Size(1, 1, 1, 1, 1)) > 0


def test_growth_is_measured_drawn_and_written(bench, tmp_path):
    script = tmp_path / "point.py"  # in a process of its own, for earlier tests leave memory free
    script.write_text(
        "import gc, growth, psutil\nfrom chromae.running import cells\n"
        "gc.collect()  # what it shares with the process that it was forked from becomes its own now\n"
        "cells._memory = lambda it: psutil.Process(it).memory_full_info().uss / 1e6\n"
        "print(*growth.point('images', 16_000, rounds=1))\n"
    )
    environment = os.environ | forking(ROOT / "src", ROOT / "bench")
    done = subprocess.run(fork(str(script)), env=environment, capture_output=True, text=True, check=True)
    took, mb = map(float, done.stdout.split())
    assert took > 0
    assert 12 < mb < 200  # 16,000 images of 784 bytes, and what a step holds
    bench.growth.digits(images=8, batch=4, width=4)()
    bench.growth.ensemble(2, colors=64)()
    found = {"images": {"at": [1, 10, 100, 1000], "seconds": [1.0, 1.0, 10.0, 100.0], "mb": [5.0, 5.0, 5.0, 5.0]}}
    path = bench.growth.publish(found, 1.0, tmp_path, tmp_path / "growth.webp")
    metrics = json.loads(path.read_text())["metrics"]
    assert metrics["images_slope_seconds"]["value"] == pytest.approx(1)
    assert metrics["images_slope_mb"]["value"] == pytest.approx(0)
    assert metrics["images_100_seconds"]["value"] == 10
    assert Image.open(tmp_path / "growth.webp").size[0] > 100
    assert set(bench.growth.AXES) == set(bench.growth.LABELS)
