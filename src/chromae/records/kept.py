"""Records that are kept: whether a run of a study has one, and whether that is whole."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from beartype.vale import Is

from chromae import files, settings
from chromae.arguments.kinds import Seed
from chromae.records import results, weights

PARTS = {"arguments", "metrics", "preset", "device", "seconds"}  # that every record has


def _of_a_run(record: dict) -> bool:
    return record.keys() >= PARTS


Record = Annotated[dict, Is[_of_a_run]]


def of(path: str | Path, arguments: dict, preset: str, code: dict[str, str]) -> Record | None:
    """The record of a run that need not run again, whichever code made it, if there is one.

    A broken one counts as missing, and is moved aside if it lies at `path`. One that a run by hand left in build/ is
    taken to `path`, with its weights, if this code made it. Raises ValueError for a file that is no record of this run.
    """
    path = Path(path)
    found = settings.find(path)
    if found.exists():
        try:
            return read(found, arguments, preset)
        except results.Broken as error:
            moved = found == path
            if moved:
                os.replace(path, path.with_name(f"{path.name}.broken"))
            print(f"{error}; it is run anew" + (f", and the file moved to {path.name}.broken" if moved else ""))
            return None
    left = settings.left_by_hand(path)
    if left is not None:
        with contextlib.suppress(ValueError, FileNotFoundError):  # it, or its weights, may be of another run or missing
            record = read(left, arguments, preset)
            saved = record.get("weights", {})
            if record.get("code") == code and isinstance(saved, dict):  # a list, of old, does not say what was in them
                for file, digest in saved.items():
                    weights.adopt(file, digest)
                results.write_json(path, record)
                return record
    return None


def anew() -> bool:
    """Whether CHROMAE_RECORDS is "anew": then records of other code are looked at. Raises ValueError for others."""
    asked = os.environ.get("CHROMAE_RECORDS", "")
    if asked not in ("", "anew"):
        raise ValueError(f"CHROMAE_RECORDS is {asked!r}, expected anew or nothing")
    return asked == "anew"


def seeds_of_other_code(records: Mapping[Path, Record | None], code: dict[str, str]) -> list[list[Path]]:
    """Records that another code made: together the seeds of one case, if what they say of who made them is the same.

    That is code, machine and versions; old ones do not say the first. A record with weights is alone, for its file has
    to be made by the code of now.
    """
    groups: dict[str, list[Path]] = {}
    for path, record in records.items():
        if record is not None and record.get("code") != code:
            case = {name: it for name, it in record["arguments"].items() if name != "seed"}
            kin = [case, *(record.get(part) for part in ("code", "device", "versions"))]
            groups.setdefault(f"{path}" if "weights" in record else json.dumps(kin, sort_keys=True), []).append(path)
    return list(groups.values())


def repeats(before: Record, again: Record) -> bool:
    """Whether a run gave the same numbers again, bit for bit; seconds do not count."""
    numbers = [
        {name: it for name, it in one["metrics"].items() if not name.startswith("seconds")} for one in (before, again)
    ]
    return json.dumps(numbers[0], sort_keys=True) == json.dumps(numbers[1], sort_keys=True)


def vouched(record: Record, code: dict[str, str], seed: Seed) -> Record:
    """A record that may stay, for another seed of its case gives the same numbers with the code of now.

    It then says this code, in "made_by" its own, and in "vouched_by" the seed that repeats.
    """
    record = record | {"made_by": record.get("made_by", record.get("code")), "code": code, "vouched_by": seed}
    return record | {"checksum": checksum(record)}


def read(path: str | Path, arguments: dict, preset: str) -> Record:
    """A record that is whole, and of the run that its name says. Raises Broken, or another ValueError, if it is not."""
    record = results.read_json(path)
    if record.get("checksum") not in (None, checksum(record)):
        raise results.Broken(f"{path} is broken: its content does not have the checksum that it says")
    if not _of_a_run(record) or {type(record[part]) for part in ("arguments", "metrics")} != {dict}:
        raise ValueError(f"{path} is no record of a study, but has the name of one: move it elsewhere")
    if record["arguments"] != json.loads(json.dumps(arguments)):
        raise ValueError(f"{path} holds a run with other arguments, {record['arguments']}: remove it to run anew")
    if record["preset"] != preset:
        raise ValueError(f"{path} holds a run of preset {record['preset']}, expected {preset}: remove it to run anew")
    return record


def checksum(record: dict) -> str:
    """A hash of all that a record holds but for its checksum."""
    told = {key: value for key, value in record.items() if key != "checksum"}
    return files.digest(json.dumps(json.loads(json.dumps(told)), sort_keys=True))
