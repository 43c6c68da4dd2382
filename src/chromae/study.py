"""Many runs of one function, over cases and seeds: each finished run is a file, and is not run again."""

import json
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import joblib
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from chromae import results, settings

Record = dict


def run(
    function: Callable[..., Mapping[str, float]],
    cases: Sequence[Mapping],
    seeds: Iterable[int],
    folder: Path,
    jobs: int | None = None,
) -> list[Record]:
    """`function(**case, seed=seed)`, which returns named numbers, for every case and seed; their records, in order.

    A record in `folder` holds arguments, metrics, preset, device, seconds and versions, under a name made of the
    arguments. A run that has one is not run again: stop and call again to go on, delete a record to run it anew.
    Runs go through joblib, `jobs` at a time: by default one a CPU core, one on an accelerator; inside
    `joblib.parallel_config(backend="dask")` as many as that cluster has threads. Records come back and are written
    here, so a cluster needs no common disk.

    Raises ValueError for arguments that JSON cannot hold, or two cases under one name.
    """
    tasks = {}
    for case in cases:
        for seed in seeds:
            arguments = {**case, "seed": seed}
            path = folder / f"{name(arguments)}.json"
            if path in tasks:
                raise ValueError(f"two cases have the name {path.stem}, expected different ones")
            tasks[path] = arguments
    folder.mkdir(parents=True, exist_ok=True)
    missing = [path for path in tasks if not path.exists()]
    if missing:
        jobs = jobs or (joblib.cpu_count(only_physical_cores=True) if settings.device().type == "cpu" else 1)
        records = joblib.Parallel(n_jobs=min(jobs, len(missing)), return_as="generator_unordered")(
            joblib.delayed(_run)(function, tasks[path], settings.preset()) for path in missing
        )
        with warnings.catch_warnings():
            # joblib replaces a worker that grew, as those do that hold a network; no run is lost by it
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
            for record in tqdm(records, total=len(missing), desc=folder.name, unit="run"):
                results.write_json(folder / f"{name(record['arguments'])}.json", record)
    return [_read(path, arguments) for path, arguments in tasks.items()]


def name(arguments: Mapping) -> str:
    """What the record of these arguments is called: "hidden=500x500_latent=2_seed=0". Raises ValueError as `run`."""
    try:
        json.dumps(arguments)
    except TypeError as error:
        raise ValueError(f"arguments are {arguments}, expected numbers, strings and lists of them") from error
    shown = {key: "x".join(map(str, v)) if isinstance(v, list | tuple) else v for key, v in sorted(arguments.items())}
    return re.sub(r"[^\w=.-]+", "-", "_".join(f"{key}={value}" for key, value in shown.items()))


def values(records: Sequence[Record], key: str) -> Float[np.ndarray, " n"]:
    """One of the numbers of every record."""
    return np.array([record["metrics"][key] for record in records])


def metric(records: Sequence[Record], key: str, unit: str, sign: int = 1) -> dict:
    """A metric of these records for `results.write`: mean and spread, with the preset and device that made them."""
    return results.metric(sign * values(records, key), unit) | _made(records)


def where(records: Sequence[Record], **arguments: object) -> list[Record]:
    """The records with these arguments."""
    return [record for record in records if record["arguments"].items() >= arguments.items()]


def origin(records: Sequence[Record]) -> str:
    """Where these records come from, for a caption: "9 runs, preset standard, 4 minutes each on CPU (…)"."""
    minutes = sum(record["seconds"] for record in records) / len(records) / 60
    each = f"{minutes:.0f} minutes" if minutes >= 2 else f"{60 * minutes:.0f} seconds"
    made = _made(records)
    return f"{len(records)} runs, preset {made['preset']}, {each} each on {made['device']}"


def _made(records: Sequence[Record]) -> dict[str, str]:
    return {part: ", ".join(sorted({record[part] for record in records})) for part in ("preset", "device")}


def _run(function: Callable[..., Mapping[str, float]], arguments: dict, preset: str) -> Record:
    start = time.perf_counter()
    metrics = {key: float(value) for key, value in function(**arguments).items()}
    return {
        "arguments": arguments,
        "metrics": metrics,
        "preset": preset,
        "device": settings.device_name(settings.device()),
        "seconds": round(time.perf_counter() - start, 1),
        "versions": results.versions(),
    }


def _read(path: Path, arguments: dict) -> Record:
    record = results.read_json(path)
    if record["arguments"] != json.loads(json.dumps(arguments)):
        raise ValueError(f"{path} holds a run with other arguments, {record['arguments']}: remove it to run anew")
    return record
