"""results/NN_topic.json: the numbers a run publishes, README, which shows them, and whether a run made them again.

`python -m chromae readme` renews the numbers in README; `python -m chromae compare FOLDER` compares a folder of
results with the published ones.
"""

import functools
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.special import stdtrit

from chromae import files, settings
from chromae.arguments.kinds import Size


class Broken(ValueError):
    """A file does not hold what was written to it."""


def metric(values: float | Sequence[float] | np.ndarray | torch.Tensor, unit: str) -> dict:
    """One published number: the mean over seeds, their standard deviation (n − 1), their count and the unit.

    Of two seeds or more also `low` and `high`, the confidence interval of 95 % of the mean over all seeds there are, by
    Student's t ("The probable error of a mean", Biometrika 6, 1908): mean ∓ t s/√n, t the quantile of 97.5 % for n − 1
    degrees of freedom: 12.7 of two seeds, 4.3 of three, 2.8 of five. It takes seeds for draws from a normal
    distribution, which knows no bounds; that of a share, whose unit begins so, is cut at 0 and 1.
    """
    values = np.atleast_1d(np.asarray(values, dtype=float))
    if not values.size:
        raise ValueError("values is empty, expected one or more")
    mean, n = values.mean().item(), len(values)
    if n == 1:
        return {"value": mean, "spread": 0.0, "n": n, "unit": unit}
    spread = values.std(ddof=1).item()
    reach = stdtrit(n - 1, 0.975).item() * spread / n**0.5
    low, high = mean - reach, mean + reach
    if unit.startswith("share"):
        low, high = max(0.0, low), min(1.0, high)
    return {"value": mean, "spread": spread, "low": low, "high": high, "n": n, "unit": unit}


def spread(values: Sequence[float] | np.ndarray | torch.Tensor, form: str) -> str:
    """The mean of some values ± their standard deviation (n − 1), each in this format, such as ".4f"; of one, itself.

    A width, such as that of "8.2f", is that of the mean. Raises ValueError for what is no format of a number.
    """
    found = metric(values, "")
    try:
        mean, deviation = format(found["value"], form), format(found["spread"], form).strip()
    except ValueError as error:
        raise ValueError(f"form is {form!r}, expected a format of a number such as '.4f'") from error
    return f"{mean} ± {deviation}" if found["n"] > 1 else mean


def versions() -> dict[str, str]:
    """The versions that results depend on."""
    return {"python": platform.python_version(), "torch": torch.__version__}


def write(
    folder: str | Path, notebook: str, *, data: str, device: torch.device, seconds: Size, metrics: Mapping[str, dict]
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
    return write_json(Path(folder) / f"{notebook}.json", record)


def write_json(path: str | Path, record: dict) -> Path:
    """Write a record under a temporary name, then rename it."""
    path = Path(path)
    try:
        text = json.dumps(record, indent=2)
    except (TypeError, ValueError) as error:
        raise ValueError(f"record cannot be written as JSON ({error})") from error
    with files.replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


def read_json(path: str | Path) -> dict:
    """A record that `write_json` wrote. Raises Broken if it is no JSON, another ValueError if it is no record."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise Broken(f"{path} is broken, for it is no JSON ({error}): restore it, or run what wrote it anew") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} holds a {type(record).__name__}, expected a record: move it elsewhere")
    return record


def costs(studies: str | Path) -> dict[str, dict[str, float]]:
    """What the records in the folders of `studies` took: by folder, and of "all", how many `runs`, how many `minutes`.

    A run's time is that of one process, most of one thread, often beside another run. Of "all" also how many stay
    because another seed repeats (`vouched`), the minutes of the longest run (`longest`), and of all on 8 and on 64
    cores (`on_8`, `on_64`), on paper: shared out evenly, but no less than the longest.
    """
    found, every = {}, []
    for folder in sorted(path for path in Path(studies).glob("*") if path.is_dir()):
        records = [read_json(path) for path in sorted(folder.glob("*.json"))]
        seconds = [record["seconds"] for record in records]
        found[folder.name] = {"runs": len(seconds), "minutes": round(sum(seconds) / 60, 1)}
        every += records
    total, longest = sum(it["seconds"] for it in every) / 60, max((it["seconds"] for it in every), default=0) / 60
    found["all"] = {
        "runs": len(every), "minutes": round(sum(one["minutes"] for one in found.values()), 1),
        "vouched": sum("vouched_by" in it for it in every), "longest": round(longest, 1),
        **{f"on_{cores}": round(max(longest, total / cores), 1) for cores in (8, 64)},
    }  # fmt: skip
    return found


MARK = re.compile(r"(?P<head><!--= (?P<file>\w+) (?P<keys>[\w.]+)(?P<format>:\S+)? -->).*?<!--/-->", re.DOTALL)


def fill(text: str, folder: str | Path, intervals: bool = False) -> str:
    """README with its numbers renewed: `<!--= FILE KEY.KEY:FORMAT -->…<!--/-->` shows a value of FILE.json.

    A metric is shown as value ± spread, with its interval if that is asked for: "0.46 ± 0.07 [0.29, 0.63]"; `records`
    stands for what `costs` says of the studies. Raises KeyError or FileNotFoundError for a number not published.
    """
    cost = functools.cache(costs)

    def show(mark: re.Match) -> str:
        name = mark["file"]
        value = cost(Path(folder) / "studies") if name == "records" else read_json(Path(folder) / f"{name}.json")
        for key in mark["keys"].split("."):
            if not isinstance(value, dict) or key not in value:
                raise KeyError(f"{mark['keys']} is not in {name}.json")
            value = value[key]
        style = (mark["format"] or ":")[1:]
        if isinstance(value, dict):
            shown = _rounded(value["value"], style)
            if value["n"] > 1:
                shown += f" ± {_rounded(value['spread'], style)}"
            if intervals and "low" in value:  # of one seed, or published before there were any, there is none
                shown += f" [{_rounded(value['low'], style)}, {_rounded(value['high'], style)}]"
        else:
            shown = _rounded(value, style)
        return mark["head"] + shown + "<!--/-->"

    return MARK.sub(show, text)


def _rounded(value: object, style: str) -> str:
    """In this format, and a nought without a sign."""
    shown = format(value, style)
    return shown.removeprefix("-") if re.fullmatch(r"-0(\.0*)?%?", shown) else shown


def is_time(unit: str) -> bool:
    """Whether a metric of this unit is a time, which no run repeats: "s of one core", "seconds, 200 steps"."""
    return re.match(r"s(econds)?\b", unit) is not None


def compare(folder: str | Path, published: str | Path) -> tuple[list[str], int]:
    """A line for every published notebook that has results in `folder`: how many of its numbers came out as published.

    Numbers that were read from records, as those of `study.metric` are, are counted beside them: a file that agrees
    with itself shows nothing. Below are those that are not as published, to a millionth, and those that are no longer
    made; times, which no run repeats, are left out. The last line counts published records of studies that do not say
    which code made them. Beside the lines comes how many numbers differ although preset, device and torch are the same.
    Raises FileNotFoundError without results.
    """
    folder, published = Path(folder), Path(published)
    paths = [path for path in sorted(folder.glob("*.json")) if (published / path.name).exists()]
    if not paths:
        raise FileNotFoundError(f"no results in {folder} to compare with those in {published}: run `make` first")
    lines, unexplained = [], 0
    for path in paths:
        again, before = read_json(path), read_json(published / path.name)
        found, expected = (
            {name: one["value"] for name, one in record["metrics"].items() if not is_time(one["unit"])}
            for record in (again, before)
        )
        same = [
            name
            for name in found
            if name in expected and np.isclose(found[name], expected[name], rtol=1e-6, atol=0, equal_nan=True)
        ]
        made, there = (f"{it['preset']}, {it['device']}, torch {it['versions']['torch']}" for it in (again, before))
        machines = "" if made == there else f" (here {made}; there {there})"
        other = sorted((found.keys() | expected.keys()) - set(same))
        read = sum("device" in again["metrics"][name] for name in same)
        anew = f"{len(same) - read} of {len(same) + len(other) - read} numbers came out as published{machines}"
        lines.append(f"{path.stem}: {anew}" + (f"; {read} more were read from records" if read else ""))
        for name in other:
            now = f"is {found[name]:.6g}" if name in found else "is no longer made"
            then = f"published is {expected[name]:.6g}" if name in expected else "was not published"
            lines.append(f"  {name} {now}, {then}")
        unexplained += len(expected.keys() - same) if made == there else 0
    records = [read_json(path) for path in sorted((published / "studies").rglob("*.json"))]
    unsaid = sum("code" not in record for record in records)
    if unsaid:
        lines.append(f"{unsaid} of {len(records)} records were made before their code was noted")
    return lines, unexplained
