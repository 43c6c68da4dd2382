"""How long a newcomer waits: for `make`, for its first film, for `make test`, in a clone whose path holds a space.

`bench/newcomer.py FOLDER [JOBS]` clones the last commit to FOLDER/my projects/chromae, installs, fetches the data, and
only then looks at the clock. What the clone made stays there. Writes results/notebooks.json. An hour or more.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from chromae import settings
from chromae.records import results

WAIT = 2  # seconds between two looks for a film


def make(clone: Path, *arguments: str) -> tuple[float, float | None]:
    """Seconds of `make` in the clone, and those until its first new film. Raises CalledProcessError if it fails."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CHROMAE_")}
    start, wall, first = time.perf_counter(), time.time(), None
    running = subprocess.Popen(["make", *arguments], cwd=clone, env=clean)
    while running.poll() is None:
        time.sleep(WAIT)
        if first is None and any(film.stat().st_mtime > wall for film in (clone / "images").glob("*.mp4")):
            first = time.perf_counter() - start
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, running.args)
    return time.perf_counter() - start, first


def main(folder: str, jobs: str = "1") -> None:
    clone = Path(folder).resolve() / "my projects" / "chromae"
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(settings.ROOT), str(clone)], check=True)
    make(clone, "install")
    make(clone, "data")
    seconds, first = make(clone, f"-j{jobs}")
    took = {"make_seconds": round(seconds), "make_jobs": int(jobs)}
    took |= {"first_film_seconds": round(first)} if first else {}
    note(clone, took)
    note(clone, {"test_seconds": round(make(clone, "test")[0])})


def note(clone: Path, took: dict[str, int]) -> None:
    """Add these to results/notebooks.json, and what the clone's notebooks took."""
    path, made = settings.ROOT / "results" / "notebooks.json", clone / "build" / "notebooks.json"
    published, theirs = results.read_json(path), results.read_json(made)
    notebooks = published["notebooks"] | theirs["notebooks"]
    machine = {key: theirs[key] for key in ("device", "versions")}
    results.write_json(path, published | machine | took | {"notebooks": notebooks})
    print(f"{path}: {took}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
