"""Faults: kill -9 at any moment and writers side by side lose nothing, and nobody ever reads half a file."""

import contextlib
import multiprocessing
import os
import random
import signal
import time
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import tally
from faults.contents import contents, litter

if os.name == "nt":
    pytest.skip("Windows has no kill -9 and no fork", allow_module_level=True)

from faults import jobs, writes

HOLD = 0.02  # seconds that every write of a killed worker lasts at least
ROUNDS = 5 if tally.nightly else 1
WRITING = 7 if tally.nightly else 0.5  # seconds that writers write side by side
# A worker that goes on where it stopped, and one that begins anew each time; how many kills, and how many of those wait
# for the worker to be inside a write.
KILLS = {
    "train": (3, True), "train_large": (1, True), "study_here": (2, True), "study_in_two": (1, True),
    "draw": (2, False), "encode": (1, False), "fetch": (2, False), "publish": (1, False), "keep": (1, False),
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    """Forks workers from a process that has torch loaded and runs no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.warm", "pytest"])  # the latter is what a child takes for its main module
    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).parent)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))
        forkserver.ensure_running()
    return context


@pytest.fixture
def start(server):
    """Starts workers, and ends those that a failed test leaves."""
    started = []

    def start(function, *arguments, **options):
        started.append(server.Process(target=function, args=arguments, kwargs=options))
        started[-1].start()
        return started[-1]

    yield start
    for worker in started:
        if worker.is_alive():
            kill(worker)


def kill(worker, number: int = signal.SIGKILL) -> None:
    """Signal a worker and all its children, if it still runs."""
    for send in (os.killpg, os.kill):  # so young a worker has no group of its own yet
        with contextlib.suppress(ProcessLookupError):
            send(worker.pid, number)
            break
    if number == signal.SIGKILL:
        worker.join()
        with contextlib.suppress(ProcessLookupError):
            for _ in range(5000):  # until the system has buried its children, too
                os.killpg(worker.pid, 0)
                time.sleep(0.001)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def said(log: Path) -> str:
    return "\n".join(lines(log)[-20:] + lines(log.with_suffix(".said"))[-40:])


def inside(log: Path) -> bool:
    """Whether a process of the latest life has begun a write that it has not ended."""
    open_writes = set()
    for line in lines(log):
        word, pid, path = line.split(maxsplit=2)
        if word == "life":
            open_writes.clear()
        (open_writes.add if word == "begin" else open_writes.discard)((pid, path))
    return bool(open_writes)


def begun(log: Path) -> int:
    return sum(line.startswith("begin") for line in lines(log))


def finish(worker, log: Path, timeout: float = 300) -> None:
    worker.join(timeout)
    assert worker.exitcode == 0, f"ended with {worker.exitcode}:\n{said(log)}"


def wait_for_a_write(worker, log: Path, count: int, delay: float) -> None:
    """Stop a worker some time after it began its next `count`th write, or a later one that it is inside of then."""
    first = begun(log) + count
    while worker.is_alive():
        if begun(log) >= first:
            time.sleep(delay)
            kill(worker, signal.SIGSTOP)
            if inside(log):
                return
            kill(worker, signal.SIGCONT)
            first = begun(log) + 1
        time.sleep(0.001)


@pytest.mark.parametrize("kind", KILLS)
def test_a_killed_worker_called_again_ends_as_if_undisturbed(start, tmp_path, kind, monkeypatch):
    """kill -9 at random moments, some chosen inside a write; the last life runs to its end."""
    count, goes_on = KILLS[kind]
    count *= ROUNDS
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    whole, killed, log, stop = tmp_path / "whole", tmp_path / "killed", tmp_path / "killed.log", tmp_path / "stop"
    finish(start(jobs.work, kind, whole, tmp_path / "whole.log", HOLD), tmp_path / "whole.log")
    total, seconds = begun(tmp_path / "whole.log"), float(lines(tmp_path / "whole.log")[-1].split()[-1])
    reader = start(writes.read_until, killed, stop, tmp_path / "read.log")
    rng, hits, kills = random.Random(kind), 0, 0
    moments = [rng.uniform(0, total) for _ in range(count)]  # in writes of an undisturbed run
    if goes_on:
        moments = np.diff(sorted(moments), prepend=0)  # each life does a part
    for number, moment in enumerate(moments):
        worker = start(jobs.work, kind, killed, log, HOLD)
        if number % 2 == 0:
            wait_for_a_write(worker, log, 1 + int(moment), rng.uniform(0, HOLD))
        else:
            worker.join(moment / total * seconds)
        alive = worker.is_alive()
        kill(worker)
        kills += alive
        hits += alive and inside(log)
    last = start(jobs.work, kind, killed, log, HOLD)
    finish(last, log)
    stop.touch()
    finish(reader, tmp_path / "read.log")
    reads = lines(tmp_path / "read.log")
    half = [line for line in reads if line.startswith("half")]
    same = contents(killed) == contents(whole)
    tally.note(kills=kills, kills_inside_a_write=hits, lost=int(not same), reads=len(reads), half_files=len(half))
    assert not half
    assert contents(killed) == contents(whole)
    assert not litter(killed)
    assert kills >= count // 2
    assert hits >= kills / 2
    assert reads


WRITTEN = ["json", "pt", "safetensors", "png", "npz", "svg", "mp4", "clip", "readme", "figure"]


def written(start, kind: str, folder: Path, which: int = 0) -> dict[str, str]:
    """What one undisturbed write leaves in a folder."""
    writes.prepare(folder) if kind == "readme" else folder.mkdir()
    log = folder.with_suffix(".log")
    finish(start(writes.write_until, kind, folder, which, 0, log), log)
    assert lines(log) == ["wrote"], said(log)
    return contents(folder)


@pytest.mark.parametrize("kind", WRITTEN)
def test_two_writers_of_one_file_do_not_mix(start, tmp_path, kind, monkeypatch):
    """Two processes write the same files while two read them: every file read is one writer's, to its end."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    alone = [written(start, kind, tmp_path / f"alone-{which}", which) for which in (0, 1)]
    folder, stop = tmp_path / "shared", tmp_path / "stop"
    writes.prepare(folder) if kind == "readme" else folder.mkdir()
    known = {digest for found in [*alone, contents(folder)] for digest in found.values()}
    logs = [tmp_path / f"{name}.log" for name in ("writer-0", "writer-1", "reader-0", "reader-1")]
    readers = [start(writes.read_until, folder, stop, log, known) for log in logs[2:]]
    until = time.time() + WRITING
    writers = [start(writes.write_until, kind, folder, which, until, logs[which]) for which in (0, 1)]
    for writer, log in zip(writers, logs, strict=False):
        finish(writer, log)
    stop.touch()
    for reader, log in zip(readers, logs[2:], strict=True):
        finish(reader, log)
    wrote, reads = (lines(logs[i]) + lines(logs[i + 1]) for i in (0, 2))
    half = [line for line in reads if not line.startswith("read")]
    tally.note(reads=len(reads), half_files=len(half))
    assert set(wrote) == {"wrote"}
    assert not half
    assert len(wrote) >= 2
    assert len(reads) >= 2
    assert contents(folder) in alone
    assert not litter(folder)


def test_two_studies_in_one_folder_end_as_one(start, tmp_path):
    """Both train what the other has not recorded yet, on the same checkpoints: the same records and weights."""
    whole, shared, stop = tmp_path / "whole", tmp_path / "shared", tmp_path / "stop"
    finish(start(jobs.work, "study_here", whole, tmp_path / "whole.log"), tmp_path / "whole.log")
    reader = start(writes.read_until, shared, stop, tmp_path / "read.log")
    both = [(start(jobs.work, "study_here", shared, tmp_path / name), tmp_path / name) for name in ("a.log", "b.log")]
    for one in both:
        finish(*one)
    stop.touch()
    finish(reader, tmp_path / "read.log")
    reads = lines(tmp_path / "read.log")
    half = [line for line in reads if line.startswith("half")]
    tally.note(reads=len(reads), half_files=len(half))
    assert not half
    assert contents(shared) == contents(whole)
    assert not litter(shared)


FILES = {
    "json": "record.json", "pt": "run.pt", "safetensors": "model.safetensors", "png": "0001.png", "npz": "mnist.npz",
    "svg": "plot.svg", "mp4": "film.mp4", "readme": "README.md", "figure": "figure.webp",
}  # fmt: skip
IN_THE_WAY = [kind for kind in FILES if kind != "readme"]  # which is read first: without it there is nothing to write


def refused(start, fault: str, kind: str, folder: Path) -> str:
    """What a write under a fault says: one line, with the name of the file in it, or the folder's."""
    log = folder.with_suffix(".refused")
    finish(start(writes.write_with, fault, kind, folder, 1, log), log)
    tally.note(faults_injected=1)
    said = [line for line in lines(log) if line != "wrote"]
    assert len(said) == 1, said
    assert FILES[kind] in said[0] or f"{folder}" in said[0]
    assert ".part" not in said[0]
    return said[0]


@pytest.mark.parametrize("kind", FILES)
def test_on_a_full_disk_the_old_file_stays_and_the_new_one_is_named(start, tmp_path, kind):
    written(start, kind, tmp_path / "earlier", 1)
    before = written(start, kind, tmp_path / "folder", 0)
    (tmp_path / "earlier-clip-1").rename(tmp_path / "folder-clip-1") if kind == "mp4" else None
    assert FILES[kind] in refused(start, "full", kind, tmp_path / "folder")
    assert contents(tmp_path / "folder") == ({} if kind == "npz" else before)
    assert not litter(tmp_path)


@pytest.mark.parametrize("kind", FILES)
def test_a_folder_that_vanishes_is_named(start, tmp_path, kind):
    written(start, kind, tmp_path / "earlier", 1)
    written(start, kind, tmp_path / "folder", 0)
    (tmp_path / "earlier-clip-1").rename(tmp_path / "folder-clip-1") if kind == "mp4" else None
    assert FILES[kind] in refused(start, "vanishes", kind, tmp_path / "folder")
    assert not litter(tmp_path)


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_a_folder_in_a_files_place_is_named_and_stays(start, tmp_path, kind):
    (tmp_path / "folder" / FILES[kind]).mkdir(parents=True)
    (tmp_path / "folder" / FILES[kind] / "kept.txt").write_text("kept")
    assert FILES[kind] in refused(start, "folder", kind, tmp_path / "folder")
    assert list(contents(tmp_path / "folder")) == [f"{FILES[kind]}/kept.txt"]
    assert not litter(tmp_path)


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_a_file_in_a_folders_place_is_named_and_stays(start, tmp_path, kind):
    (tmp_path / "folder").write_text("kept")
    refused(start, "file", kind, tmp_path / "folder")
    assert (tmp_path / "folder").read_text() == "kept"
    assert not litter(tmp_path)


def test_a_nights_notes_are_summed(tmp_path, monkeypatch):
    tally.note(kills=0)  # by day this writes nothing anywhere
    monkeypatch.setattr(tally, "FOLDER", tmp_path / "faults")
    monkeypatch.setattr(tally, "nightly", True)
    tally.note(kills=2, lost=0)
    tally.note(kills=3, fuzz_calls=7)
    (tmp_path / "faults" / "other.jsonl").write_text('{"began": 0, "time": 5, "kills": 4}\n')
    counts, seconds = tally.total(tmp_path / "faults")
    assert counts == {"kills": 9, "lost": 0, "fuzz_calls": 7}
    assert seconds > 5
    with pytest.raises(ValueError, match="expected one of kills"):
        tally.note(kilz=1)
