"""Two processes on one CPU train as one does. One launch serves every test here: starting torch twice is slow."""

import subprocess
import sys

import pytest
import torch

SCRIPT = """
import os
import sys
from pathlib import Path

import torch

from chromae.datasets import colors
from chromae.losses import reconstruction
from chromae.models.color import ColorAutoencoder
from chromae.training import fit, one_cycle

FOLDER = Path(sys.argv[1])
RANK = int(os.environ.get("RANK", 0))
calls = []


def train(data, **options):
    torch.manual_seed(RANK)  # the first process decides on the weights
    model, batches = ColorAutoencoder(), []

    def objective(model, batch):
        batches.append(batch)
        return reconstruction(model, batch)

    history = {}
    options = {"epochs": 3, "batch_size": 8, "lr": 0.01, "schedule": one_cycle, "clip": 0.02} | options
    try:
        history = fit(model, data, objective, **options)
        error = ""
    except FloatingPointError as stopped:
        error = str(stopped)
    return {"weights": model.state_dict(), "history": history, "batches": batches, "error": error}


def note(epoch, model, history):
    calls.append(epoch)


tensor = colors(40, torch.Generator().manual_seed(0))
checkpoint = FOLDER / f"by_rank_{RANK}.pt"
done = {"tensor": train(tensor, callback=note, checkpoint=checkpoint), "calls": list(calls)}
done["checkpoints"] = sorted(path.name for path in FOLDER.glob("by_rank_*"))
done["sample"] = train(colors, epoch_size=40)
shared = FOLDER / "shared.pt"
train(tensor, checkpoint=shared)
if "RANK" in os.environ:
    torch.distributed.barrier()
calls.clear()
done["resumed"] = train(tensor, callback=note, checkpoint=shared)
done["calls when resumed"] = list(calls)
done["remainder"] = train(tensor[:33], epochs=1)
torch.save(done, FOLDER / f"done_{RANK}.pt")
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What the single process, the first of two and the second of two did."""
    script = tmp_path_factory.mktemp("script") / "train.py"
    script.write_text(SCRIPT)
    single, both = tmp_path_factory.mktemp("single"), tmp_path_factory.mktemp("both")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    commands = [[sys.executable, script, single], [*launch, script, both]]
    for process in [subprocess.Popen(command) for command in commands]:
        assert process.wait(timeout=120) == 0
    return [torch.load(path) for path in (single / "done_0.pt", both / "done_0.pt", both / "done_1.pt")]


def check_close(ours, theirs):
    for name, value in ours["weights"].items():
        assert torch.allclose(value, theirs["weights"][name], atol=1e-5, rtol=0)


def test_two_processes_end_with_the_weights_of_one(runs):
    single, first, second = (run["tensor"] for run in runs)
    check_close(first, single)
    check_close(second, single)


def test_both_processes_hold_the_same_bits(runs):
    for kind in ("tensor", "sample"):
        first, second = (run[kind]["weights"] for run in runs[1:])
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_process_takes_its_share_of_each_batch(runs):
    single, first, second = (run["tensor"]["batches"] for run in runs)
    assert len(single) == len(first) == len(second) == 15
    for whole, a, b in zip(single, first, second, strict=True):
        assert len(a) == len(b) == 4
        assert sorted(torch.cat([a, b]).tolist()) == sorted(whole.tolist())


def test_processes_make_different_examples(runs):
    first, second = (torch.cat(run["sample"]["batches"]) for run in runs[1:])
    assert len(first) == len(second) == 60
    assert len(torch.cat([first, second]).unique(dim=0)) == 120


def test_only_the_first_process_calls_back_and_writes(runs):
    single, first, second = runs
    assert single["calls"] == first["calls"] == [1, 2, 3]
    assert second["calls"] == []
    assert first["checkpoints"] == ["by_rank_0.pt"]
    assert not any("by_rank_1.pt" in run["checkpoints"] for run in runs)


def test_processes_resume_together(runs):
    for run in runs:
        check_close(run["resumed"], runs[0]["tensor"])
        assert len(run["resumed"]["batches"]) == 0
        assert len(run["resumed"]["history"]["loss"]) == 3


def test_only_the_first_process_calls_back_when_resumed(runs):
    assert [run["calls when resumed"] for run in runs] == [[3], [3], []]


def test_a_last_batch_of_one_example_trains_on(runs):
    single, first, second = (run["remainder"] for run in runs)
    assert (single["error"], first["error"], second["error"]) == ("", "", "")
    check_close(first, single)
    check_close(second, single)
