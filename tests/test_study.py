"""Studies: one record a run, read and not run again; what a kill leaves is whole."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chromae import study


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
from chromae import study

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
    environment = os.environ | {"TQDM_DISABLE": "1"}
    asked = subprocess.run(
        [sys.executable, script, folder], env=environment, capture_output=True, text=True, check=True
    )
    records = study.run(square, [{"x": x} for x in range(8)], [0, 1], folder)
    assert [record["metrics"]["square"] for record in records] == [x * x + seed for x in range(8) for seed in (0, 1)]
    processes = {record["metrics"]["process"] for record in records}
    assert float(asked.stdout.split()[-1]) not in processes
    assert len(processes) == 2


def test_finished_runs_are_not_run_again(tmp_path):
    study.run(square, CASES, [0], tmp_path)
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


SLOW = """
import sys, time
from pathlib import Path
from chromae import study

def slow(x, seed):
    time.sleep(0.3)
    return {"square": x * x}

study.run(slow, [{"x": x} for x in range(6)], [0], Path(sys.argv[1]), jobs=1)
"""


def test_killed_study_goes_on_to_the_same_records(tmp_path):
    """kill -9 in the middle, then the same call: the records of one that ran through."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", SLOW, killed])
    while not (killed.exists() and len(list(killed.glob("*.json"))) >= 2):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL) if os.name != "nt" else process.kill()
    process.wait()
    left = {path: path.read_text() for path in killed.glob("*.json")}
    assert 2 <= len(left) < 6
    for folder in (killed, whole):
        subprocess.run([sys.executable, "-c", SLOW, folder], check=True)

    def found(folder: Path):
        records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        return [(record["arguments"], record["metrics"]) for record in records]

    assert found(killed) == found(whole)
    assert all(path.read_text() == text for path, text in left.items())


def test_metric_where_and_origin_describe_records(tmp_path):
    records = study.run(square, CASES, [0, 2], tmp_path)
    five = study.where(records, x=5)
    assert len(five) == 2
    metric = study.metric(five, "square", "squares")
    assert (metric["value"], metric["n"], metric["unit"], metric["preset"]) == (26, 2, "squares", "standard")
    assert metric["spread"] == pytest.approx(2**0.5)
    assert metric["device"] == records[0]["device"]
    assert study.origin(records).startswith("4 runs, preset standard, 0 seconds each on ")


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
    (tmp_path / "seed=0_x=2.json").write_text(json.dumps({"arguments": {"x": 3, "seed": 0}}))
    with pytest.raises(ValueError, match=r"holds a run with other arguments.*remove it"):
        study.run(square, [{"x": 2}], [0], tmp_path)


def test_values_and_metrics_of_records(tmp_path):
    records = study.run(square, CASES, [0, 1], tmp_path, jobs=1)
    assert study.values(records, "square").tolist() == [4, 5, 25, 26]
    mirrored = study.metric(records, "square", "points", sign=-1)
    assert mirrored["value"] == -15
    assert mirrored["n"] == 4
    assert mirrored["spread"] == study.metric(records, "square", "points")["spread"] > 0
    assert mirrored["preset"] == "standard"
