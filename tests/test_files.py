"""Files that are there whole or not at all."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chromae import files


def half_written(path, error):
    with files.replacing(path) as part:
        part.write_text("half")
        raise error


def test_replacing_renames_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_keeps_what_was_there_when_the_block_fails(tmp_path, error):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("old")
    for path in (old, new):
        with pytest.raises(error):
            half_written(path, error)
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]


def test_paths_may_be_strings_in_a_folder_to_be_made(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with files.replacing(str(path)) as part:
        part.write_text("new")
    assert path.read_text() == "new"


def test_two_writers_of_one_path_do_not_mix(tmp_path):
    """The second begins before the first has ended: each writes its own, the last to end counts."""
    path = tmp_path / "a.txt"
    with files.replacing(path) as outer, outer.open("w") as stream:
        stream.write("a" * 10_000)
        with files.replacing(path) as inner:
            inner.write_text("b" * 10_000)
        assert path.read_text() == "b" * 10_000
        stream.write("a" * 10_000)
    assert path.read_text() == "a" * 20_000
    assert list(tmp_path.iterdir()) == [path]


# The module alone: the package takes seconds to import.
WRITER = f"""
import runpy, sys, time
from pathlib import Path

replacing = runpy.run_path({files.__file__!r})["replacing"]
until = time.time() + 0.5
while time.time() < until:
    with replacing(Path(sys.argv[1])) as part, part.open("w") as stream:
        for _ in range(20):
            stream.write(sys.argv[2] * 5_000)
            stream.flush()
"""


def test_readers_find_no_half_file_beside_two_writers(tmp_path):
    path, stop, found = tmp_path / "a.txt", threading.Event(), {"a": 0, "b": 0, "half": 0}
    path.write_text("a" * 100_000)

    def read():
        while not stop.is_set():
            text = path.read_text()
            found[text[0] if len(text) == 100_000 and len(set(text)) == 1 else "half"] += 1

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, letter]) for letter in "ab"]
    for reader in readers:
        reader.start()
    ends = [writer.wait() for writer in writers]
    stop.set()
    for reader in readers:
        reader.join()
    assert ends == [0, 0]
    assert found["half"] == 0
    assert found["a"] + found["b"] > 50
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    """Whatever handle wrote it: the part is flushed, then renamed, then the folder is."""
    done = []
    flush, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda handle: (done.append(os.fstat(handle).st_ino), flush(handle)))
    monkeypatch.setattr(files.os, "replace", lambda a, b: (done.append("renamed"), replace(a, b)))
    path = tmp_path / "a.txt"
    with files.replacing(path) as part:
        part.write_text("new")
    assert done[:2] == [path.stat().st_ino, "renamed"]
    assert done[2:] in ([], [tmp_path.stat().st_ino])


KILLED = f"""
import runpy, sys
from pathlib import Path

with runpy.run_path({files.__file__!r})["replacing"](Path(sys.argv[1])) as part:
    part.write_text("half")
    print(part, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="which processes live is asked of POSIX systems only")
def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path):
    """Of this path, and only of writers that no longer live."""
    path, other = tmp_path / "a.txt", tmp_path / "a.txt.txt"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    killed, living, elsewhere = (
        subprocess.Popen([sys.executable, "-c", KILLED, target], **pipes) for target in (path, path, other)
    )
    lost, kept, others = [process.stdout.readline().strip() for process in (killed, living, elsewhere)]
    for process in (killed, elsewhere):
        process.kill()
        process.wait()
    with files.replacing(path) as part:
        part.write_text("new")
    left = {str(each) for each in tmp_path.iterdir()}
    living.communicate("")
    assert left == {str(path), kept, others}
    assert lost not in left
    assert path.read_text() == "half"  # of the living one, which ended last


def test_a_long_name_has_a_temporary_one_too(tmp_path):
    path = tmp_path / ("é" * 120 + ".json")
    with files.replacing(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_one_at_a_time_is_alone_in_a_folder_and_another_is_told_why_it_waits(tmp_path, capsys):
    folder, order = tmp_path / "new" / "folder", []

    def second() -> None:
        with files.alone(str(folder), "thinking of"):
            order.append("second")

    other = threading.Thread(target=second)
    with files.alone(folder):
        other.start()
        other.join(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
    assert capsys.readouterr().out == f"another process is thinking of {folder}: waiting for it\n"
    assert not list(folder.iterdir())


def test_a_host_is_a_machine_and_where_in_it_processes_are_counted(monkeypatch):
    here = files.host()
    assert here == files.host()
    monkeypatch.setattr(files.platform, "node", lambda: "another machine")
    there = files.host()
    monkeypatch.setattr(files.Path, "readlink", lambda path: "pid:[1]")
    assert len({here, there, files.host()}) == (3 if Path("/proc/self/ns/pid").is_symlink() else 2)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_a_process_that_ended_lives_no_more_though_nobody_asked_how():
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    assert files.lives(os.getpid())
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not files.lives(process.pid)
    process.wait()
    assert not files.lives(process.pid)
