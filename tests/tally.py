"""What a night of faults and fuzz counted: tests note numbers, and at its end they are results/faults.json.

`CHROMAE_NIGHTLY=1 pytest tests/test_faults.py …`, then `python tests/tally.py`. Every test process appends its own
lines, so that tests may run side by side.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "faults"
UNITS = {
    "kills": "processes ended by kill -9 at random moments",
    "kills_inside_a_write": "kills that landed inside a write, by the log",
    "lost": "ends that differed from an undisturbed run's",
    "reads": "files read while others wrote or killed",
    "half_files": "reads that found half a file or a mixture",
    "faults_injected": "full disks, wrong folders, cut and bit-flipped files, bad downloads",
    "fuzz_calls": "calls of public functions with random arguments",
    "fuzz_inside": "calls that ended in an error from inside",
}

BEGAN = time.time()
nightly = os.environ.get("CHROMAE_NIGHTLY") == "1"


def note(**counts: int) -> None:
    """Add to the night's numbers, under one of the names in UNITS; by day this does nothing."""
    if not counts.keys() <= UNITS.keys():
        raise ValueError(f"counts are {', '.join(counts)}, expected one of {', '.join(UNITS)}")
    if nightly:
        FOLDER.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"began": BEGAN, "time": time.time(), **counts})
        with (FOLDER / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def total(folder: Path = FOLDER) -> tuple[dict[str, int], float]:
    """The sums of all that was noted, and the seconds that the night took."""
    lines = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    seconds = max((line["time"] for line in lines), default=0) - min((line["began"] for line in lines), default=0)
    sums = {name: sum(line.get(name, 0) for line in lines) for name in UNITS if any(name in line for line in lines)}
    return sums, seconds


if __name__ == "__main__":
    import torch

    from chromae.records import results

    counts, seconds = total()
    if not counts:
        sys.exit(f"nothing is noted in {FOLDER}: run the tests of faults with CHROMAE_NIGHTLY=1 first")
    metrics = {name: results.metric(count, UNITS[name]) for name, count in counts.items()}
    about = {"data": "none", "device": torch.device("cpu"), "seconds": seconds}
    print(results.write(ROOT / "results", "faults", metrics=metrics, **about))
    shutil.rmtree(FOLDER)  # the next night begins at 0
