"""Many runs of one function, over cases and seeds: each finished run is a file, and is not run again."""

import contextlib
import inspect
import json
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import joblib
import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from chromae import files, settings
from chromae.arguments.kinds import Count, Seed
from chromae.arguments.sentences import came
from chromae.records import fingerprint, kept, results, weights
from chromae.records.kept import Record

Plain = str | float | bool | list | tuple | dict | None

LONGEST = 200  # bytes of a name: beside it a file name, of 255 at most, holds what notebooks put before and after it


def run(
    function: Callable[..., Mapping[str, float]],
    cases: Sequence[Mapping],
    seeds: Iterable[Seed] | Int[np.ndarray, " n"],
    folder: str | Path,
    jobs: Count | None = None,
) -> list[Record]:
    """`function(**case, seed=seed)`, which returns named numbers, for every case and seed; their records, in order.

    A record in `folder` holds arguments, metrics, preset, device, seconds, versions and a fingerprint of its code,
    under a name made of the arguments, and of the preset unless that is "standard". A run that has one, there or where
    `settings.find` finds it, is not run again: stop and call again to go on, delete a record to run it anew. The name
    alone decides: if other code made it, a line says so, unless CHROMAE_RECORDS is "anew": then it is run again. Of
    seeds of one case that one code made on one machine the first is, and if it repeats bit for bit the others stay, as
    `kept.vouched` says; else they are run, too, as all are that keep weights. A broken record is run anew, and moved
    aside if it lies in `folder`. What a run by hand left in build/ is taken to where records are published, with its
    weights, if this code made it and they still are those that it saved. Runs go through joblib, `jobs` at a time: by
    default one a CPU core, one on an accelerator; inside `joblib.parallel_config(backend="dask")` as many as that
    cluster has threads. Records come back and are written here, without a common disk. An interrupt goes on to the
    caller: runs in flight leave no record.

    Raises ValueError for arguments that JSON cannot hold, two cases under one name, a file that is no record of its
    name's run, or another CHROMAE_RECORDS.
    """
    folder, preset, code, anew = Path(folder), settings.preset(), fingerprint.of(function), kept.anew()
    tasks = _tasks(cases, list(seeds), folder)
    for arguments in tasks.values():
        try:
            inspect.signature(function).bind(**arguments)
        except TypeError as error:
            raise ValueError(f"cases hold {arguments}, which function does not take ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    records = {path: kept.of(path, arguments, preset, code) for path, arguments in tasks.items()}

    def make(paths: list[Path]) -> None:
        if not paths:
            return
        most = jobs or (joblib.cpu_count(only_physical_cores=True) if settings.device().type == "cpu" else 1)
        _forecast(records, paths, most)
        made = joblib.Parallel(n_jobs=min(most, len(paths)), return_as="generator_unordered")(
            joblib.delayed(_run)(function, tasks[path], preset, code) for path in paths
        )
        with contextlib.closing(made), warnings.catch_warnings():
            # joblib replaces a worker that grew, as those do that hold a network; no run is lost by it
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
            for record in tqdm(made, total=len(paths), desc=folder.name, unit="run"):
                path = _path(folder, record["arguments"])
                records[path] = kept.read(results.write_json(path, record), tasks[path], preset)

    groups = kept.seeds_of_other_code(records, code) if anew else []
    tried = [group[0] for group in groups]  # seed 0, as a rule, which keeps what it trained
    before = [records[path] for path in tried]
    make([path for path, record in records.items() if record is None] + tried)
    others = []
    for path, old, group in zip(tried, before, groups, strict=True):
        group.remove(path)
        if not kept.repeats(old, records[path]):
            others += group
            continue
        for other in group:
            stays = kept.vouched(records[other], code, tasks[path]["seed"])
            records[other] = kept.read(results.write_json(other, stays), tasks[other], preset)
    make(others)
    _report(list(records.values()), code, folder)
    return list(records.values())


def name(arguments: Mapping) -> str:
    """What the record of these arguments is called: "hidden=500x500_latent=2_seed=0". Raises ValueError as `run`.

    A name of more than 200 bytes is cut, and ends with a hash of all of it.
    """
    arguments = _plain(arguments)
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        told = " ".join(f"{arguments}".split())
        raise ValueError(f"arguments are {told}, expected numbers, strings and lists of them") from error
    shown = {key: "x".join(map(str, v)) if isinstance(v, list | tuple) else v for key, v in sorted(arguments.items())}
    whole = re.sub(r"[^\w=.-]+", "-", "_".join(f"{key}={value}" for key, value in shown.items()))
    short = f"{whole.encode()[: LONGEST - 17].decode(errors='ignore')}_{files.digest(whole)[:16]}"
    return whole if len(whole.encode()) <= LONGEST else short


def column(records: Sequence[Record], key: str) -> Float[np.ndarray, " n"]:
    """One of the numbers of every record. Raises ValueError for a key that a record lacks."""
    for record in records:
        if key not in record["metrics"]:
            raise ValueError(f"key is {key!r}, expected one of {', '.join(record['metrics'])}")
    return np.array([record["metrics"][key] for record in records])


def metric(records: Sequence[Record], key: str, unit: str, sign: int = 1) -> dict:
    """A metric of these records for `results.write`: mean and spread, with the preset and device that made them."""
    if not records:
        raise ValueError("records is empty, expected one or more")
    return results.metric(sign * column(records, key), unit) | _made(records)


def spread(records: Sequence[Record], key: str, form: str) -> str:
    """One of the numbers of these records, for print: `results.spread` of what `column` gives."""
    if not records:
        raise ValueError("records is empty, expected one or more")
    return results.spread(column(records, key), form)


def select(records: Sequence[Record], **arguments: Plain) -> list[Record]:
    """The records with these arguments."""
    return [record for record in records if record["arguments"].items() >= arguments.items()]


def origin(records: Sequence | Mapping) -> str:
    """Where these records come from, for a caption: "RECORD · 9 runs, preset standard, 4 minutes each on CPU (…)".

    They may lie in lists, and as values in dictionaries, at any depth. Raises ValueError if there is none.
    """
    found = list(_all(records))
    if not found:
        raise ValueError("records is empty, expected one or more")
    seconds, made = sum(record["seconds"] for record in found) / len(found), _made(found)
    took = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{max(1, round(seconds))} s"
    runs, each = (f"{len(found)} runs", " each") if len(found) > 1 else ("1 run", "")
    return f"RECORD · {runs}, preset {made['preset']}, {took}{each} on {made['device']}"


def _forecast(records: Mapping[Path, Record | None], paths: Sequence[Path], jobs: int) -> None:
    """Say how many runs are made now, and how long they will take if they take as long as those that have a record."""
    known = {path: record["seconds"] for path, record in records.items() if record is not None}
    mean = sum(known.values()) / max(1, len(known))
    longest = max(known.get(path, mean) for path in paths)
    seconds = max(longest, sum(known.get(path, mean) for path in paths) / jobs)
    if seconds >= 60:
        print(f"{len(paths)} of {len(records)} runs are made now: about {seconds / 60:.0f} minutes")


def _all(records: object) -> Iterator[Record]:
    """The records in lists and dictionaries of them, in order."""
    if isinstance(records, dict) and records.keys() >= kept.PARTS:
        yield records
    elif isinstance(records, Mapping | list | tuple):
        for one in records.values() if isinstance(records, Mapping) else records:
            yield from _all(one)
    else:
        raise ValueError(f"records holds {came(records)}, expected what `run` gives, in lists and dictionaries")


def _made(records: Sequence[Record]) -> dict[str, str]:
    return {part: ", ".join(sorted({record[part] for record in records})) for part in ("preset", "device")}


def _plain(value: object) -> object:
    """Arguments with Python's numbers in the place of NumPy's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _tasks(cases: Sequence[Mapping], seeds: Sequence[int], folder: Path) -> dict[Path, dict]:
    """The arguments of every run, by the path of its record."""
    tasks, known = {}, {path.name.lower(): path.stem for path in folder.glob("*.json")}
    for case in cases:
        for seed in seeds:
            arguments = _plain({**case, "seed": seed})
            try:
                path = _path(folder, arguments)
            except ValueError as error:
                raise ValueError(f"one of cases does not do: {error}") from error
            if path in tasks:
                raise ValueError(f"two cases have the name {path.stem}, expected different ones")
            if known.setdefault(path.name.lower(), path.stem) != path.stem:
                raise ValueError(
                    f"cases are called {known[path.name.lower()]} and {path.stem}, expected names that differ in more "
                    "than case: some disks do not tell them apart"
                )
            tasks[path] = arguments
    return tasks


def _path(folder: Path, arguments: Mapping) -> Path:
    preset = settings.preset()
    return folder / f"{name(arguments)}{'' if preset == 'standard' else f'_preset={preset}'}.json"


def _run(function: Callable[..., Mapping[str, float]], arguments: dict, preset: str, code: dict[str, str]) -> Record:
    start, saved = time.perf_counter(), {}
    token, noting = settings.in_study.set(True), weights.saved.set(saved)
    try:
        with _under(preset):
            metrics = {key: float(value) for key, value in function(**arguments).items()}
    finally:
        settings.in_study.reset(token)
        weights.saved.reset(noting)
    record = {
        "arguments": arguments,
        "metrics": metrics,
        "preset": preset,
        "device": settings.device_name(settings.device()),
        "seconds": round(time.perf_counter() - start, 1),
        "versions": results.versions(),
        "code": code,
    }
    record |= {"weights": dict(sorted(saved.items()))} if saved else {}
    return record | {"checksum": kept.checksum(record)}


_lock = threading.Lock()
_before: list[str | None] = []  # what CHROMAE_PRESET was when each of the runs in this process began


@contextlib.contextmanager
def _under(preset: str) -> Iterator[None]:
    """Inside the block CHROMAE_PRESET is that of the study: a worker has the one that it was started with, or none."""
    with _lock:
        _before.append(os.environ.get("CHROMAE_PRESET"))
        os.environ["CHROMAE_PRESET"] = preset
    try:
        yield
    finally:
        with _lock:  # the last of several threads puts back what the first one found
            first, _ = _before[0], _before.pop()
            if not _before:
                os.environ.pop("CHROMAE_PRESET", None)
                os.environ.update({} if first is None else {"CHROMAE_PRESET": first})


def _report(records: Sequence[Record], code: dict[str, str], folder: Path) -> None:
    """Say which records other code made, and where it differed, and what no longer is the code that runs."""
    edited = [part for part, digest in code.items() if digest.startswith(fingerprint.EDITED)]
    if edited:
        print(f"{', '.join(edited)}: {fingerprint.EDITED}, so restart for {folder.name} to be of the code as it is now")
    others = [record["code"] for record in records if record.get("code", code) != code]
    if others:
        changed = sorted({part for it in others for part in it.keys() | code if it.get(part) != code.get(part)})
        named = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        made = f"{len(others)} of {len(records)} records of {folder.name} were made by other code"
        print(f"{made} (changed since: {named}): remove them to run them anew")
