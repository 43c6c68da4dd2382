"""`python -m chromae verify`: which numbers come out again, of notebooks and of records made anew."""

import io
import os
import sys
import threading
from pathlib import Path
from unittest import mock

import pytest
import torch
from conftest import ROOT, forked_kernels, write_notebook

from chromae import files
from chromae.__main__ import main
from chromae.records import results
from chromae.running import verify

if os.name == "nt":
    pytest.skip("make and its terminals are not those of Windows", allow_module_level=True)


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
    timed = others[0] | {"metrics": others[0]["metrics"] | {"seconds_epoch": 13.0}}
    assert len(verify.of_record(timed, record(0, 1.0), others)) == 1
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
from chromae import settings; from chromae.records import study, results
folders = settings.folders('01_a')
def mse(latent, seed):
    return {'mse': 1.0 + seed}
"""


@pytest.fixture
def studied(repository):
    """A repository with a notebook that makes two records, and publishes a number; all of it is published."""
    (repository / "pyproject.toml").touch()
    write_notebook(
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
    with mock.patch.dict(os.environ, forked_kernels(repository / "build" / "jupyter", ROOT / "src")):
        yield repository


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


def test_two_that_verify_take_turns(studied, capsys):
    """Both would run in the same copy: the second waits, and says so."""
    told = threading.Event()
    with files.alone(studied / "build" / "verifying"):
        second = threading.Thread(target=lambda: (main(["verify", "--records", "1", "--seed", "0"]), told.set()))
        second.start()
        second.join(1)
        assert second.is_alive()
        assert "waiting for it" in capsys.readouterr().out
    second.join(60)
    assert told.is_set()


def test_a_notebook_is_run_again_with_its_records(studied, monkeypatch, capsys):
    """In the preset of its numbers, whatever is set here."""
    monkeypatch.setenv("CHROMAE_PRESET", "fast")
    assert main(["verify", "--notebook", "01"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[1:3] for line in said.splitlines() if line.startswith("  mse")] == [["3", "3"]]


def test_what_fell_out_is_counted_and_letters_that_a_log_lacks_are_question_marks(monkeypatch):
    monkeypatch.setattr(verify, "notebook", lambda number: (["ΔE in OKLab"], 2))
    log = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(log, "ascii", write_through=True))
    assert main(["verify", "--notebook", "01"]) == 1
    first, doubt, last = log.getvalue().decode("ascii").splitlines()
    assert (first, last) == ("?E in OKLab", "numbers that fell out: 2")
    assert torch.backends.cpu.get_cpu_capability() in doubt


def test_one_notebook_that_fails_does_not_cost_the_others(studied, capsys):
    path = studied / "results" / "studies" / "02_b" / "latent=2_seed=0.json"
    results.write_json(path, record(0, 1.0, arguments={"latent": 2, "seed": 0}))
    write_notebook(studied / "notebooks" / "02_b.ipynb", "1 / 0")
    assert main(["verify", "--records", "3", "--seed", "0"]) == 1
    said = capsys.readouterr().out
    assert [line.split()[1:3] for line in said.splitlines() if line.startswith("  mse")] == [["1", "1"], ["5", "2"]]
    assert "latent=2_seed=0: [2 of 2] 02_b failed in cell 1 of 1" in said
    assert said.endswith("numbers that fell out: 1\n")


def test_verify_says_what_it_cannot(studied, capsys):
    for arguments, wanted in (
        (
            ["--notebook", "01", "--minutes", "5"],
            "--seed and --minutes choose records, and --notebook runs all of one: leave them out\n",
        ),
        (["--notebook", "7"], "number is '7', expected one of 01\n"),
        (["--records", "3", "--seed", "0"], "count is 3, but there are only 2 records\n"),
    ):
        assert main(["verify", *arguments]) == 1
        assert capsys.readouterr().err == wanted
    (studied / "results" / "01_a.json").unlink()
    assert main(["verify", "--notebook", "01"]) == 1
    assert "has no numbers to compare with" in capsys.readouterr().err
