"""Processes that train together on one CPU train as one does. One launch a number serves every test here."""

import os
import subprocess
from itertools import pairwise

import pytest
import torch
from conftest import ROOT, fork, forking

SCRIPT = """
import atexit
import os
import sys
from pathlib import Path

import torch

from chromae.datasets import colors
from chromae.losses import mse, reconstruction
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.models.conv import shapes_encoder
from chromae.training import StopTraining, fit, one_cycle

FOLDER = Path(sys.argv[1])
RANK = int(os.environ.get("RANK", 0))
torch.set_num_threads(1)
LEFT = FOLDER / f"groups_left_{RANK}.txt"  # a file each: what several print comes out mixed
atexit.register(lambda: LEFT.write_text(f"{torch.distributed.is_initialized()}"))  # the first is called last
calls = []


def normed():
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.SiLU(), torch.nn.Linear(5, 3))


def images():
    norm = torch.nn.BatchNorm2d(4, momentum=None)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), norm, torch.nn.Flatten(), torch.nn.Linear(16, 16))


def rebuild(model, batch):
    return {"loss": mse(model(batch).view_as(batch), batch)}


def train(data, make=ColorAutoencoder, objective=reconstruction, **options):
    torch.manual_seed(RANK)  # the first process decides on the weights
    model, batches = make().double(), []

    def noted(model, batch):
        if model.training:
            batches.append(batch)
        return objective(model, batch)

    history = {}
    options = {"epochs": 3, "batch_size": 8, "lr": 0.01, "schedule": one_cycle, "clip": 0.02} | options
    try:
        history = fit(model, data, noted, **options)
        error = ""
    except (FloatingPointError, ValueError) as stopped:
        error = str(stopped)
    return {"weights": model.state_dict(), "history": history, "batches": batches, "error": error}


def note(epoch, model, history):
    calls.append(epoch)


def stop_after_two(epoch, model, history):  # which the first process alone calls
    if epoch == 2:
        raise StopTraining


class Loader:
    # Every process goes through its own: here, every one through its examples of every batch, and all but the first
    # have some more in the end, which are left.

    def __iter__(self):
        workers = int(os.environ.get("WORLD_SIZE", 1))
        yield from (part[RANK::workers] for part in tensor[:36].split(12))
        yield from [tensor[:4]] * RANK


class Empty:
    # Of some processes: then all refuse it together.

    def __iter__(self):
        return iter([tensor[:8]] if RANK else [])


def broken(model, batch):  # one process's loss is infinite, but no gradient is
    loss = reconstruction(model, batch)["loss"]
    return {"loss": loss + (torch.inf if RANK == 1 else 0)}


def single_colors(n, generator):
    return colors(n, generator).double()


tensor = colors(45, torch.Generator().manual_seed(0)).double()  # in batches of 8: the last has 5
held_out = colors(7, torch.Generator().manual_seed(1)).double()
squares = colors(30 * 16, torch.Generator().manual_seed(2)).double()[:, :1].reshape(30, 1, 4, 4)
checkpoint = FOLDER / f"by_rank_{RANK}.pt"
done = {"tensor": train(tensor, callback=note, checkpoint=checkpoint, validation=held_out), "calls": list(calls)}
done["checkpoints"] = sorted(path.name for path in FOLDER.glob("by_rank_*"))
done["sample"] = train(single_colors, epoch_size=40)
done["norms"] = train(tensor[:40], normed, rebuild, epochs=4, batch_size=8, validation=held_out)  # 20 steps
done["norms of images"] = train(squares, images, rebuild, epochs=3, batch_size=7)
done["other norms"] = train(tensor, lambda: torch.nn.SyncBatchNorm(3), rebuild) if "RANK" in os.environ else {}

# Read at once by all after the first has written it, and large, so that writing takes a while.
shared = FOLDER / "shared.pt"


def large():
    model = ColorAutoencoder()
    model.register_buffer("ballast", torch.zeros(4_000_000))
    return model


train(tensor, large, checkpoint=shared)
calls.clear()
done["resumed"] = train(tensor, large, callback=note, checkpoint=shared)
del done["resumed"]["weights"]["ballast"]
done["calls when resumed"] = list(calls)


def train_interrupted(data, make, objective, path, **options):
    # It stops in its third epoch, and goes on from its checkpoint.
    torch.manual_seed(RANK)
    model, calls = make().double(), []

    def breaks(model, batch):
        calls.append(len(batch))
        terms = objective(model, batch)
        return {"loss": terms["loss"] * (torch.nan if path and len(calls) == 13 else 1)}

    options = {"epochs": 4, "batch_size": 8, "lr": 0.01, "schedule": one_cycle, "checkpoint": path} | options
    try:
        history = fit(model, data, breaks, **options)
    except FloatingPointError:
        model = make().double()
        history = fit(model, data, breaks, **options)
    return {"weights": model.state_dict(), "history": history, "error": ""}


# 44 examples in batches of 8: the last has 4, uneven for two and three processes; with norms, through a checkpoint.
done["resumed half-way"] = train_interrupted(tensor[:44], normed, rebuild, FOLDER / "half.pt")
done["not interrupted"] = train_interrupted(tensor[:44], normed, rebuild, None)
done["single values"] = train(tensor[:33], normed, rebuild, epochs=1)
done["stopped early"] = train(tensor, epochs=9, callback=stop_after_two)
done["empty loader"] = train(Empty(), epochs=2, schedule=None)
done["loader"] = train(Loader(), epochs=2, schedule=None)
done["remainder"] = train(tensor[:33], epochs=1)
done["broken"] = train(tensor, objective=broken, epochs=1) if "RANK" in os.environ else {}
torch.save(done, FOLDER / f"done_{RANK}.pt")
"""


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """What the single process, each of two and each of three did."""
    script = tmp_path_factory.mktemp("script") / "train.py"
    script.write_text(SCRIPT)
    found = {}
    for processes in (1, 2, 3):
        folder = tmp_path_factory.mktemp("run")
        command = fork(str(script), str(folder))
        if processes > 1:
            several = ["--standalone", "--nproc-per-node", f"{processes}", "--no-python"]
            command = fork("torch.distributed.run", *several, *command)
        environment = os.environ | forking(ROOT / "src")
        run = subprocess.run(command, env=environment, timeout=240, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-3000:]
        left = [(folder / f"groups_left_{rank}.txt").read_text() for rank in range(processes)]
        assert left == ["False"] * processes, "a process leaves its group behind"
        found[processes] = [torch.load(folder / f"done_{rank}.pt") for rank in range(processes)]
    return found


@pytest.fixture(params=[2, 3])
def runs(request, launched):
    return [*launched[1], *launched[request.param]]


def check_close(ours, theirs, atol=1e-6):
    for name, value in ours["weights"].items():
        assert torch.allclose(value, theirs["weights"][name], atol=atol, rtol=0), name


@pytest.mark.parametrize(
    "kind", ["tensor", "norms", "norms of images", "remainder", "resumed half-way", "stopped early", "loader"]
)
def test_several_processes_end_with_the_weights_of_one(runs, kind):
    single, *several = (run[kind] for run in runs)
    assert not any(run["error"] for run in (single, *several))
    for run in several:
        check_close(run, single)


@pytest.mark.parametrize("kind", ["tensor", "norms"])
def test_several_processes_validate_as_one(runs, kind):
    single, *several = (run[kind]["history"]["val_loss"] for run in runs)
    for run in several:
        assert run == pytest.approx(single, abs=1e-6)


@pytest.mark.parametrize("kind", ["tensor", "sample", "norms", "norms of images", "resumed"])
def test_all_processes_hold_the_same_bits(runs, kind):
    for first, second in pairwise(run[kind]["weights"] for run in runs[1:]):
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_process_takes_its_share_of_each_batch(runs):
    single, *several = (run["tensor"]["batches"] for run in runs)
    for whole, *parts in zip(single, *several, strict=True):
        lengths = [len(part) for part in parts]
        assert max(lengths) - min(lengths) <= 1
        assert sorted(torch.cat(parts).tolist()) == sorted(whole.tolist())


def test_processes_make_different_examples(runs):
    several = [torch.cat(run["sample"]["batches"]) for run in runs[1:]]
    assert sum(map(len, several)) == 120
    assert len(torch.cat(several).unique(dim=0)) == 120


def test_only_the_first_process_calls_back_and_writes(runs):
    single, first, *others = runs
    assert single["calls"] == first["calls"] == [1, 2, 3]
    assert all(run["calls"] == [] for run in others)
    assert first["checkpoints"] == ["by_rank_0.pt"]
    assert all(set(run["checkpoints"]) <= {"by_rank_0.pt"} for run in others)


def test_processes_resume_together_from_what_the_first_has_read(runs):
    for run in runs:
        assert run["resumed"]["error"] == ""
        check_close(run["resumed"], runs[0]["tensor"])
        assert len(run["resumed"]["batches"]) == 0
        assert len(run["resumed"]["history"]["loss"]) == 3


def test_a_run_that_stopped_goes_on_as_if_it_had_not(runs):
    for run in runs:
        check_close(run["resumed half-way"], run["not interrupted"], atol=1e-12)
        assert len(run["resumed half-way"]["history"]["loss"]) == 4


def test_a_callback_that_stops_training_stops_all_processes(runs):
    assert all(len(run["stopped early"]["history"]["loss"]) == 2 for run in runs)


def test_a_loader_that_is_empty_in_one_process_is_refused_by_all(runs):
    assert all(run["empty loader"]["error"].startswith("data gave no batch") for run in runs)


def test_a_batch_of_one_value_has_no_statistics(runs):
    assert all("expected 2 or more for batch norm" in run["single values"]["error"] for run in runs[1:])


def test_only_the_first_process_calls_back_when_resumed(runs):
    single, first, *others = (run["calls when resumed"] for run in runs)
    assert single == first == [3]
    assert all(calls == [] for calls in others)


def test_an_infinite_loss_stops_all_processes(runs):
    for rank, run in enumerate(runs[1:]):
        where = "at step 1 of" if rank == 1 else "on another process, in"
        assert f"not finite {where} epoch 1" in run["broken"]["error"]


def test_norms_that_cannot_see_the_whole_batch_are_refused(runs):
    assert all("SyncBatchNorm" in run["other norms"]["error"] for run in runs[1:])
