"""results/NN_topic.json: the numbers a run publishes, and README, which shows them."""

import json
import platform
import re
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


MARK = re.compile(r"<!--= (?P<file>\w+) (?P<keys>[\w.]+)(?P<format>:\S+)? -->.*?<!--/-->", re.DOTALL)


def fill(text: str, folder: Path) -> str:
    """README with its numbers renewed: `<!--= FILE KEY.KEY:FORMAT -->…<!--/-->` shows a value of FILE.json.

    A metric is shown as value ± spread. Raises KeyError or FileNotFoundError for a number that is not published.
    """

    def show(mark: re.Match) -> str:
        value = json.loads((folder / f"{mark['file']}.json").read_text(encoding="utf-8"))
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


if __name__ == "__main__":
    readme = settings.ROOT / "README.md"
    filled = fill(readme.read_text(encoding="utf-8"), settings.ROOT / "results")
    with files.replacing(readme) as part:
        part.write_text(filled, encoding="utf-8")
