"""Records that are kept: whether a run of a study has one, and whether that is whole."""

import contextlib
import json
import os
from pathlib import Path
from typing import Annotated

from beartype.vale import Is

from chromae import files, settings
from chromae.records import results, weights

PARTS = {"arguments", "metrics", "preset", "device", "seconds"}  # that every record has


def _of_a_run(record: dict) -> bool:
    return record.keys() >= PARTS


Record = Annotated[dict, Is[_of_a_run]]


def of(path: str | Path, arguments: dict, preset: str, code: dict[str, str]) -> Record | None:
    """The record of a run that need not run again, if there is one; CHROMAE_RECORDS=anew takes none of other code.

    A broken one is moved aside. One that a run by hand left in build/ is taken to `path`, with its weights, if this
    code made it. Raises ValueError for a file that is no record of this run, and for another CHROMAE_RECORDS.
    """
    asked = os.environ.get("CHROMAE_RECORDS", "")
    if asked not in ("", "anew"):
        raise ValueError(f"CHROMAE_RECORDS is {asked!r}, expected anew or nothing")
    path = Path(path)
    found = settings.find(path)
    if found.exists():
        try:
            record = read(found, arguments, preset)
            return None if asked == "anew" and record.get("code") != code else record
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
