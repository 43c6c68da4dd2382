"""make, in a copy of the repository: what is run when, and what is left alone."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "notebooks/01_color_autoencoder.ipynb"
# What every notebook films.
RUNS = {
    "01_color_autoencoder": ["color_mse", "color_triplet"],
    "02_color_questions": ["color_fold"],
    "03_digits_autoencoder": ["digits_plane"],
    "04_digits_vae": ["vae_plane"],
    "05_photos_autoencoder": ["photos_sharpen"],
    "06_colorization": ["photos_colored"],
    "07_shapes_autoencoder": ["shapes_walk"],
    "08_shapes_contrastive": ["shapes_by_color", "shapes_by_form"],
    "09_palette_excitation": ["palette_forms"],
    "10_pen_plot": ["pen_plot"],
    "11_strokes": ["strokes"],
}
FRAMES = {f"images/{film}.mp4": f"images/frames/{run}/{film}" for run, films in RUNS.items() for film in films}
FILMS = tuple(FRAMES)

pytestmark = [
    pytest.mark.skipif(os.name == "nt" or not shutil.which("make"), reason="there is no make"),
    pytest.mark.skipif(not shutil.which("git") or not (ROOT / ".git").exists(), reason="this is no git repository"),
]

# Notes its arguments, and what is to be published. Stands in for the command that runs notebooks: the copy of the
# notebook, and the frames that a run of it leaves; for the command that films them, which keeps a newer film; and for
# the import of all that is installed. All would take seconds.
PYTHON = r"""#!/bin/sh
echo "publish=$CHROMAE_PUBLISH $*" >>calls.txt
case "$*" in
*chromae\ run*--to\ build)
    [ -e broken ] && exit 1
    notebook=$4
    for folder in {frames}; do
        case $folder in
        */$(basename "$notebook" .ipynb)/*)
            mkdir -p $folder
            touch $folder/0001.png
        esac
    done
    mkdir -p build
    cp "$notebook" build/
    ;;
*chromae\ run*|*chromae\ readme*|*chromae\ verify*|*import\ chromae*) ;;
*chromae\ film*)
    [ -e "$4/0001.png" ] || exit 1
    if [ "$5" -nt "$4/0001.png" ]; then touch "$5"; else echo moov >"$5"; fi
    ;;
*) exec "{python}" "$@" ;;
esac
"""


@pytest.fixture
def repository(clone):
    """A fresh clone, every file of it ten minutes old."""
    age(clone, 600)
    return clone


@pytest.fixture
def ready(repository):
    """A clone with an environment in which nothing is slow, and without films."""
    (repository / ".venv/bin").mkdir(parents=True)
    python = repository / ".venv/bin/python"
    python.write_text(PYTHON.format(python=sys.executable, frames=" ".join(FRAMES.values())))
    python.chmod(0o755)
    (repository / ".venv/.ready").touch()
    for film in FILMS:
        (repository / film).unlink(missing_ok=True)
    return repository


@pytest.fixture
def made(ready):
    """The same after `make`, a minute later."""
    make(ready, check=True)
    forget(ready)
    return ready


def age(folder: Path, seconds: float) -> None:
    """Make every file older, all by as much."""
    for path in folder.rglob("*"):
        if path.is_file():
            times = path.stat()
            os.utime(path, (times.st_atime - seconds, times.st_mtime - seconds))


def forget(folder: Path) -> None:
    """A minute passes, and what was called is forgotten."""
    (folder / "calls.txt").unlink(missing_ok=True)
    age(folder, 60)


def make(folder: Path, *arguments: str, check: bool = False) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=check)


def calls(folder: Path) -> list[str]:
    """What was asked of Python: the notebook that was run, or the film that was made."""
    notes = folder / "calls.txt"
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [Path(line.split()[4]).stem if "chromae run" in line else line.split()[-1] for line in lines]


def test_help_lists_every_target(repository):
    phony = re.search(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(), re.MULTILINE)[1].split()
    shown = re.findall(r"^  make ([\w-]+) +\S", make(repository, "help", check=True).stdout, re.MULTILINE)
    assert sorted(shown) == sorted(set(phony) - {"all"})


def test_these_are_the_notebooks():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(RUNS)


def test_fresh_clone_plans_to_run_the_notebooks(repository):
    plan = make(repository, "-n", check=True).stdout
    assert "-m venv .venv" in plan
    assert "-r requirements.txt" in plan
    for run in RUNS:
        assert re.search(rf"-m chromae run notebooks/{run}.ipynb --to build$", plan, re.MULTILINE)
    for film, frames in FRAMES.items():
        assert f"-m chromae film {frames} {film}" in plan
    assert not (repository / ".venv").exists()


def test_first_make_runs_every_notebook_once_and_makes_the_films(ready):
    make(ready, check=True)
    assert sorted(calls(ready)) == sorted([*RUNS, *FILMS])
    for film, frames in FRAMES.items():
        assert calls(ready).index(Path(frames).parent.name) < calls(ready).index(film)
    for film in FILMS:
        assert b"moov" in (ready / film).read_bytes()


def test_those_that_take_longest_come_right_after_the_first(repository):
    took = json.loads((ROOT / "results" / "notebooks.json").read_text(encoding="utf-8"))["notebooks"]
    first, *longest = re.findall(r"notebooks/(\w+)\.ipynb", make(repository, "-n", check=True).stdout)[:3]
    assert first == "01_color_autoencoder"
    rest = sorted((name for name in RUNS if name != first), key=lambda name: took[name]["seconds"])
    assert set(longest) == set(rest[-2:])


def published(folder: Path) -> dict[str, str]:
    """What every run of a notebook was told to publish."""
    lines = (folder / "calls.txt").read_text().splitlines()
    runs = [line for line in lines if "chromae run" in line]
    return {name: line.split()[0] for line in runs for name in re.findall(r"notebooks/(.*?\.ipynb)", line)}


def test_it_is_a_folder_with_a_space_in_its_name(ready):
    """What all tests of make run in: half of the Macs have a folder of such a name."""
    assert " " in str(ready)


def test_make_publishes_films_alone(ready):
    make(ready, check=True)
    assert published(ready) == {f"{run}.ipynb": "publish=films" for run in RUNS}


def test_notebooks_are_published_in_place_then_the_readme_is_renewed(ready):
    """A reader's own notebook too, whatever its name."""
    (ready / NOTEBOOK).rename(ready / "notebooks" / "11 my own.ipynb")
    make(ready, "notebooks", check=True)
    names = {*(f"{run}.ipynb" for run in RUNS if run not in NOTEBOOK), "11 my own.ipynb"}
    assert published(ready) == dict.fromkeys(names, "publish=all")
    lines = (ready / "calls.txt").read_text().splitlines()
    assert not [line for line in lines if "--to" in line]
    assert lines[-1].endswith("-m chromae readme")


def test_records_are_made_anew_and_published(ready):
    plan = make(ready, "-n", "records", check=True).stdout
    assert re.search(r"CHROMAE_RECORDS=anew CHROMAE_PUBLISH=all .* -m chromae run notebooks/", plan)


def test_make_says_what_it_does_and_shows_no_command(ready):
    """The commands, which here say nothing, say the rest."""
    assert make(ready, check=True).stdout == ""
    make(ready, "verify", "RECORDS=3", "SEED=5", check=True)
    assert calls(ready)[-1] == "5"
    (ready / "requirements.txt").write_text("")
    told = make(ready, ".venv/.ready", check=True).stdout.splitlines()
    assert [line.split()[0] for line in told] == ["installing", "installed"]


def test_what_installation_imports_is_there():
    names = re.search(r"-c 'import (chromae[^']*)'", (ROOT / "Makefile").read_text(encoding="utf-8"))[1]
    assert all(importlib.util.find_spec(name) for name in names.split(", "))


def test_two_jobs_at_once_make_the_same(ready):
    make(ready, "-j2", check=True)
    assert sorted(calls(ready)) == sorted([*RUNS, *FILMS])
    for film in FILMS:
        assert b"moov" in (ready / film).read_bytes()
    assert make(ready, "-q").returncode == 0


def test_tests_run_side_by_side(ready):
    plan = make(ready, "-n", "test", check=True).stdout
    assert re.search(r"pytest .*-n auto --maxprocesses 8$", plan, re.MULTILINE)
    assert re.search(r"CHROMAE_NIGHTLY=1 .*pytest .*test_faults.*test_fuzz", make(ready, "-n", "nightly").stdout)


def test_second_make_has_nothing_to_do(made):
    assert make(made, "-q").returncode == 0
    make(made, check=True)
    assert calls(made) == []


@pytest.mark.parametrize(
    "name",
    ["src/chromae/losses/__init__.py", "src/chromae/models/color.py", NOTEBOOK, "requirements.txt", "pyproject.toml"],
)
def test_change_makes_the_films_out_of_date(made, name):
    (made / name).touch()
    assert make(made, "-q").returncode == 1
    assert NOTEBOOK in make(made, "-n", check=True).stdout


def test_new_file_of_the_package_makes_the_films_out_of_date(made):
    (made / "src/chromae/models/new.py").touch()
    assert make(made, "-q").returncode == 1


@pytest.mark.parametrize("name", ["bench/run.py", "Makefile", ".gitignore"])
def test_other_files_leave_the_films_up_to_date(made, name):
    (made / name).touch()
    assert make(made, "-q").returncode == 0


def test_missing_film_is_made_of_its_frames(made):
    lost, kept = (made / film for film in FILMS[:2])
    before = kept.stat().st_mtime
    lost.unlink()
    make(made, check=True)
    assert calls(made) == [FILMS[0]]
    assert b"moov" in lost.read_bytes()
    assert kept.stat().st_mtime == before


def test_films_that_the_run_made_are_kept(ready):
    """A run of the notebook draws, films and ends, in this order: make need not film again."""
    make(ready, check=True)
    forget(ready)
    now = time.time()
    for path in (ready / "images/frames").rglob("*.png"):
        os.utime(path, (now - 30, now - 30))
    for film in FILMS:
        (ready / film).write_bytes(b"filmed by the notebook")
        os.utime(ready / film, (now - 20, now - 20))
    for run in RUNS:
        os.utime(ready / f"build/{run}.ipynb", (now - 10, now - 10))
    make(ready, check=True)
    assert sorted(calls(ready)) == sorted(FILMS)
    assert {(ready / film).read_bytes() for film in FILMS} == {b"filmed by the notebook"}
    assert make(ready, "-q").returncode == 0


def test_animations_leave_the_notebook_alone(ready):
    notebook = ready / NOTEBOOK
    notebook.write_text("left by its reader")
    before = notebook.stat().st_mtime
    make(ready, "animations", check=True)
    assert Path(NOTEBOOK).stem in calls(ready)
    assert notebook.read_text() == "left by its reader"
    assert notebook.stat().st_mtime == before


def test_failed_run_is_no_run(ready):
    (ready / "broken").touch()
    assert make(ready).returncode != 0
    assert not list((ready / "build").glob("*.ipynb"))
    (ready / "broken").unlink()
    make(ready, check=True)
    assert make(ready, "-q").returncode == 0


def test_clean_keeps_films_environment_and_what_took_hours(made):
    """Records and weights of runs by hand lie in build/, where nothing else is worth keeping."""
    for name in (
        "build/studies/01/a.json",
        "build/weights/a.safetensors",
        "build/results/a.json",
        "build/images/a.png",
    ):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).touch()
    make(made, "clean", check=True)
    left = {path.relative_to(made).as_posix() for path in (made / "build").rglob("*") if path.is_file()}
    assert left == {"build/studies/01/a.json", "build/weights/a.safetensors"}
    assert not (made / "images/frames").exists()
    for kept in (*FILMS, ".venv/bin/python", NOTEBOOK, "src/chromae/files.py"):
        assert (made / kept).exists()


def test_old_python_is_refused_in_one_sentence(repository):
    """A Python that says it is 3.9, and would note it if it were asked to make an environment."""
    old = repository / "old_python"
    old.write_text(
        '#!/bin/sh\n[ "$1" = -c ] || { echo asked >asked; exit 1; }\n'
        f"exec '{sys.executable}' -c \"import sys; sys.version_info = (3, 9, 18); sys.version = '3.9.18 (main)'\n$2\"\n"
    )
    old.chmod(0o755)
    done = make(repository, "PYTHON=./old_python")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(told) == 1
    assert told[0].startswith("Chromae needs Python 3.11 or newer, this is 3.9.18")
    assert not (repository / "asked").exists()
    assert not (repository / ".venv").exists()
