"""The bench: its ratios are right, and the published loop that it measures does the published work."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture(scope="module")
def bench():
    """The bench's modules; they are no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TQDM_DISABLE", "1")
        patch.syspath_prepend(BENCH)
        names = ("run", "side_by_side", "colors")
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
    assert bench.side_by_side.compare(ours, theirs, 3) == {"ratio": 3.0, "low": 2.0, "high": 8.0, "bound": 2.0, "n": 3}
    # Warmed up once each, then in turns, each side first as often as the other.
    assert calls == ["ours", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours"]


def test_compare_counts_units_of_work(bench, clock):
    ours, theirs = (workload(clock, [each] * 3, [], "") for each in (10.0, 6.0))
    assert bench.side_by_side.compare(ours, theirs, 2, ours_count=5)["ratio"] == pytest.approx(3.0)


def test_cost_is_the_inverse_of_the_ratio(bench, clock):
    ours, theirs = (workload(clock, each, [], "") for each in ([1.0, 2.0, 1.0, 4.0], [1.0, 6.0, 8.0, 8.0]))
    measured = bench.side_by_side.compare(ours, theirs, 3, cost=True)
    assert measured == {
        "ratio": pytest.approx(1 / 3),
        "low": pytest.approx(1 / 8),
        "high": pytest.approx(1 / 2),
        "bound": pytest.approx(1 / 2),
        "n": 3,
    }


def test_compare_measures_real_time(bench):
    measured = bench.side_by_side.compare(lambda: sum(range(20_000)), lambda: sum(range(400_000)), 9)
    assert 2 < measured["ratio"] < 200
    assert 0 < measured["low"] <= measured["ratio"] <= measured["high"]


def test_every_pair_says_what_it_compares(bench):
    published = json.loads((BENCH.parent / "results" / "bench.json").read_text())
    assert set(bench.run.PAIRS) == set(published["pairs"])
    assert all(pair.__doc__ for pair in bench.run.PAIRS.values())


def test_unknown_pair_ends_in_one_sentence(bench):
    done = subprocess.run([sys.executable, BENCH / "run.py", "color_epoch", "nonsense"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"unknown pair nonsense, expected some of: {', '.join(bench.run.PAIRS)}\n"


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
