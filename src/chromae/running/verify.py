"""Whether published numbers come out again: of a notebook that is run again, or of records that are made anew.

Both happen in a copy of the repository in build/verify, which holds what is published and nothing else.
"""

import os
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chromae import settings
from chromae.arguments.kinds import Count, Natural, Positive, Size
from chromae.records import results
from chromae.running import cells, talk, times

SAME = 1e-6  # relative: what may differ on the same versions and the same kind of machine
LEAST = 0.01  # relative: what may differ elsewhere, if three standard deviations of the seeds are less
KINDS = ("preset", "device", "versions")  # what has to be the same for numbers to be


class Row(NamedTuple):
    """A number as published and as it is now, and by how much it may differ."""

    name: str
    published: float
    now: float
    allowed: Size

    def within(self) -> bool:
        """Whether it came out again."""
        return bool(np.isclose(self.now, self.published, rtol=0, atol=self.allowed, equal_nan=True))


def notebook(number: str) -> tuple[list[str], int]:
    """Run the notebook whose name begins so, such as "08", and compare; lines to print, and how many numbers fell out.

    Numbers that it reads from records are counted, not compared, and so are seconds. Raises ValueError if not one
    notebook is called so, FileNotFoundError if none of its numbers are published; and as `cells.run`.
    """
    found = sorted((settings.ROOT / "notebooks").glob("*.ipynb"))
    named = [path for path in found if path.name.startswith(number)] if number else []
    if len(named) != 1:
        raise ValueError(f"number is {number!r}, expected one of {', '.join(path.stem[:2] for path in found)}")
    name = named[0].stem
    published = settings.ROOT / "results" / f"{name}.json"
    if not published.exists():
        raise FileNotFoundError(f"there is no {published}, so {name} has no numbers to compare with")
    before = results.read_json(published)
    copy = _copy(name)
    _run(copy, name, cells.Place(name, 1, 1, lambda: (times.expected([name]).get(name), 0.0)), before["preset"])
    again = results.read_json(copy / "build" / "results" / published.name)
    rows = of_notebook(before, again)
    read = sum("device" in it for it in before["metrics"].values())
    told = f"{name}: {_how(_same(before, again, KINDS))}; {read} more numbers were read from records"
    return [told, *table(rows)], sum(not row.within() for row in rows)


def records(count: Count, seed: Natural | None = None, minutes: Positive | None = None) -> tuple[list[str], int]:
    """Make so many published records anew and compare; lines to print, and how many numbers fell out.

    They are drawn at random, by this `seed` or another one that is printed, from those that took no longer than so many
    minutes. Of its notebook all is run that stands before the study of a record. Raises ValueError if there are fewer
    such records. One whose notebook fails has fallen out, and the others go on.
    """
    paths = sorted((settings.ROOT / "results" / "studies").rglob("*.json"))
    known = {path: results.read_json(path) for path in paths}
    seed = time.time_ns() % 100_000 if seed is None else seed
    chosen = sample({path: record["seconds"] for path, record in known.items()}, count, seed, minutes)
    seconds = sum(known[path]["seconds"] for path in chosen)
    print(f"{count} of {len(paths)} records, drawn with SEED={seed}: {talk.roughly(seconds)} of one core", flush=True)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in chosen:
        groups.setdefault((path.parent.name, known[path]["preset"]), []).append(path)
    lines, out = [], 0
    for number, ((name, preset), group) in enumerate(groups.items(), start=1):
        copy = _copy(name, group)
        made = {path: copy / "build" / path.relative_to(settings.ROOT / "results") for path in group}
        why = f"{name} no longer makes this record"
        try:
            _run(copy, name, cells.Place(name, number, len(groups)), preset, list(made.values()))
        except cells.Failed as error:
            why = str(error)
        for path, new in made.items():
            if not new.exists():
                lines.append(f"{path.stem}: {why}")
                out += 1
                continue
            before, again = known[path], results.read_json(new)
            rows = of_record(before, again, [known[other] for other in paths if other.parent == path.parent])
            lines += [f"{name}, {path.stem}: {_how(_same(before, again, (*KINDS, 'code')))}", *table(rows)]
            out += sum(not row.within() for row in rows)
    return lines, out


def of_notebook(before: Mapping, again: Mapping) -> list[Row]:
    """What a notebook published and what it makes now, but for seconds and what it read from records.

    A number that is no longer made is nan.
    """
    same, rows = _same(before, again, KINDS), []
    for name, it in before["metrics"].items():
        if "device" in it or results.is_time(it["unit"]):
            continue
        now = again["metrics"].get(name, {"value": float("nan")})["value"]
        rows.append(Row(name, it["value"], now, _allowed(it["value"], it["spread"], same)))
    return rows


def of_record(before: Mapping, again: Mapping, others: Sequence[Mapping]) -> list[Row]:
    """What a record holds and what its run gives now, but for seconds; among `others` are its other seeds' records."""
    same, case = _same(before, again, (*KINDS, "code")), _case(before)
    seeds = [record for record in others if _case(record) == case and record["preset"] == before["preset"]]
    rows = []
    for name, value in before["metrics"].items():
        if name.startswith("seconds"):
            continue
        values = [record["metrics"][name] for record in seeds if name in record["metrics"]]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        rows.append(Row(name, value, again["metrics"].get(name, float("nan")), _allowed(value, spread, same)))
    return rows


def sample(seconds: Mapping[Path, Size], count: Count, seed: Natural, minutes: Positive | None = None) -> list[Path]:
    """So many of these paths at random, in order, of those that took no longer than so many minutes.

    Raises ValueError if there are fewer.
    """
    short = sorted(path for path, took in seconds.items() if minutes is None or took <= 60 * minutes)
    if len(short) < count:
        few = f"there are only {len(short)} records" if minutes is None else f"only {len(short)} records took no longer"
        raise ValueError(f"count is {count}, but {few}{'' if minutes is None else f' than {minutes:g} minutes'}")
    return sorted(random.Random(seed).sample(short, count))


def table(rows: Sequence[Row]) -> list[str]:
    """A line a number: its name, as published, as it is now, by how much they differ, by how much they may."""
    if not rows:
        return ["  no number to compare"]
    heads = ("number", "published", "now", "differs by", "may by", "")
    shown = [heads] + [
        (row.name, *(f"{it:.6g}" for it in (row.published, row.now, abs(row.now - row.published), row.allowed)),
         "" if row.within() else "OUT")
        for row in rows
    ]  # fmt: skip
    first, *widths = (max(map(len, column)) for column in zip(*shown, strict=True))
    return ["  ".join(["", name.ljust(first), *map(str.rjust, others, widths)]).rstrip() for name, *others in shown]


def _same(before: Mapping, again: Mapping, parts: Sequence[str]) -> bool:
    """Whether both were made alike; what one does not say is not known to be."""
    return all(part in before and before[part] == again.get(part) for part in parts)


def _how(same: bool) -> str:
    if same:
        return "same versions and machine, so the same numbers are expected"
    return (
        "other versions, machine or code, so within three standard deviations of the seeds, 1 % at least "
        "(of one seed nobody knows how far others fall)"
    )


def _allowed(value: float, spread: float, same: bool) -> float:
    return SAME * abs(value) if same else max(3 * spread, LEAST * abs(value))


def _case(record: Mapping) -> dict:
    """A run's arguments without its seed."""
    return {key: value for key, value in record["arguments"].items() if key != "seed"}


def _copy(name: str, without: Sequence[Path] = ()) -> Path:
    """A fresh copy of the repository in build/verify: package, one notebook, what is published but for some records."""
    copy = settings.ROOT / "build" / "verify"
    shutil.rmtree(copy, ignore_errors=True)
    (copy / "notebooks").mkdir(parents=True)
    shutil.copyfile(settings.ROOT / "pyproject.toml", copy / "pyproject.toml")
    shutil.copyfile(settings.ROOT / "notebooks" / f"{name}.ipynb", copy / "notebooks" / f"{name}.ipynb")
    package = Path(__file__).resolve().parents[1]
    shutil.copytree(package, copy / "src" / "chromae", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(settings.ROOT / "results", copy / "results")
    for path in without:
        (copy / path.relative_to(settings.ROOT)).unlink()
    return copy


def _run(copy: Path, name: str, place: cells.Place, preset: str, wanted: Sequence[Path] = ()) -> None:
    """Run a notebook of the copy as by hand, until all the files that are wanted are there."""
    variables = {
        "CHROMAE_PRESET": preset, "CHROMAE_PUBLISH": "", "CHROMAE_RESULTS": "", "TQDM_DISABLE": "1",
        "CHROMAE_DATA": str(settings.data_folder().resolve()),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(copy / "src"), os.environ.get("PYTHONPATH")])),
    }  # fmt: skip
    cells.run(
        copy / "notebooks" / f"{name}.ipynb", place, folder=copy / "build", variables=variables,
        enough=lambda: bool(wanted) and all(path.exists() for path in wanted),
    )  # fmt: skip
