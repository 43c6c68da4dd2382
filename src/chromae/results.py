"""results/NN_topic.json: the numbers a run publishes, README, which shows them, and whether a run made them again.

`python -m chromae.results` renews the numbers in README; `python -m chromae.results FOLDER` compares a folder of
results with the published ones.
"""

import json
import math
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from chromae import files, settings


def metric(values: float | Sequence[float], unit: str) -> dict:
    """One published number: the mean over seeds, their standard deviation (n − 1), their count and the unit."""
    values = np.atleast_1d(np.asarray(values, dtype=float))
    spread = values.std(ddof=1).item() if len(values) > 1 else 0.0
    return {"value": values.mean().item(), "spread": spread, "n": len(values), "unit": unit}


def versions() -> dict[str, str]:
    """The versions that results depend on."""
    return {"python": platform.python_version(), "torch": torch.__version__}


def write(
    folder: Path, notebook: str, *, data: str, device: torch.device, seconds: float, metrics: Mapping[str, dict]
) -> Path:
    """Write `folder`/`notebook`.json; `metrics` maps names to what `metric` returns. Returns the path."""
    record = {
        "notebook": notebook,
        "preset": settings.preset(),
        "device": settings.device_name(device),
        "data": data,
        "versions": versions(),
        "seconds": round(seconds),
        "metrics": dict(metrics),
    }
    return write_json(folder / f"{notebook}.json", record)


def write_json(path: Path, record: dict) -> Path:
    """Write a record under a temporary name, then rename it."""
    with files.replacing(path) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def read_json(path: Path) -> dict:
    """A record that `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


MARK = re.compile(r"<!--= (?P<file>\w+) (?P<keys>[\w.]+)(?P<format>:\S+)? -->.*?<!--/-->", re.DOTALL)


def fill(text: str, folder: Path) -> str:
    """README with its numbers renewed: `<!--= FILE KEY.KEY:FORMAT -->…<!--/-->` shows a value of FILE.json.

    A metric is shown as value ± spread. Raises KeyError or FileNotFoundError for a number that is not published.
    """

    def show(mark: re.Match) -> str:
        value = read_json(folder / f"{mark['file']}.json")
        for key in mark["keys"].split("."):
            if not isinstance(value, dict) or key not in value:
                raise KeyError(f"{mark['keys']} is not in {mark['file']}.json")
            value = value[key]
        style = (mark["format"] or ":")[1:]
        if isinstance(value, dict):
            shown = format(value["value"], style)
            if value["n"] > 1:
                shown += f" ± {value['spread']:{style}}"
        else:
            shown = format(value, style)
        return mark[0][: mark[0].index("-->") + 3] + shown + "<!--/-->"

    return MARK.sub(show, text)


def compare(folder: Path, published: Path) -> list[str]:
    """A line for every published notebook that has results in `folder`: how many of its numbers are as published.

    Below it are those that are not, to a millionth, beside the published ones. Raises FileNotFoundError without any.
    """
    paths = [path for path in sorted(folder.glob("*.json")) if (published / path.name).exists()]
    if not paths:
        raise FileNotFoundError(f"no results in {folder} to compare with those in {published}: run `make` first")
    lines = []
    for path in paths:
        again, before = read_json(path), read_json(published / path.name)
        found, expected = (
            {name: one["value"] for name, one in record["metrics"].items()} for record in (again, before)
        )
        same = [name for name in found if name in expected and math.isclose(found[name], expected[name], rel_tol=1e-6)]
        made, there = (f"{it['preset']}, {it['device']}, torch {it['versions']['torch']}" for it in (again, before))
        machines = "" if made == there else f" (here {made}; there {there})"
        lines.append(f"{path.stem}: {len(same)} of {len(found)} numbers as published{machines}")
        for name in sorted(found.keys() - same):
            lines.append(f"  {name} is {found[name]:.6g}, published is {expected.get(name, math.nan):.6g}")
    return lines


if __name__ == "__main__":
    if len(sys.argv) > 1:
        try:
            print(*compare(Path(sys.argv[1]), settings.ROOT / "results"), sep="\n")
        except FileNotFoundError as error:
            sys.exit(str(error))
    else:
        readme = settings.ROOT / "README.md"
        filled = fill(readme.read_text(encoding="utf-8"), settings.ROOT / "results")
        with files.replacing(readme) as part:
            part.write_text(filled, encoding="utf-8")
