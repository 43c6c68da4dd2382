"""`python -m chromae`: what each command does, prints and returns; films are in test_frames, shapes in test_sprites."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chromae import settings
from chromae.__main__ import main
from chromae.datasets import downloads
from chromae.figures import frames
from chromae.records import environment, results

COMMANDS = ("data", "film", "run", "shapes", "compare", "verify", "site", "readme", "env")


def test_help_lists_every_command_with_what_it_does(capsys):
    assert main(["--help"]) == 0
    shown = re.findall(r"^    (\w+) +\S+ \S+ \S+", capsys.readouterr().out, re.MULTILINE)
    assert tuple(shown) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_how_it_is_used(command, capsys):
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m chromae {command} ")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["nonsense"], "argument COMMAND: invalid choice: 'nonsense'"),
        (["data", "mnist"], "unrecognized arguments: mnist"),
        (["shapes"], "the following arguments are required: FOLDER, COUNT"),
        (["shapes", "a"], "the following arguments are required: COUNT"),
        (["shapes", "a", "many"], "argument COUNT: 'many' is no count, expected 1 or more"),
        (["shapes", "a", "0"], "argument COUNT: '0' is no count, expected 1 or more"),
        (["shapes", "a", "9" * 30], f"argument COUNT: '{'9' * 30}' is no count, expected 1 or more, below 2³¹"),
        (["compare", "a", "b"], "unrecognized arguments: b"),
        (["run"], "the following arguments are required: NOTEBOOK"),
        (["verify"], "one of the arguments --notebook --records is required"),
        (["verify", "--records", "0"], "argument --records: '0' is no count, expected 1 or more"),
        (["verify", "--records", "1", "--seed", "-1"], "argument --seed: '-1' is no seed, expected 0 or more"),
        (["verify", "--records", "1", "--seed", "x"], "argument --seed: 'x' is no seed, expected 0 or more"),
        (["readme", "a"], "unrecognized arguments: a"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, wanted, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(rf"python -m chromae[^\n]*: {re.escape(wanted)}[^\n]*; see `[^\n]* --help`\n", told.err)
    assert os.listdir() == []


def test_a_new_process_returns_the_status():
    """Of the module, as make calls it; the same function is what an installed `chromae` calls."""
    asked = subprocess.run(
        [sys.executable, "-m", "chromae", "film", "nowhere", "a.mp4"], capture_output=True, text=True
    )
    assert (asked.returncode, asked.stdout) == (1, "")
    assert re.fullmatch(r"no frames \(\*.png\) in nowhere to make a.mp4 of[^\n]*\n", asked.stderr)


def test_data_fetches_every_set_and_says_in_a_sentence_what_it_cannot(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CHROMAE_DATA", str(tmp_path))
    arrays = {"one": np.arange(5, dtype=np.uint8)}
    monkeypatch.setattr(downloads, "DIGESTS", {"a": {"one": downloads._digest(arrays["one"])}, "b": {"two": ""}})
    monkeypatch.setattr(downloads, "SOURCES", {"a": [lambda temp: arrays], "b": []})
    assert main(["data"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert re.fullmatch(r"could not fetch b: [^\n]*\n", capsys.readouterr().err)


@pytest.fixture
def repository(repository):
    results.write_json(repository / "results" / "topic.json", {"value": 5})
    return repository


def test_the_pages_show_the_numbers_of_the_results(repository, capsys):
    """Both or neither; without a film there is no moving picture."""
    pages = [repository / name for name in ("README.md", "RESULTS.md")]
    for page in pages:
        page.write_text("five: <!--= topic value -->4<!--/-->\n")
    assert main(["readme"]) == 0
    assert [page.read_text() for page in pages] == 2 * ["five: <!--= topic value -->5<!--/-->\n"]
    pages[0].write_text("five: <!--= topic value -->4<!--/-->\n")
    pages[1].write_text("six: <!--= topic other -->4<!--/-->\n")
    assert main(["readme"]) == 1
    assert capsys.readouterr().err == "other is not in topic.json\n"
    assert "-->4<!" in pages[0].read_text()


def test_readme_wants_a_clone(repository, capsys):
    (repository / "README.md").write_text("")
    assert main(["readme"]) == 1
    assert capsys.readouterr().err == f"{repository} is no clone of the repository: it has no RESULTS.md\n"


def test_verify_wants_a_clone(repository, capsys):
    assert main(["verify", "--notebook", "08"]) == 1
    assert capsys.readouterr().err == f"{repository} is no clone of the repository: it has no notebooks\n"
    assert not (repository / "build").exists()


def test_what_is_not_installed_is_named_with_what_brings_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.ipynb").write_text("{}")
    monkeypatch.setitem(sys.modules, "nbclient", None)
    monkeypatch.setitem(sys.modules, "nbclient.exceptions", None)
    assert main(["run", str(tmp_path / "a.ipynb")]) == 1
    told = capsys.readouterr().err
    assert re.fullmatch(r"[^\n]*nbclient[^\n]*: it comes with `pip install 'chromae\[notebooks\]'`\n", told)


def test_compare_looks_where_make_leaves_results(repository, capsys):
    assert main(["compare"]) == 1
    assert re.fullmatch(r"no results in [^\n]*build/results to compare with[^\n]*\n", capsys.readouterr().err)
    record = {"metrics": {"mse": results.metric(1.0, "")}, "preset": "fast", "device": "", "versions": {"torch": "2"}}
    for folder in ("results", "build/results"):
        results.write_json(repository / folder / "topic.json", record)
    assert main(["compare"]) == 0
    assert capsys.readouterr().out == "topic: 1 of 1 numbers came out as published\n"


def test_env_says_what_a_report_needs(capsys, monkeypatch):
    monkeypatch.setenv("CHROMAE_PRESET", "fast")
    assert main(["env"]) == 0
    said = dict(re.findall(r"^([\w.-]+): +(\S.*)$", capsys.readouterr().out, re.MULTILINE))
    import torch

    import chromae

    assert said["chromae"].startswith(chromae.__version__)
    assert said["python"].startswith(sys.version.split()[0])
    assert said["torch"] == torch.__version__.partition("+")[0] or said["torch"] == torch.__version__
    assert said["device"].startswith(settings.device_name(settings.device()))
    assert said["preset"] == "fast"
    assert said["root"] == str(settings.ROOT)
    assert "CHROMAE_PRESET=fast" in said["variables"]
    assert {"platform", "numpy", "threads", "data", "weights", "ffmpeg"} <= said.keys()
    if (settings.ROOT / ".git").exists() and Path(chromae.__file__).is_relative_to(settings.ROOT):
        assert re.search(r", commit [0-9a-f]{7,}(-dirty)?$", said["chromae"])


def test_env_goes_on_where_something_is_broken(monkeypatch):
    monkeypatch.setenv("CHROMAE_DEVICE", "nonsense")
    monkeypatch.setenv("CHROMAE_PRESET", "slow")
    monkeypatch.setattr(frames, "_encoders", list)
    monkeypatch.setattr(environment, "_dependencies", lambda: ["torch", "no-such-package"])
    said = {line.partition(":")[0]: line.partition(":")[2].strip() for line in environment.report()}
    assert said["device"].startswith("not found (ValueError: CHROMAE_DEVICE is 'nonsense', expected")
    assert said["preset"].startswith("not found (ValueError: CHROMAE_PRESET is 'slow'")
    assert said["no-such-package"].startswith("not found (PackageNotFoundError")
    assert said["ffmpeg"] == "none"
    assert said["torch"][0].isdigit()


def test_env_does_without_torch(tmp_path):
    """Where its import fails, the lines that need it say so."""
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart is missing')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    asked = [sys.executable, "-m", "chromae", "env"]
    done = subprocess.run(asked, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert re.search(r"^device: +not found \(ImportError: libcudart is missing\)$", done.stdout, re.MULTILINE)
    assert re.search(r"^torch: +\d", done.stdout, re.MULTILINE)
