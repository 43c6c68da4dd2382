"""Notebooks run by `python -m chromae run` and `verify`: what is said, noted and left, and what is compared."""

import io
import json
import os
import sys
import time
from pathlib import Path

import nbformat
import pytest

from chromae import settings
from chromae.__main__ import main
from chromae.records import results
from chromae.running import books, cells, talk, times, verify

if os.name == "nt":
    pytest.skip("make and its terminals are not those of Windows", allow_module_level=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder in whose place the repository seems to lie, and from which all is run."""
    for name in ("CHROMAE_PRESET", "CHROMAE_PUBLISH", "CHROMAE_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "results" / "studies" / "01_a").mkdir(parents=True)
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, *sources: str) -> Path:
    """A notebook of these cells: those that begin with # are Markdown."""
    made = [
        nbformat.v4.new_markdown_cell(it) if it.startswith("#") else nbformat.v4.new_code_cell(it) for it in sources
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


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
    place = cells.Place("03_digits", 3, 10, usual=120, others=600)
    place.cells = 40
    assert place.line() == "[3 of 10] 03_digits: starting, 0:00 of about 2:00, all in about 12 minutes"
    place.cell, place.heading, place.started = 12, "Why?", time.monotonic() - 130
    late = "2:10, longer than the 2:00 of before, all in about 10 minutes"
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
    out = Terminal()
    with talk.told(lambda: "a line that is too long", out):
        time.sleep(1.3)
    assert out.getvalue() == "\ra line t…\x1b[K\r\x1b[K"


@pytest.mark.parametrize("flags", ["", " -j2 --jobserver-auth=3,4"])
def test_a_log_and_several_jobs_get_plain_lines(flags, monkeypatch):
    """A log has no marks of terminals in it, nor has a terminal that two jobs of make write to."""
    monkeypatch.setattr(talk, "LOG_EVERY", 0.2)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("MAKEFLAGS", flags)
    out = Terminal() if flags else io.StringIO()
    with talk.told(lambda: "a line", out):
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


@pytest.mark.parametrize("text", ["{", "[]", '{"notebooks": 3}', '{"notebooks": {"a": 3}}'])
def test_a_broken_file_of_times_stops_no_run(repository, text):
    (repository / "build").mkdir()
    (repository / "build" / "notebooks.json").write_text(text)
    assert times.expected(["a"]) == {}
    times.note("a", times.Took(30, 812))
    assert times.expected(["a"]) == {"a": 30}


def test_how_many_and_which_are_to_come(repository):
    """One alone is counted among its neighbours, of which only those that `make` would run again take time."""
    paths = [write(repository / "notebooks" / f"{name}.ipynb", "1") for name in ("01_a", "02_b", "03_c")]
    for path, seconds in zip(paths, (10, 20, 40), strict=True):
        times.note(path.stem, times.Took(seconds, 1))
    seen = [(place.number, place.of, place.usual, place.others) for place in
            (books._place(paths[1], paths[1:2], "build"), books._place(paths[1], paths, None))]  # fmt: skip
    assert seen == [(2, 3, 20, 40), (2, 3, 20, 40)]
    write(repository / "build" / "03_c.ipynb", "1")
    assert books._place(paths[1], paths[1:2], "build").others == 0
    later = time.time() + 100
    os.utime(paths[2], (later, later))
    assert books._place(paths[1], paths[1:2], "build").others == 40


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Notebooks that ran: one to its end, one that failed, with all that was said."""
    folder = tmp_path_factory.mktemp("my projects")
    (folder / "notebooks").mkdir()
    good = write(folder / "notebooks" / "01 good.ipynb", "# Title", "import os, sys\nprint(os.environ['PLACE'])",
                 "print('a')\nprint('b', file=sys.stderr)\nos.getcwd()", "1 / 0  # never run")  # fmt: skip
    bad = write(folder / "notebooks" / "02_bad.ipynb", "# Title", "print('fine')", "## Below", "print('so far')\n1 / 0")
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
    path = write(repository / "notebooks" / "01_a.ipynb", "# A", "print('a')")
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


def test_what_is_no_notebook_is_named(repository, capsys):
    (repository / "notebooks" / "b.ipynb").write_text("nonsense")
    assert main(["run", "nowhere.ipynb"]) == 1
    assert capsys.readouterr().err == "there is no notebook nowhere.ipynb\n"
    assert main(["run", "notebooks/b.ipynb"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("notebooks/b.ipynb is no notebook (")
    assert said.count("\n") == 1


def published(**metrics: dict) -> dict:
    return {"preset": "standard", "device": "CPU", "versions": {"torch": "2"}, "metrics": metrics}


def test_numbers_of_a_notebook_may_differ_by_three_deviations_elsewhere():
    read = results.metric(1.0, "MSE") | {"device": "CPU"}
    before = published(
        mse={"value": 1.0, "spread": 0.1, "n": 3, "unit": "MSE"},
        one=results.metric(10.0, "share of seeds"),
        took=results.metric(5.0, "s of one core"),
        read=read,
        gone=results.metric(1.0, ""),
    )
    again = published(mse=results.metric(1.29, "MSE"), one=results.metric(10.2, "")) | {"device": "GPU"}
    rows = {row.name: (row.within(), round(row.allowed, 6)) for row in verify.of_notebook(before, again)}
    assert rows == {"mse": (True, 0.3), "one": (False, 0.1), "gone": (False, 0.01)}
    alike = verify.of_notebook(before, again | {"device": "CPU"})
    assert [row.within() for row in alike] == [False, False, False]
    assert all(row.within() for row in verify.of_notebook(before, before))


def record(seed: int, mse: float, **more: object) -> dict:
    return {"arguments": {"latent": 2, "seed": seed}, "preset": "standard", "device": "CPU", "seconds": 60.0,
            "versions": {"torch": "2"}, "code": {"a": "1"}, "metrics": {"mse": mse}} | more  # fmt: skip


def test_numbers_of_a_record_are_held_against_those_of_other_seeds():
    others = [record(0, 1.0), record(1, 1.1), record(2, 0.9), record(0, 9.0, arguments={"latent": 3, "seed": 0})]
    (row,) = verify.of_record(others[0], record(0, 1.25, code={"a": "2"}), others)
    assert row.allowed == pytest.approx(0.3)
    assert row.within()
    (row,) = verify.of_record(others[0], record(0, 1.00001), others)
    assert not row.within()  # same versions, machine and code
    (row,) = verify.of_record(others[3], record(0, 9.05, versions={}), others)
    assert (round(row.allowed, 6), row.within()) == (0.09, True)
    unsaid = {key: it for key, it in others[0].items() if key != "code"}
    (row,) = verify.of_record(unsaid, record(0, 1.25), others)
    assert row.within()


def test_a_sample_can_be_drawn_again():
    seconds = {Path(f"{name:02}"): 60.0 * name for name in range(20)}
    assert verify.sample(seconds, 3, 5) == verify.sample(dict(reversed(seconds.items())), 3, 5)
    assert len({tuple(verify.sample(seconds, 3, seed)) for seed in range(10)}) > 5
    assert verify.sample(seconds, 3, 0, minutes=2) == [Path("00"), Path("01"), Path("02")]
    with pytest.raises(ValueError, match=r"^count is 30, but there are only 20 records$"):
        verify.sample(seconds, 30, 0)
    with pytest.raises(ValueError, match=r"^count is 4, but only 3 records took no longer than 2 minutes$"):
        verify.sample(seconds, 4, 0, minutes=2)


def test_the_table_marks_what_fell_out():
    rows = [verify.Row("mse", 1.0, 1.0, 0.1), verify.Row("longer", 1.0, 2.0, 0.1)]
    head, *lines = verify.table(rows)
    assert head.split() == ["number", "published", "now", "differs", "by", "may", "by"]
    assert [line.split() for line in lines] == [["mse", "1", "1", "0", "0.1"], ["longer", "1", "2", "1", "0.1", "OUT"]]
    assert len({line.index("0.1") for line in lines}) == 1


STUDY = """
import sys; from chromae import settings; from chromae.records import study, results
folders = settings.folders('01_a')
def mse(latent, seed):
    return {'mse': 1.0 + seed}
"""


@pytest.fixture
def studied(repository):
    """A repository with a notebook that makes two records, and publishes a number; all of it is published."""
    (repository / "pyproject.toml").touch()
    write(
        repository / "notebooks" / "01_a.ipynb",
        STUDY,
        "made = study.run(mse, [{'latent': 2}], range(2), folders.studies, jobs=1)",
        "results.write(folders.results, '01_a', data='', device=settings.device(), seconds=1,"
        " metrics={'mse': results.metric(study.column(made, 'mse'), '')})",
    )
    for seed, value in ((0, 1.0), (1, 5.0)):
        arguments = {"latent": 2, "seed": seed}
        path = repository / "results" / "studies" / "01_a" / f"latent=2_seed={seed}.json"
        results.write_json(path, record(seed, value, arguments=arguments))
    results.write_json(repository / "results" / "01_a.json", published(mse=results.metric([1.0, 5.0], "")))
    return repository


def test_records_are_made_anew_in_a_copy(studied, capsys):
    """The second was published as 5, and comes out as 2; three deviations, of other code, are 8."""
    before = {path: path.read_bytes() for path in studied.rglob("*") if path.is_file()}
    assert main(["verify", "--records", "2", "--seed", "0"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 records, drawn with SEED=0: about 2 minutes of one core" in said
    assert [line.split()[1:3] for line in said.splitlines() if line.startswith("  mse")] == [["1", "1"], ["5", "2"]]
    assert said.endswith("numbers that fell out: 0\n")
    assert {path: path.read_bytes() for path in before} == before
    new = [path for path in studied.rglob("*") if path.is_file() and path not in before]
    assert {path.relative_to(studied).parts[0] for path in new} == {"build"}
    assert not (studied / "build" / "verify" / "build" / "results" / "01_a.json").exists()  # it stopped before


def test_a_notebook_is_run_again_with_its_records(studied, capsys):
    assert main(["verify", "--notebook", "01"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[1:3] for line in said.splitlines() if line.startswith("  mse")] == [["3", "3"]]
    results.write_json(studied / "results" / "01_a.json", published(mse=results.metric(4.0, "")))
    assert main(["verify", "--notebook", "01"]) == 1
    assert "OUT" in capsys.readouterr().out


def test_verify_says_what_it_cannot(studied, capsys):
    for arguments, wanted in (
        (["--notebook", "7"], "number is '7', expected one of 01\n"),
        (["--records", "3", "--seed", "0"], "count is 3, but there are only 2 records\n"),
    ):
        assert main(["verify", *arguments]) == 1
        assert capsys.readouterr().err == wanted
    (studied / "results" / "01_a.json").unlink()
    assert main(["verify", "--notebook", "01"]) == 1
    assert "has no numbers to compare with" in capsys.readouterr().err


def test_ctrl_c_stops_with_a_word(repository, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(books, "run", interrupted)
    assert main(["run", "a.ipynb"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_memory_is_that_of_all_processes():
    assert cells._memory(os.getpid()) > 50
    assert cells._memory(None) == 0
    assert sys.platform != "linux" or cells._memory(2**22 + 1) == 0
