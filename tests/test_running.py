"""Notebooks run by `python -m chromae run`: what is said, noted and left."""

import io
import json
import os
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import write_notebook

from chromae.__main__ import main
from chromae.records import results
from chromae.running import books, cells, talk, times

if os.name == "nt":
    pytest.skip("make and its terminals are not those of Windows", allow_module_level=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("seconds", "short", "words"),
    [
        (0, "0:00", "under a minute"),
        (59.6, "1:00", "about 1 minute"),
        (130, "2:10", "about 2 minutes"),
        (3605, "1:00:05", "about 60 minutes"),
        (9000, "2:30:00", "about 2.5 hours"),
    ],
)
def test_times_in_figures_and_in_words(seconds, short, words):
    assert (talk.duration(seconds), talk.roughly(seconds)) == (short, words)


def test_a_line_says_where_a_run_is():
    place = cells.Place("03_digits", 3, 10, lambda: (120, 600))
    place.cells = 40
    assert place.line() == "[3 of 10] 03_digits: starting, 0:00 of about 2:00, all in about 12 minutes"
    place.cell, place.heading, place.started = 12, "Why?", time.monotonic() - 240
    late = "4:00, longer than the 2:00 of before, all in about 20 minutes"  # if the others take twice as long, too
    assert place.line() == f"[3 of 10] 03_digits: cell 12 of 40, {late} | Why?"
    assert cells.Place("a", 1, 1).line() == "[1 of 1] a: starting, 0:00"


def test_headings_are_plain_and_code_in_markdown_is_none():
    book = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell("1"),
        nbformat.v4.new_markdown_cell("# Title\n\n## *Why* [did](there) `it` flicker?\n\n```\n# no heading\n```\n"),
        nbformat.v4.new_code_cell("2"),
    ])  # fmt: skip
    assert cells._headings(book.cells) == ["", "Why did it flicker?", "Why did it flicker?"]


def test_a_terminal_shows_one_line_and_in_the_end_none(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    with talk.told(lambda: "a line that is too long"):
        time.sleep(1.3)
    *lines, last = out.getvalue().split("\r")[1:]
    assert set(lines) == {"a line t…\x1b[K"}
    assert last == "\x1b[K"


@pytest.mark.parametrize("flags", ["", " -j2 --jobserver-auth=3,4"])
def test_a_log_and_several_jobs_get_plain_lines(flags, monkeypatch):
    """A log has no marks of terminals in it, nor has a terminal that two jobs of make write to."""
    monkeypatch.setattr(talk, "LOG_EVERY", 0.2)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("MAKEFLAGS", flags)
    monkeypatch.setattr(sys, "stdout", out := Terminal() if flags else io.StringIO())
    with talk.told(lambda: "a line"):
        time.sleep(0.5)
    assert set(out.getvalue().splitlines()) == {"a line"}
    assert "\r" not in out.getvalue()


def test_wide_letters_take_two_columns():
    assert [talk._cut("日本語", columns) for columns in (6, 5, 3)] == ["日本語", "日本…", "日…"]


def test_times_of_this_machine_come_first_and_scale_those_of_others(repository):
    assert times.expected(["01_a"]) == {}
    results.write_json(repository / "results" / "02_b.json", {"seconds": 50})
    results.write_json(repository / "results" / "notebooks.json", {"notebooks": {"01_a": {"seconds": 100}}})
    assert times.expected(["01_a", "02_b", "mine"]) == {"01_a": 100, "02_b": 50}
    times.note("01_a", times.Took(30.2, 812.4))
    noted = json.loads((repository / "build" / "notebooks.json").read_text())
    assert noted["notebooks"]["01_a"] == {"seconds": 30, "peak_mb": 812, "device": noted["device"]}
    assert times.expected(["01_a", "02_b"]) == {"01_a": 30, "02_b": 15}
    times.note("02_b", times.Took(20, 500))
    results.write_json(repository / "results" / "03_c.json", {"seconds": 100})
    assert times.expected(["02_b", "03_c"]) == {"02_b": 20, "03_c": pytest.approx(100 * 50 / 150)}
    assert json.loads((repository / "results" / "notebooks.json").read_text()) == {
        "notebooks": {"01_a": {"seconds": 100}}
    }


def test_only_what_publishes_notes_published_times_and_keeps_what_else_is_there(repository, monkeypatch):
    monkeypatch.setenv("CHROMAE_PUBLISH", "all")
    path = results.write_json(repository / "results" / "notebooks.json", {"make_seconds": 900, "notebooks": {"b": {}}})
    times.note("a", times.Took(30, 812))
    noted = json.loads(path.read_text())
    assert (noted["make_seconds"], list(noted["notebooks"])) == (900, ["a", "b"])
    assert noted["versions"] == results.versions()
    monkeypatch.setenv("CHROMAE_PRESET", "fast")
    times.note("a", times.Took(1, 1))
    assert json.loads(path.read_text()) == noted
    assert times.expected(["a"]) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"notebooks": 3}', '{"notebooks": {"a": 3}}', '{"notebooks": {"a": {"seconds": "3"}}}']
)
def test_a_broken_file_of_times_stops_no_run(repository, text):
    (repository / "build").mkdir()
    (repository / "build" / "notebooks.json").write_text(text)
    (repository / "results" / "a.json").write_text(text)
    assert times.expected(["a"]) == {}
    times.note("a", times.Took(30, 812))
    assert times.expected(["a"]) == {"a": 30}


def test_how_many_and_which_are_to_come(repository, monkeypatch):
    """One alone is counted among its neighbours, of which only those that `make` would run again take time."""
    paths = [write_notebook(repository / "notebooks" / f"{name}.ipynb", "1") for name in ("01_a", "02_b", "03_c")]
    for path, seconds in zip(paths, (10, 20, 40), strict=True):
        times.note(path.stem, times.Took(seconds, 1))
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    place = books._place(paths[1], paths[1:2], "build")
    assert [(it.number, it.of, *it.ahead()) for it in (place, books._place(paths[1], paths, None))] == [
        (2, 3, 20, 50), (2, 3, 20, 40),
    ]  # fmt: skip
    monkeypatch.setenv("MAKEFLAGS", " -j2 --jobserver-auth=3,4")
    seen = [books._place(paths[1], these, "build").ahead() for these in (paths[1:2], paths)]
    assert seen == [(20, 25), (20, 40)]  # it is make that runs two at a time, not a command for several
    monkeypatch.delenv("MAKEFLAGS")
    write_notebook(repository / "build" / "01_a.ipynb", "1")
    write_notebook(repository / "build" / "03_c.ipynb", "1")
    assert place.ahead() == (20, 0)  # others ended while it ran
    later = time.time() + 100
    os.utime(paths[2], (later, later))
    assert place.ahead() == (20, 40)
    paths[2].unlink()
    assert place.ahead() == (20, 0)


def test_a_forecast_learns_how_fast_this_machine_is_while_it_runs(repository, monkeypatch):
    """From others that end meanwhile: where nothing has run yet, only published times are known."""
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    paths = [write_notebook(repository / "notebooks" / f"{name}.ipynb", "1") for name in ("01_a", "02_b", "03_c")]
    published = {path.stem: {"seconds": seconds} for path, seconds in zip(paths, (10, 20, 40), strict=True)}
    results.write_json(repository / "results" / "notebooks.json", {"notebooks": published})
    place = books._place(paths[1], paths[1:2], "build")
    assert place.ahead() == (20, 50)
    times.note("01_a", times.Took(25, 1))
    write_notebook(repository / "build" / "01_a.ipynb", "1")
    assert place.ahead() == (50, 100)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Notebooks that ran: one to its end, one that failed, with all that was said."""
    folder = tmp_path_factory.mktemp("my projects")
    (folder / "notebooks").mkdir()
    good = write_notebook(
        folder / "notebooks" / "01 good.ipynb",
        "# Title",
        "import os, sys\nprint(os.environ['PLACE'])",
        "print('a')\nprint('b', file=sys.stderr)\nos.getcwd()",
        "1 / 0  # never run",
    )
    bad = write_notebook(
        folder / "notebooks" / "02_bad.ipynb", "# Title", "print('fine')", "## Below", "print('so far')\n1 / 0"
    )
    place, asked = cells.Place("01 good", 1, 2), []

    def enough():
        asked.append(place.cell)
        return len(asked) == 3

    took = cells.run(good, place, folder=folder / "build", variables={"PLACE": "here"}, enough=enough)
    before = bad.read_bytes()
    with pytest.raises(cells.Failed) as failed:
        cells.run(bad, cells.Place("02_bad", 2, 2), folder=folder / "build")
    assert bad.read_bytes() == before
    return folder, took, failed.value


def test_what_was_edited_meanwhile_is_newer_than_the_copy(repository):
    """For `make`, which compares times; and a notebook that is to be published is not written over."""
    path = write_notebook(repository / "notebooks" / "01_a.ipynb", "print(1)", "import os\nos.utime('01_a.ipynb')")
    before = path.read_bytes()
    cells.run(path, cells.Place("01_a", 1, 1), folder=repository / "build")
    assert (repository / "build" / "01_a.ipynb").stat().st_mtime < path.stat().st_mtime
    cells.run(path, cells.Place("01_a", 1, 1))
    assert path.read_bytes() != before, "touched alone, it is published"
    write_notebook(path, "with open('01_a.ipynb', 'a') as file:\n    print(file=file)")
    before = path.read_bytes()
    with pytest.raises(cells.Failed, match=r"01_a.ipynb was edited while it ran, and stays as it is") as failed:
        cells.run(path, cells.Place("01_a", 1, 1))
    assert path.read_bytes() == before + b"\n"
    copy = repository / "build" / "failed" / "01_a.ipynb"
    assert str(failed.value).endswith(str(copy))
    assert nbformat.read(copy, as_version=4).cells[0].execution_count == 1


def test_a_copy_beside_the_notebook_would_be_the_notebook(repository, monkeypatch):
    path = write_notebook(repository / "notebooks" / "01_a.ipynb", "print(1)")
    before = path.read_bytes()
    monkeypatch.chdir(path.parent)
    with pytest.raises(ValueError, match=r"^folder is \., where 01_a.ipynb itself lies: expected another one for its"):
        cells.run(path, cells.Place("01_a", 1, 1), folder=".")
    assert path.read_bytes() == before


def test_a_run_is_a_copy_with_outputs(ran):
    folder, took, _ = ran
    book = nbformat.read(folder / "build" / "01 good.ipynb", as_version=4)
    outputs = [cell.get("outputs", []) for cell in book.cells]
    assert [[it.get("text") or it["data"]["text/plain"] for it in these] for these in outputs] == [
        [],
        ["here\n"],
        ["a\n", "b\n", repr(str(folder / "notebooks"))],
        [],
    ]
    assert not [cell.metadata for cell in book.cells if cell.metadata]
    assert took.seconds > 0


@pytest.mark.parametrize(
    ("flags", "chosen", "threads"),
    [
        ("", None, None),
        (" -j2 --jobserver-auth=3,4", None, "3"),
        (" -j9", None, "1"),
        (" -j", None, "1"),
        (" -j2", "4", "4"),
    ],
)
def test_a_notebook_beside_others_has_its_share_of_the_cores(repository, monkeypatch, flags, chosen, threads):
    path = write_notebook(repository / "a.ipynb", 'import os\nprint(os.environ.get("OMP_NUM_THREADS"))')
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setenv("MAKEFLAGS", flags)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    cells.run(path, cells.Place("a", 1, 1))
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].text == f"{threads}\n"


def test_a_failure_shows_the_cell_its_last_lines_and_how_to_open_it(ran):
    folder, _, failed = ran
    first, *_, last = str(failed).splitlines()
    assert first.startswith("[2 of 2] 02_bad failed in cell 2 of 2 (below: Below) after 0:")
    for line in ("    print('so far')", "    so far", "    ZeroDivisionError: division by zero"):
        assert line in str(failed).splitlines()
    assert "\x1b" not in str(failed)
    assert "jupyter lab " in last
    assert last.endswith("02_bad.ipynb'")  # quoted, for the folder has a space
    assert (folder / "build" / "failed" / "02_bad.ipynb").exists()
    assert not (folder / "build" / "02_bad.ipynb").exists()


def test_in_place_it_is_published_without_noise(repository, capfd):
    path = write_notebook(repository / "notebooks" / "01_a.ipynb", "# A", "print('a')")
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    assert main(["run", str(path)]) == 0
    book = nbformat.read(path, as_version=4)
    assert book.cells[1].outputs[0].text == "a\n"
    assert [cell.id for cell in book.cells] == ids
    assert "language_info" not in book.metadata
    said = capfd.readouterr()
    assert said.err == ""
    first, *_, last = said.out.splitlines()
    assert first == "[1 of 1] 01_a: running"
    assert last.startswith("[1 of 1] 01_a: done in 0:")
    assert times.expected(["01_a"])


@pytest.mark.parametrize(
    ("kernel", "at", "wanted"),
    [
        ("python3", "in cell 2 of 2", ["    it hung", "    os._exit(1)"]),
        ("broken", "before its first cell", ["    no ipykernel"]),
    ],
)
def test_a_process_that_ends_is_a_failure_with_what_it_said(repository, monkeypatch, kernel, at, wanted):
    broken = repository / "kernels" / "broken" / "kernel.json"
    broken.parent.mkdir(parents=True)
    command = [sys.executable, "-c", "import sys; sys.exit('no ipykernel')"]
    broken.write_text(json.dumps({"argv": command, "display_name": "", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(repository))
    path = write_notebook(repository / "a.ipynb", "1", "import os\nos.write(2, b'it hung')\nos._exit(1)", kernel=kernel)
    with pytest.raises(cells.Failed) as failed:
        cells.run(path, cells.Place("a", 1, 1), folder=repository / "build")
    first, *lines = str(failed.value).splitlines()
    assert f"a failed {at} after" in first
    assert set(wanted) <= set(lines)
    assert "    The process of the notebook answers no more (Kernel died" in str(failed.value)


def test_a_kernel_that_is_not_there_is_named(repository, capsys):
    path = write_notebook(repository / "a.ipynb", "1", kernel="elsewhere")
    assert main(["run", str(path), "--to", "build"]) == 1
    assert capsys.readouterr().err == "No such kernel named elsewhere\n"


def test_what_is_no_notebook_is_named(repository, capsys):
    (repository / "notebooks" / "b.ipynb").write_text("nonsense")
    assert main(["run", "nowhere.ipynb"]) == 1
    assert capsys.readouterr().err == "there is no notebook nowhere.ipynb\n"
    assert main(["run", "notebooks/b.ipynb"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("notebooks/b.ipynb is no notebook (")
    assert said.count("\n") == 1
    (repository / "LICENSE").write_text("free")
    assert main(["run", "LICENSE", "--to", "build"]) == 1
    assert capsys.readouterr().err.startswith("LICENSE is no notebook (")


def test_ctrl_c_stops_with_a_word(repository, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(books, "run", interrupted)
    assert main(["run", "a.ipynb"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_memory_is_that_of_all_processes():
    before = cells._memory(os.getpid())
    code = "held = b'x' * 100_000_000; print(); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert cells._memory(os.getpid()) > before + 90
        child.communicate(b"\n")
    assert cells._memory(child.pid) == 0
