"""Studies: one record a run, read and not run again; what a kill leaves is whole."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, fork, forking

from chromae import settings
from chromae.arguments import check
from chromae.records import fingerprint, kept, results, study, weights


def square(x, seed):
    return {"square": x * x + seed}


def fails_at_three(x, seed):
    if x == 3:
        raise RuntimeError("three is too much")
    return {"square": x * x}


CASES = [{"x": 2}, {"x": 5}]


@pytest.mark.parametrize("jobs", [1, 2])
def test_records_are_in_the_order_of_cases_and_seeds(tmp_path, jobs):
    records = study.run(square, CASES, [0, 1], tmp_path, jobs=jobs)
    assert [record["metrics"]["square"] for record in records] == [4, 5, 25, 26]
    assert [record["arguments"] for record in records][1] == {"x": 2, "seed": 1}
    assert {record["preset"] for record in records} == {"standard"}
    assert all(record["device"] and record["versions"] and record["seconds"] >= 0 for record in records)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "seed=0_x=2.json", "seed=0_x=5.json", "seed=1_x=2.json", "seed=1_x=5.json",
    ]  # fmt: skip


def test_functions_defined_on_the_spot_run_in_parallel(tmp_path):
    offset = 7
    records = study.run(lambda x, seed: {"sum": x + offset}, CASES, [0], tmp_path, jobs=2)
    assert [record["metrics"]["sum"] for record in records] == [9, 12]


CLUSTER = """
import sys, os, time
from pathlib import Path
import joblib
from distributed import Client, LocalCluster
from chromae.records import study

def square(x, seed):
    time.sleep(0.05)  # or one worker might take them all
    return {"square": x * x + seed, "process": os.getpid()}

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        with joblib.parallel_config(backend="dask"):
            study.run(square, [{"x": x} for x in range(8)], [0, 1], Path(sys.argv[1]))
    print(os.getpid())
"""


def test_a_dask_cluster_takes_the_runs(tmp_path):
    """Two workers of their own processes; the same records as here, written by the process that asked."""
    script, folder = tmp_path / "script.py", tmp_path / "records"
    script.write_text(CLUSTER)
    environment = os.environ | forking(ROOT / "src") | {"TQDM_DISABLE": "1"}
    command = fork(str(script), str(folder))
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    records = study.run(square, [{"x": x} for x in range(8)], [0, 1], folder)
    assert [record["metrics"]["square"] for record in records] == [x * x + seed for x in range(8) for seed in (0, 1)]
    processes = {record["metrics"]["process"] for record in records}
    assert float(asked.stdout.split()[-1]) not in processes
    assert len(processes) == 2


def test_finished_runs_are_not_run_again(tmp_path):
    study.run(square, CASES, [0], tmp_path, jobs=1)
    calls = []

    def counted(x, seed):
        calls.append(x)
        return {"square": -1}

    (tmp_path / "seed=0_x=5.json").unlink()
    records = study.run(counted, [*CASES, {"x": 7}], [0], tmp_path, jobs=1)
    assert calls == [5, 7]
    assert [record["metrics"]["square"] for record in records] == [4, -1, -1]


def test_failed_run_keeps_the_finished_ones(tmp_path):
    cases = [{"x": 1}, {"x": 2}, {"x": 3}]
    with pytest.raises(RuntimeError, match="three is too much"):
        study.run(fails_at_three, cases, [0], tmp_path, jobs=1)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["seed=0_x=1", "seed=0_x=2"]


def test_metric_where_and_origin_describe_records(tmp_path):
    records = study.run(square, CASES, [0, 2], tmp_path, jobs=1)
    five = study.select(records, x=5)
    assert len(five) == 2
    metric = study.metric(five, "square", "squares")
    assert (metric["value"], metric["n"], metric["unit"], metric["preset"]) == (26, 2, "squares", "standard")
    assert metric["spread"] == pytest.approx(2**0.5)
    assert metric["device"] == records[0]["device"]
    assert study.origin(records).startswith("RECORD · 4 runs, preset standard, 1 s each on ")
    assert study.origin(records[:1]).startswith("RECORD · 1 run, preset standard, 1 s on ")
    assert " 3 minutes on " in study.origin([records[0] | {"seconds": 190.0}])


def test_origin_finds_records_at_any_depth(tmp_path):
    records = study.run(square, CASES, [0, 2], tmp_path, jobs=1)
    nested = {("a", 1): records[:1], "b": {"c": [records[1:3]], "d": records[3]}, "none": []}
    assert study.origin(nested) == study.origin(records)
    for empty in ([], {"a": []}):
        with pytest.raises(ValueError, match="records is empty, expected one or more"):
            study.origin(empty)
    with pytest.raises(ValueError, match="records holds int 7, expected what `run` gives, in lists and dictionaries"):
        study.origin({"a": [*records, 7]})


def test_spread_is_the_mean_and_the_standard_deviation_as_print_shows_them(tmp_path):
    records = study.run(square, CASES, [0, 1], tmp_path, jobs=1)
    values = study.column(records, "square")
    assert study.spread(records, "square", ".4f") == f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"
    assert study.spread(records, "square", "8.2f") == f"{values.mean():8.2f} ± {values.std(ddof=1):.2f}"
    assert study.spread(records[:1], "square", ".1f") == "4.0"  # one run has no spread
    with pytest.raises(ValueError, match="form is 'words', expected a format of a number such as"):
        study.spread(records, "square", "words")
    with pytest.raises(ValueError, match="key is 'cube', expected one of square"):
        study.spread(records, "cube", ".4f")


def test_names_tell_the_arguments():
    assert study.name({"latent": 2, "hidden": [500, 500], "beta": 0.5}) == "beta=0.5_hidden=500x500_latent=2"
    assert "/" not in study.name({"path": "a/b c"})


def test_bad_input_is_one_sentence_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"arguments are .* expected numbers, strings"):
        study.run(square, [{"x": {1}}], [0], tmp_path)
    with pytest.raises(ValueError, match="two cases have the name seed=0_x=2"):
        study.run(square, [{"x": 2}, {"x": 2}], [0], tmp_path)
    assert list(tmp_path.iterdir()) == []
    study.run(square, [{"x": "a b"}], [], tmp_path)
    other = {"arguments": {"x": 3, "seed": 0}, "metrics": {}, "preset": "standard", "device": "cpu", "seconds": 1.0}
    (tmp_path / "seed=0_x=2.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"holds a run with other arguments.*remove it"):
        study.run(square, [{"x": 2}], [0], tmp_path)


def test_values_and_metrics_of_records(tmp_path):
    records = study.run(square, CASES, [0, 1], tmp_path, jobs=1)
    assert study.column(records, "square").tolist() == [4, 5, 25, 26]
    mirrored = study.metric(records, "square", "points", sign=-1)
    assert mirrored["value"] == -15
    assert mirrored["n"] == 4
    assert mirrored["spread"] == study.metric(records, "square", "points")["spread"] > 0
    assert mirrored["preset"] == "standard"


def test_numbers_of_numpy_are_numbers(tmp_path):
    """The same name, the same record and the same arguments as Python's."""
    given = []

    def noted(x, sizes, seed):
        given.append((x, sizes, seed))
        return {"x": x}

    cases = [{"x": np.float64(0.5), "sizes": [np.int64(3), np.int32(4)]}]
    records = study.run(noted, cases, np.arange(2), tmp_path, jobs=1)
    assert given == [(0.5, [3, 4], 0), (0.5, [3, 4], 1)]
    assert {type(number) for x, sizes, seed in given for number in (x, *sizes, seed)} == {float, int}
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["seed=0_sizes=3x4_x=0.5", "seed=1_sizes=3x4_x=0.5"]
    assert study.run(noted, [{"x": 0.5, "sizes": [3, 4]}], [0, 1], tmp_path, jobs=1) == records
    assert len(given) == 2
    assert study.name({"flag": np.bool_(True), "x": np.float32(0.5)}) == "flag=True_x=0.5"


def test_seeds_may_be_drawn_from_an_iterator(tmp_path):
    records = study.run(square, CASES, iter([0, 1]), str(tmp_path), jobs=1)
    assert [record["metrics"]["square"] for record in records] == [4, 5, 25, 26]


def test_a_record_of_another_preset_is_another_run(tmp_path, monkeypatch):
    """Its name says which, and what it says is what is in it."""
    (standard,) = study.run(square, [{"x": 2}], [0], tmp_path, jobs=1)
    monkeypatch.setenv("CHROMAE_PRESET", "full")
    (full,) = study.run(lambda x, seed: {"square": -1}, [{"x": 2}], [0], tmp_path, jobs=1)
    assert (standard["metrics"]["square"], full["metrics"]["square"]) == (4, -1)
    assert full["preset"] == "full"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed=0_x=2.json", "seed=0_x=2_preset=full.json"]
    os.replace(tmp_path / "seed=0_x=2_preset=full.json", tmp_path / "seed=0_x=2.json")
    monkeypatch.delenv("CHROMAE_PRESET")
    with pytest.raises(ValueError, match=r"seed=0_x=2.json holds a run of preset full, expected standard: remove it"):
        study.run(square, [{"x": 2}], [0], tmp_path, jobs=1)


def test_long_names_end_with_a_hash(tmp_path):
    cases = [{"x": 2, "note": "é" * 300 + end} for end in "ab"]
    records = study.run(lambda x, note, seed: {"x": len(note)}, cases, [0], tmp_path, jobs=1)
    assert [record["arguments"]["note"][-1] for record in records] == ["a", "b"]
    assert {len(path.stem.encode()) <= 200 for path in tmp_path.iterdir()} == {True}
    assert study.name({"note": "n" * 195}) == "note=" + "n" * 195  # what fits stays as it is


def test_names_that_differ_in_case_alone_are_refused(tmp_path):
    """Some disks take them for one file: in one call, or one after the other."""
    run, said = (lambda by, seed: {"x": 1}), "by=Adam_seed=0 and by=adam_seed=0, expected names that differ in more"
    with pytest.raises(ValueError, match=said):
        study.run(run, [{"by": "Adam"}, {"by": "adam"}], [0], tmp_path, jobs=1)
    assert list(tmp_path.iterdir()) == []
    study.run(run, [{"by": "Adam"}], [0], tmp_path, jobs=1)
    with pytest.raises(ValueError, match=said):
        study.run(run, [{"by": "adam"}], [0], tmp_path, jobs=1)


def test_records_say_which_code_made_them(tmp_path, capsys):
    """Other code is told in one line, but its runs stay; records from before say nothing."""

    def make(factor):
        def run(x, seed):
            return {"x": factor * x}

        return run

    first = study.run(make(2), CASES, [0], tmp_path, jobs=1)
    assert {"run", "factor"} <= first[0]["code"].keys()
    assert study.run(make(2), CASES, [0], tmp_path, jobs=1) == first
    assert capsys.readouterr().out == ""
    (tmp_path / "seed=0_x=5.json").unlink()
    both = study.run(make(3), CASES, [0], tmp_path, jobs=1)
    assert [record["metrics"]["x"] for record in both] == [4, 15]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"1 of 2 records of {tmp_path.name} were made by other code (changed since: factor)")
    foreign = both[0] | {"code": {f"part{index}": "0" for index in range(9)}}
    study._report([foreign], {}, tmp_path)
    assert "part3, part4 and 4 more)" in capsys.readouterr().out
    old = {key: value for key, value in first[0].items() if key not in ("code", "checksum")}
    (tmp_path / "seed=0_x=2.json").write_text(json.dumps(old))
    assert study.run(make(3), CASES, [0], tmp_path, jobs=1)[0] == old
    assert capsys.readouterr().out == ""


def test_records_of_other_code_are_made_anew_if_asked_for(tmp_path, monkeypatch):
    """One at a time, so that it can be stopped and goes on; the old record stays until the new one is there."""
    stop = tmp_path.with_name("stop")  # a path, for what a list holds would count as code
    stop.touch()

    def run(x, seed):
        if x == 5 and stop.exists():
            raise KeyboardInterrupt
        return {"x": 3 * x}

    for x in (2, 5):  # one without a word of its code, one of other code
        old = {"arguments": {"x": x, "seed": 0}, "metrics": {"x": 2 * x}, "preset": "standard", "device": "cpu"}
        results.write_json(tmp_path / f"seed=0_x={x}.json", old | {"seconds": 1.0} | ({"code": {}} if x == 5 else {}))
    monkeypatch.setenv("CHROMAE_RECORDS", "anew")
    with pytest.raises(KeyboardInterrupt):
        study.run(run, CASES, [0], tmp_path, jobs=1)
    left = [json.loads((tmp_path / f"seed=0_x={x}.json").read_text())["metrics"]["x"] for x in (2, 5)]
    assert left == [6, 10]
    stop.unlink()
    both = study.run(run, CASES, [0], tmp_path, jobs=1)
    assert [record["metrics"]["x"] for record in both] == [6, 15]
    stop.touch()
    assert study.run(run, CASES, [0], tmp_path, jobs=1) == both
    monkeypatch.setenv("CHROMAE_RECORDS", "new")
    with pytest.raises(ValueError, match="CHROMAE_RECORDS is 'new', expected anew or nothing"):
        study.run(run, CASES, [0], tmp_path, jobs=1)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_seed_that_repeats_vouches_for_the_others_of_its_case(tmp_path, monkeypatch, factor):
    ran = tmp_path.with_name("ran")

    def make(factor):
        def run(x, seed):
            with ran.open("a") as file:
                file.write(f"{x},{seed} ")
            return {"x": factor * x + seed, "seconds": 0.1}

        return run

    old = study.run(make(2), CASES, range(3), tmp_path, jobs=1)
    for record in old:
        record["metrics"]["seconds"] = 9.0
        record["code"] = {"factor": "other"}
        if record["arguments"] == {"x": 5, "seed": 2}:
            record["device"] = "another"
        record["checksum"] = kept.checksum(record)
        results.write_json(tmp_path / f"{study.name(record['arguments'])}.json", record)
    ran.unlink()
    monkeypatch.setenv("CHROMAE_RECORDS", "anew")
    new = study.run(make(factor), CASES, range(3), tmp_path, jobs=1)
    repeated = ["2,0", "5,0", "5,2"]  # the first of each case, and what another machine made
    assert ran.read_text().split() == repeated + ([] if factor == 2 else ["2,1", "2,2", "5,1"])
    assert [record["metrics"]["x"] for record in new] == [factor * x + seed for x in (2, 5) for seed in range(3)]
    assert len({json.dumps(record["code"]) for record in new}) == 1
    stayed = [record["arguments"] for record in new if "vouched_by" in record]
    assert stayed == ([] if factor == 3 else [{"x": 2, "seed": 1}, {"x": 2, "seed": 2}, {"x": 5, "seed": 1}])
    for record in new:
        if "vouched_by" in record:
            assert (record["vouched_by"], record["made_by"]) == (0, {"factor": "other"})
            assert record["metrics"]["seconds"] == 9.0
    ran.unlink()
    assert study.run(make(factor), CASES, range(3), tmp_path, jobs=1) == new
    assert not ran.exists()


def test_a_record_with_weights_is_made_anew_for_its_file_is_not_looked_at():
    one = {"arguments": {}, "code": {"a": "1"}, "metrics": {}, "preset": "fast", "device": "CPU", "seconds": 1.0}
    records = {Path(f"{seed}"): one | {"arguments": {"x": 1, "seed": seed}} for seed in range(3)}
    assert kept.seeds_of_other_code(records, {}) == [[Path("0"), Path("1"), Path("2")]]
    records[Path("1")] = records[Path("1")] | {"weights": {"a.safetensors": "digest"}}
    for seed in (3, 4):  # of old, without a word of who made them
        records[Path(f"{seed}")] = {key: it for key, it in records[Path("0")].items() if key != "code"}
    found = kept.seeds_of_other_code(records, {})
    assert found == [[Path("0"), Path("2")], [Path("1")], [Path("3"), Path("4")]]


@pytest.mark.parametrize("damage", ["half", "empty", "no text", "a flipped bit"])
def test_a_broken_record_is_moved_aside_and_made_anew(tmp_path, capsys, damage):
    (record,) = study.run(square, [{"x": 2}], [0], tmp_path, jobs=1)
    path = tmp_path / "seed=0_x=2.json"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "empty": b"",
            "no text": b"\xff" + whole,
            "a flipped bit": whole.replace(b'"square": 4.0', b'"square": 5.0'),
        }[damage]
    )
    broken = path.read_bytes()
    assert broken != whole
    again = study.run(square, [{"x": 2}], [0], tmp_path, jobs=1)
    assert again[0]["metrics"] == record["metrics"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path} is broken")
    assert (tmp_path / "seed=0_x=2.json.broken").read_bytes() == broken
    assert json.loads(path.read_text())["metrics"] == {"square": 4}


@pytest.mark.parametrize("text", ["[1, 2]", '{"a": 1}', "7", '{"arguments": {"x": 2, "seed": 0}}'])
def test_a_foreign_file_stays_where_it_is(tmp_path, text):
    path = tmp_path / "seed=0_x=2.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"^{path} [^\n]*: move it elsewhere$"):
        study.run(square, [{"x": 2}, {"x": 3}], [0], tmp_path, jobs=1)
    assert [each.read_text() for each in tmp_path.iterdir()] == [text]


def test_runs_by_hand_read_published_records_and_write_beside_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    published, mine = (tmp_path / top / "studies" / "01_topic" for top in ("results", "build"))
    study.run(square, CASES, [0], published, jobs=1)
    before = {path: path.read_bytes() for path in published.iterdir()}
    records = study.run(square, [*CASES, {"x": 7}], [0], mine, jobs=1)
    assert [record["metrics"]["square"] for record in records] == [4, 25, 49]
    assert [path.name for path in mine.iterdir()] == ["seed=0_x=7.json"]
    broken = published / "seed=0_x=2.json"
    broken.write_text("{")
    study.run(square, CASES, [0], mine, jobs=1)  # made anew, and the published one left for its owner to see
    assert capsys.readouterr().out.startswith(f"{broken} is broken")
    assert broken.read_text() == "{"
    assert sorted(path.name for path in mine.iterdir()) == ["seed=0_x=2.json", "seed=0_x=7.json"]
    assert {path: path.read_bytes() for path in published.iterdir() if path != broken} == {
        path: text for path, text in before.items() if path != broken
    }


def test_what_a_run_by_hand_left_is_published_if_the_code_is_the_same(tmp_path, monkeypatch):
    """With the weights that the run saved; other code runs anew."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    published, mine = (tmp_path / top / "studies" / "01_topic" for top in ("results", "build"))
    kept, left = (tmp_path / top / "weights" / "net.safetensors" for top in ("results", "build"))
    calls = []
    note = calls.append  # a list that a function reads would be a part of its code

    def make(factor, folder):
        def run(x, seed):
            note(factor)
            weights.save(torch.nn.Linear(1, factor), folder / "net.safetensors")
            return {"x": factor * x}

        return run

    study.run(make(2, left.parent), [{"x": 2}], [0], mine, jobs=1)
    assert not published.exists()
    (record,) = study.run(make(2, kept.parent), [{"x": 2}], [0], published, jobs=1)
    assert calls == [2]
    assert record["weights"].keys() == {"net.safetensors"}
    assert (published / "seed=0_x=2.json").exists()
    assert kept.read_bytes() == left.read_bytes()

    (published / "seed=0_x=2.json").unlink()
    (record,) = study.run(make(3, kept.parent), [{"x": 2}], [0], published, jobs=1)
    assert calls == [2, 3]
    assert record["metrics"]["x"] == 6
    weights.load(torch.nn.Linear(1, 3), kept)
    left.unlink()  # a record without its weights is not enough
    (published / "seed=0_x=2.json").unlink()
    study.run(make(2, kept.parent), [{"x": 2}], [0], published, jobs=1)
    assert calls == [2, 3, 2]


@pytest.mark.parametrize("what", ["of another run", "half", "a list of names", "the same"])
def test_weights_are_published_only_if_they_are_those_of_the_record(tmp_path, monkeypatch, what):
    """Another run may have left its own under the same name since; else the run is made anew."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    published, mine = (tmp_path / top / "studies" / "01_topic" for top in ("results", "build"))
    kept, left = (tmp_path / top / "weights" / "net.safetensors" for top in ("results", "build"))
    calls, path = [], [left]
    note = calls.append

    def filled(value):
        model = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(model.weight, value)
        return model

    def run(x, seed, make=filled):
        note(x)
        weights.save(make(x), path[0])
        return {"x": x}

    monkeypatch.setattr(
        "chromae.records.fingerprint.of", lambda function: {"run": "0"}
    )  # which reads the list of one path
    study.run(run, [{"x": 2}], [0], mine, jobs=1)
    if what == "of another run":
        weights.save(filled(3), left)
    elif what == "half":
        left.write_bytes(left.read_bytes()[:100])
    elif what == "a list of names":
        record = json.loads((mine / "seed=0_x=2.json").read_text()) | {"weights": ["net.safetensors"]}
        record.pop("checksum")
        (mine / "seed=0_x=2.json").write_text(json.dumps(record))
    before, path[0] = left.read_bytes(), kept
    (record,) = study.run(run, [{"x": 2}], [0], published, jobs=1)
    assert calls == ([2] if what == "the same" else [2, 2])
    assert weights.load(torch.nn.Linear(1, 1), kept).weight == 2
    assert left.read_bytes() == before
    assert len(record["weights"]["net.safetensors"]) == 64


def test_code_edited_since_its_import_is_told_and_not_published(tmp_path, monkeypatch, capsys):
    """With a kernel open: the code that was imported still runs, and a process started later runs other code."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(fingerprint, "PACKAGE", "pretend_lab")
    published, mine = (tmp_path / top / "studies" / "01_topic" for top in ("results", "build"))
    path = tmp_path / "pretend_lab.py"
    path.write_text("def run(x, seed):\n    return {'x': 2 * x}\n")

    def imported():
        loader = check.Loader("pretend_lab", str(path))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("pretend_lab", loader))
        monkeypatch.setitem(sys.modules, "pretend_lab", module)
        loader.exec_module(module)
        return module.run

    run = imported()
    path.write_text("def run(x, seed):\n    return {'x': 333 * x}\n")
    (record,) = study.run(run, [{"x": 2}], [0], mine, jobs=1)
    assert record["metrics"]["x"] == 4
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("pretend_lab: edited after it was imported, so restart for 01_topic")
    (record,) = study.run(imported(), [{"x": 2}], [0], published, jobs=1)
    assert record["metrics"]["x"] == 666
    assert capsys.readouterr().out == ""


def test_workers_run_the_preset_of_the_study(tmp_path, monkeypatch):
    """Those that an earlier study of another preset started too."""

    def run(x, seed):
        return {"preset": settings.pick(fast=0, standard=1, full=2)}

    for preset, wanted in (("standard", 1), ("full", 2)):
        monkeypatch.setenv("CHROMAE_PRESET", preset)
        records = study.run(run, CASES, [0], tmp_path, jobs=2)
        assert [(record["preset"], record["metrics"]["preset"]) for record in records] == [(preset, wanted)] * 2


@pytest.mark.parametrize("before", [None, "fast"])
def test_threads_of_a_worker_run_the_preset_of_the_study_and_leave_its_own(monkeypatch, before):
    """One may end while another one goes on."""
    if before is None:
        monkeypatch.delenv("CHROMAE_PRESET", raising=False)
    else:
        monkeypatch.setenv("CHROMAE_PRESET", before)
    begun, ended = threading.Event(), threading.Event()

    def run(first):
        if first:
            assert begun.wait(5)
        else:
            begun.set()
            assert ended.wait(5)
        return {"preset": settings.pick(fast=0, standard=1, full=2)}

    def one(first):
        record = study._run(run, {"first": first}, "full", {})
        ended.set()
        return record["metrics"]["preset"]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, [True, False])) == [2, 2]
    assert os.environ.get("CHROMAE_PRESET") == before


INTERRUPTED = """
import os
import signal
import sys
from pathlib import Path
from joblib.externals.loky.backend import context
from chromae import datasets, losses, training
from chromae.records import study, weights
from chromae.models.color_autoencoder import ColorAutoencoder

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
folder, jobs = Path(sys.argv[1]), int(sys.argv[2])
if os.getpid() != os.getsid(0):  # a fork of another process
    os.setsid()
(folder / "pid.new").write_text(str(os.getpid()))
(folder / "pid.new").rename(folder / "pid")

def run(x, seed):
    if x == 0:
        return {"loss": 0.0}
    def note(epoch, model, history):
        (folder / f"{x}.begun").touch()
    model, checkpoint = ColorAutoencoder(), folder / f"{x}.pt"
    kept = {"checkpoint": checkpoint} if x == 2 else {}
    options = {"epochs": 100_000, "epoch_size": 100, "callback": note, **kept}
    history = training.fit(model, datasets.colors, losses.reconstruction, **options)
    weights.save(model, folder / f"{x}.safetensors")
    checkpoint.unlink(missing_ok=True)
    return {"loss": history["loss"][-1]}

if __name__ == "__main__":
    context.set_start_method("fork", force=True)  # workers that need not import torch again
    study.run(run, [{"x": x} for x in range(3)], [0], folder / "records", jobs=jobs)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("jobs", "group"), [(1, False), (2, False), (2, True)])
def test_an_interrupted_study_publishes_no_half_trained_run(tmp_path, jobs, group):
    """A real SIGINT: to this process, as a notebook's stop button sends it, or to its workers as well, as Ctrl-C does.

    What is finished stays; the runs in flight leave no record and no weights, and their checkpoint.
    """
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    environment = os.environ | forking(ROOT / "src") | {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}
    command = fork(str(script), str(tmp_path), str(jobs))
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE)
    told = tmp_path / "pid"
    try:
        begun = ["1.begun", "2.begun"][:jobs]
        while not all((tmp_path / name).exists() for name in ["records/seed=0_x=0.json", *begun]):
            assert process.poll() is None
            time.sleep(0.02)
        (os.killpg if group else os.kill)(int(told.read_text()), signal.SIGINT)
        said = process.communicate(timeout=60)[1].decode()
    finally:
        for pid in [process.pid, *([int(told.read_text())] if told.exists() else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        process.wait()
    assert process.returncode != 0
    assert "KeyboardInterrupt" in said
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["seed=0_x=0.json"]
    assert list(tmp_path.glob("*.safetensors")) == []
    assert (tmp_path / "2.pt").exists() == (jobs == 2)


def test_inside_a_study_an_interrupt_goes_on(tmp_path):
    seen = []

    def run(x, seed):
        seen.append(settings.in_study.get())
        if x == 5:
            raise KeyboardInterrupt
        return {"x": x}

    with pytest.raises(KeyboardInterrupt):
        study.run(run, CASES, [0], tmp_path, jobs=1)
    assert seen == [True, True]
    assert settings.in_study.get() is False
    assert [path.name for path in tmp_path.iterdir()] == ["seed=0_x=2.json"]


def test_what_is_missing_is_said_before_it_runs(tmp_path, capsys):
    """With the time that it will take, by the records of its neighbours; nothing for what takes no minute."""
    records = study.run(square, CASES, [0, 1], tmp_path, jobs=1)
    assert capsys.readouterr().out == ""
    for path in tmp_path.glob("*.json"):
        record = json.loads(path.read_text()) | {"seconds": 90.0}
        results.write_json(path, {key: value for key, value in record.items() if key != "checksum"})
    (tmp_path / "seed=0_x=2.json").unlink()
    assert len(study.run(square, CASES, [0, 1], tmp_path, jobs=1)) == len(records)
    assert "1 of 4 runs are made now: about 2 minutes\n" in capsys.readouterr().out
