"""How long a newcomer waits: for `make`, for its first film, for `make test`, in a clone whose path holds a space.

`bench/newcomer.py FOLDER [JOBS [COMMIT]]` clones the last commit to FOLDER/my projects/chromae, installs, fetches the
data, and only then looks at the clock; with 0 JOBS it times the tests alone; with a COMMIT it then does the same with
that one, to compare with. What the clones made stays there. Writes results/notebooks.json. An hour or more (the tests
alone ten minutes), in which nothing else should run.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from chromae import settings
from chromae.records import results

WAIT = 2  # seconds between two looks for a film
UNSET = ("CHROMAE_", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")  # what a newcomer has not set
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(UNSET)}


def make(clone: Path, *arguments: str) -> tuple[float, float | None]:
    """Seconds of `make` in the clone, and those until its first new film. Raises CalledProcessError if it fails."""
    start, wall, first = time.perf_counter(), time.time(), None
    running = subprocess.Popen(["make", *arguments], cwd=clone, env=CLEAN)
    while running.poll() is None:
        time.sleep(WAIT)
        if first is None and any(film.stat().st_mtime > wall for film in (clone / "images").glob("*.mp4")):
            first = time.perf_counter() - start
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, running.args)
    return time.perf_counter() - start, first


def hash_of(commit: str) -> str:
    """A commit's full name. Ends the process if there is none."""
    asked = ["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"]
    found = subprocess.run(asked, cwd=settings.ROOT, text=True, stdout=subprocess.PIPE).stdout.strip()
    return found or sys.exit(f"COMMIT is {commit}, which this clone does not have")


def cloned(clone: Path, at: str) -> Path:
    """The repository as it was at a commit, installed and with its data."""
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(settings.ROOT), str(clone)], check=True)
    subprocess.run(["git", "fetch", "--quiet", "origin"], cwd=clone, check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", at], cwd=clone, check=True)
    make(clone, ".venv/.ready")  # `make install`, which was not always there
    make(clone, "data")
    return clone


def in_a_row(clone: Path) -> tuple[float, dict[str, int]]:
    """Seconds of `make`, and those of each notebook, where commands are echoed and run one after the other."""
    start, begins = time.perf_counter(), {}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = subprocess.Popen(["make"], cwd=clone, env=CLEAN, **streams)
    for line in running.stdout:
        print(line, end="", flush=True)
        for name in re.findall(r"notebooks/(\w+)\.ipynb|\] (\w+): running", line):  # as echoed, or as told
            begins.setdefault("".join(name), time.perf_counter())
    if running.wait():
        raise subprocess.CalledProcessError(running.returncode, running.args)
    ends = [*list(begins.values())[1:], time.perf_counter()]
    took = {name: round(end - begin) for (name, begin), end in zip(begins.items(), ends, strict=True)}
    return time.perf_counter() - start, took


def main(folder: str, jobs: str = "1", commit: str = "") -> None:
    if not jobs.isdecimal():
        sys.exit(f"JOBS is {jobs}, expected a number: 0 for the tests alone")
    if commit and not int(jobs):
        sys.exit("0 JOBS compare nothing: leave COMMIT out")
    if commit and " " in str(Path(folder).resolve()):
        sys.exit(f"FOLDER is {folder}, expected no spaces beside a COMMIT: an older Makefile may not bear them")
    place, at, before_at = Path(folder).resolve(), hash_of("HEAD"), hash_of(commit) if commit else ""
    for made in [place / "my projects" / "chromae", *([place / commit] if commit else [])] if int(jobs) else []:
        if any((made / "build").glob("*.ipynb")):
            sys.exit(f"{made} has run its notebooks, so that `make` would find nothing to do: name another FOLDER")
    clone, took, notebooks = cloned(place / "my projects" / "chromae", at), {}, {}
    if int(jobs):
        seconds, first = make(clone, f"-j{jobs}")
        took = {"make_seconds": round(seconds), "make_jobs": int(jobs)}
        took |= {"first_film_seconds": round(first)} if first else {}
        notebooks = results.read_json(clone / "build" / "notebooks.json")["notebooks"]
        note(took, notebooks)
    note({"test_seconds": round(make(clone, "test")[0])}, notebooks)
    if commit:
        after = took | {"notebooks": notebooks}
        seconds, those = in_a_row(cloned(place / commit, before_at))
        before = {"commit": commit, "make_seconds": round(seconds), "notebooks": those}
        note({"before": before, "after": after}, notebooks)  # whatever is published later, these stay together


def note(took: dict[str, object], notebooks: dict[str, dict]) -> None:
    """Add these to results/notebooks.json, and what notebooks took; without notebooks only if it is of this machine."""
    path = settings.ROOT / "results" / "notebooks.json"
    published = results.read_json(path)
    machine = {"device": settings.device_name(settings.device()), "versions": results.versions()}
    if not notebooks and not machine.items() <= published.items():
        sys.exit(f"{path} is of another machine, or of other versions: measure the notebooks as well")
    results.write_json(path, published | machine | took | {"notebooks": published["notebooks"] | notebooks})
    print(f"{path}: {took}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
