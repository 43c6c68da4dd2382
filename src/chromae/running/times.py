"""How long notebooks take and how much memory: on this machine in build/, and as published in results/.

Both files are called notebooks.json: `{"device", "versions", "notebooks": {name: {"seconds", "peak_mb", "device"}}}`.
"""

import os
from collections.abc import Mapping, Sequence
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
    published = settings.ROOT / "results"
    own = {name: _read(published / f"{name}.json") for name in names}  # each notebook notes its own time, too
    here = _seconds(_notebooks(settings.ROOT / "build"))
    there = _seconds(own) | _seconds(_notebooks(published))
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
            notebooks = _notebooks(path.parent) | {name: entry}
            results.write_json(path, _read(path) | machine | {"notebooks": dict(sorted(notebooks.items()))})


def _read(path: Path) -> dict:
    """What a file holds; nothing if it is missing or broken, for no run is to fail by that."""
    try:
        return results.read_json(path)
    except (ValueError, FileNotFoundError):
        return {}


def _notebooks(folder: Path) -> dict:
    """What a run of each notebook took, by the file of times in this folder."""
    notebooks = _read(folder / "notebooks.json").get("notebooks")
    return notebooks if isinstance(notebooks, dict) else {}


def _seconds(records: Mapping[str, object]) -> dict[str, float]:
    """The seconds that records hold, of those that hold any."""
    held = {name: it.get("seconds") for name, it in records.items() if isinstance(it, dict)}
    return {name: seconds for name, seconds in held.items() if isinstance(seconds, int | float)}
