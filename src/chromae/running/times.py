"""How long notebooks take and how much memory: on this machine in build/, and as published in results/.

Both files are called notebooks.json: `{"device", "versions", "notebooks": {name: {"seconds", "peak_mb", "device"}}}`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chromae import files, settings
from chromae.arguments.kinds import Size
from chromae.records import results


class Took(NamedTuple):
    """What a run of a notebook took."""

    seconds: Size
    peak_mb: Size  # of the notebook's process and all that it started


def expected(names: Sequence[str]) -> dict[str, float]:
    """How many seconds each of these notebooks is likely to take, as far as one can know: by its name.

    As long as when it last ran on this machine; else as long as published, by as much longer or shorter as those took
    that ran here. Of other presets than "standard" nothing is known.
    """
    if settings.preset() != "standard":
        return {}
    here, there = _seconds(settings.ROOT / "build"), _seconds(settings.ROOT / "results")
    for name in set(names) - there.keys():  # each notebook notes its own time, too
        with_numbers = settings.ROOT / "results" / f"{name}.json"
        if with_numbers.exists():
            there[name] = float(results.read_json(with_numbers).get("seconds", 0.0))
    both = here.keys() & there.keys()
    ratio = sum(here[name] for name in both) / max(1.0, sum(there[name] for name in both)) if both else 1.0
    return {name: here.get(name, there.get(name, 0.0) * ratio) for name in names if name in here.keys() | there.keys()}


def note(name: str, took: Took) -> None:
    """Note what a run took, in build/notebooks.json, and in results/ beside it if it is one that publishes.

    Of other presets than "standard" nothing is noted.
    """
    if settings.preset() != "standard":
        return
    machine = {"device": settings.device_name(settings.device()), "versions": results.versions()}
    entry = {"seconds": round(took.seconds), "peak_mb": round(took.peak_mb), "device": machine["device"]}
    for folder in ("build", "results") if os.environ.get("CHROMAE_PUBLISH") == "all" else ("build",):
        path = settings.ROOT / folder / "notebooks.json"
        with files.alone(path.parent, "noting times in"):
            before = _read(path)
            notebooks = before.get("notebooks", {}) | {name: entry}
            results.write_json(path, before | machine | {"notebooks": dict(sorted(notebooks.items()))})


def stale(notebook: str | Path, folder: str | Path) -> bool:
    """Whether `make` would run a notebook: its copy in this folder is missing, or older than it or the package."""
    notebook, copy = Path(notebook), Path(folder) / Path(notebook).name
    if not copy.exists():
        return True
    package = Path(__file__).resolve().parents[1].rglob("*.py")
    return copy.stat().st_mtime < max(path.stat().st_mtime for path in (notebook, *package))


def _read(path: Path) -> dict:
    """What a file of times holds; nothing if it is missing or broken, for no run is to fail by that."""
    try:
        record = results.read_json(path)
    except (ValueError, FileNotFoundError):
        return {}
    return record if isinstance(record.get("notebooks", {}), dict) else {}


def _seconds(folder: Path) -> dict[str, float]:
    notebooks = _read(folder / "notebooks.json").get("notebooks", {})
    return {name: float(it["seconds"]) for name, it in notebooks.items() if isinstance(it, dict) and "seconds" in it}
