"""A notebook run from its first cell to its last, in a process of its own, saying where it is."""

import base64
import contextlib
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from chromae import files, settings
from chromae.arguments.kinds import Count, Size
from chromae.figures import png
from chromae.running import talk, times

LAST = 25  # lines of a cell, and of what it said, that a failure shows
LOOK_EVERY = 2.0  # seconds between two looks at the memory: each costs the process some milliseconds
NOISE = [  # what differs from run to run, or with how a notebook was last looked at
    "metadata.language_info", "metadata.signature", "metadata.widgets", "cell.metadata.ExecuteTime",
    "cell.metadata.collapsed", "cell.metadata.execution", "cell.metadata.heading_collapsed", "cell.metadata.hidden",
    "cell.metadata.scrolled",
]  # fmt: skip
# The kernel's debugger, which nobody uses here, warns that it cannot see modules that are part of Python.
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
Ahead = tuple[Size | None, Size]


class Failed(RuntimeError):
    """A notebook did not run to its end; the message shows the cell, its last lines, and how to open it."""


class _Enough(Exception):
    """No further cell is wanted."""


class Place:
    """Where a run is: `line` says it, shortest first, for the edge of a terminal cuts what is last."""

    def __init__(self, name: str, number: Count, of: Count, ahead: Callable[[], Ahead] = lambda: (None, 0.0)):
        """Notebook `number` `of` so many; `ahead` gives, as known at the moment, the seconds that it usually takes, if
        any are known, and those that the others still to come do."""
        self.name, self.number, self.of, self.ahead = name, number, of, ahead
        self.started, self.cell, self.cells, self.heading = time.monotonic(), 0, 0, ""

    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.started

    def head(self) -> str:
        """Which notebook: "[3 of 10] 03_digits_autoencoder"."""
        return f"[{self.number} of {self.of}] {self.name}"

    def line(self) -> str:
        """Which notebook and cell, how long so far, how long to go, and the heading above the cell."""
        at = f"cell {self.cell} of {self.cells}" if self.cell else "starting"
        seconds, parts, (usual, others) = self.seconds(), [f"{self.head()}: {at}"], self.ahead()
        if usual is None:
            parts.append(talk.duration(seconds))
        elif seconds <= usual:
            parts.append(f"{talk.duration(seconds)} of about {talk.duration(usual)}")
        else:
            parts.append(f"{talk.duration(seconds)}, longer than the {talk.duration(usual)} of before")
            others *= seconds / max(1.0, usual)  # as much longer as this one takes, so far
        if usual is not None and others:
            parts.append(f"all in {talk.roughly(max(0.0, usual - seconds) + others)}")
        return ", ".join(parts) + (f" | {self.heading}" if self.heading else "")


def run(
    notebook: str | Path,
    place: Place,
    *,
    folder: str | Path | None = None,
    variables: Mapping[str, str] | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> times.Took:
    """Run a notebook and write what comes out to `folder`, or in its own place, without what differs from run to run.

    It runs in the folder in which it lies, with these environment `variables` beside those of this process, until its
    end or, asked before each cell, until there is `enough`. A copy is as old as the run's beginning, so that what was
    edited meanwhile is newer. Raises Failed if a cell does, or the process of the notebook ends, and leaves what ran
    until then in `failed` in that folder, or in build/; likewise if a notebook that is to be written in its own place
    was edited meanwhile. FileNotFoundError or ValueError for what is no notebook, ValueError for the folder in which it
    lies itself.
    """
    from nbclient.exceptions import CellExecutionError
    from nbstripout import strip_output

    notebook = Path(notebook)
    if folder is not None and (Path(folder) / notebook.name).resolve() == notebook.resolve():
        raise ValueError(f"folder is {folder}, where {notebook.name} itself lies: expected another one for its copy")
    began, before = time.time_ns(), notebook.read_bytes()
    content = _read(notebook)
    usual, _ = place.ahead()
    forecast = "" if usual is None else f", {talk.roughly(usual)}"
    print(f"{place.head()}: running{forecast}", flush=True)
    with tempfile.TemporaryFile() as log, talk.told(place.line):
        try:
            peak = _execute(content, notebook.parent, place, log, variables or {}, enough)
        except (CellExecutionError, RuntimeError) as error:  # the second, if the process of the notebook ends
            copy = _write(content, Path(folder or settings.ROOT / "build") / "failed" / notebook.name)
            ended = f"The process of the notebook answers no more ({error}), as when memory runs out."
            heard = [] if isinstance(error, CellExecutionError) else [*_heard(log), ended]
            raise Failed(_failure(content, place, heard, copy)) from error
    if folder is None:
        strip_output(content, keep_output=True, keep_count=True, keep_id=True, extra_keys=NOISE)
        if not notebook.exists() or notebook.read_bytes() != before:
            copy = _write(content, settings.ROOT / "build" / "failed" / notebook.name)
            raise Failed(f"{notebook} was edited while it ran, and stays as it is; what came of the run is {copy}")
        _write(content, notebook)
    else:
        os.utime(_write(content, Path(folder) / notebook.name), ns=(began, began))
    return times.Took(place.seconds(), peak)


def jobs() -> int:
    """How many notebooks run at a time: as many as `make -j` was given, or cores, if no number; else one."""
    found = re.search(r"(?:^|\s)-j(\d*)", os.environ.get("MAKEFLAGS", ""))
    return 1 if found is None else int(found[1] or os.cpu_count() or 1)


def _share() -> dict[str, str]:
    """What leaves a notebook its share of the cores while `make -j` runs others, unless the user has chosen one.

    Two threads each for two notebooks on two cores wait for one another most of the time.
    """
    if jobs() == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    cores = str(max(1, (os.cpu_count() or 1) // jobs()))
    return {"OMP_NUM_THREADS": cores, "LOKY_MAX_CPU_COUNT": cores}


def _read(notebook: Path) -> dict:
    import nbformat

    try:
        return nbformat.read(notebook, as_version=4)
    except (ValueError, AttributeError, KeyError) as error:
        raise ValueError(f"{notebook} is no notebook ({' '.join(f'{error}'.split())[:100]})") from error


def _write(content: dict, path: Path) -> Path:
    import nbformat
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    content, _ = CoalesceStreamsPreprocessor(enabled=True)(content, {})
    for output in (one for cell in content.cells for one in cell.get("outputs", [])):
        if "image/png" in output.get("data", {}):
            with contextlib.suppress(ValueError):  # a cell may show what is no PNG: it stays as it is
                smaller = png.smaller(base64.b64decode(output["data"]["image/png"]))
                output["data"]["image/png"] = base64.b64encode(smaller).decode()
    with files.replacing(path) as part:
        part.write_text(nbformat.writes(content, version=4).rstrip("\n") + "\n", encoding="utf-8")
    return path


def _execute(
    content: dict,
    folder: Path,
    place: Place,
    log: IO[bytes],
    variables: Mapping[str, str],
    enough: Callable[[], bool],
) -> float:
    """Run the cells, and give the MB that the process of the notebook, and those that it started, held at most."""
    import asyncio
    import signal

    from nbclient import NotebookClient

    above, peak = _headings(content.cells), 0.0
    numbers = {index: number for number, index in enumerate(_code(content.cells), start=1)}
    place.cells = len(numbers)

    def begin(cell: object, cell_index: int) -> None:
        if cell_index in numbers:
            if enough():
                raise _Enough
            place.cell, place.heading = numbers[cell_index], above[cell_index]

    class Client(NotebookClient):
        async def async_start_new_kernel(self, **kwargs: object) -> None:
            with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows; or not the main thread
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)  # Ctrl-C goes on to the caller
            await super().async_start_new_kernel(**kwargs)

    where = {"metadata": {"path": str(folder.resolve())}}
    client = Client(content, timeout=None, record_timing=False, resources=where, on_cell_start=begin)

    def look() -> None:
        nonlocal peak
        process = getattr(getattr(client.km, "provisioner", None), "pid", None)  # None before it starts
        peak = max(peak, _memory(process) if process else 0.0)

    with contextlib.suppress(_Enough), talk.every(LOOK_EVERY, look):
        client.execute(env=os.environ | QUIET | _share() | dict(variables), stdout=log, stderr=log)
    return peak


def _code(cells: Sequence) -> list[int]:
    return [index for index, cell in enumerate(cells) if cell.cell_type == "code" and cell.source.strip()]


def _headings(cells: Sequence) -> list[str]:
    """For every cell the heading above it, without its marks: "Why did it flicker?"."""
    above, heading = [], ""
    for cell in cells:
        if cell.cell_type == "markdown":
            fences = re.sub(r"^```.*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            found = re.findall(r"^#+ +(.+?) *#*$", fences, re.MULTILINE)
            heading = re.sub(r"[*`]|\[([^]]*)\]\([^)]*\)", r"\1", found[-1]) if found else heading
        above.append(heading)
    return above


def _memory(process: int) -> float:
    """MB of a process and all that it started; what they share counts once, where the system tells."""
    import psutil

    total = 0.0
    with contextlib.suppress(psutil.Error, OSError):  # it has just ended
        whole = psutil.Process(process)
        for one in (whole, *whole.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                held = one.memory_full_info()
                total += getattr(held, "pss", held.rss) / 1e6
    return total


def _heard(log: IO[bytes]) -> list[str]:
    """What the process of a notebook itself wrote, but for what it says at every start."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    return [line for line in lines if "[IPKernelApp] WARNING" not in line]


def _failure(content: dict, place: Place, heard: Sequence[str], copy: Path) -> str:
    """What to say of a run that failed: where, in which cell, and the last lines of this cell and of what was heard."""
    cell, said = [], []
    if place.cell:
        failed = content.cells[_code(content.cells)[place.cell - 1]]
        cell = ["", *(f"    {line}" for line in failed.source.splitlines()[:LAST])]
        for output in failed.outputs:
            said += [output.text] if output.output_type == "stream" else output.get("traceback", [])
    below = f" (below: {place.heading})" if place.heading else ""
    at = f"in cell {place.cell} of {place.cells}{below}" if place.cell else "before its first cell"
    jupyter = os.path.relpath(Path(sys.executable).parent / "jupyter")
    return "\n".join([
        f"{place.head()} failed {at} after {talk.duration(place.seconds())}:",
        *cell, "", "Its last lines:", "", *(f"    {line}" for line in _tail("\n".join([*said, *heard]))),
        "", "What ran until then is kept. To open it:", f"    {jupyter} lab {shlex.quote(os.path.relpath(copy))}",
    ])  # fmt: skip


def _tail(text: str) -> list[str]:
    """The last lines of a text, without the colours of terminals."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).rstrip().splitlines()[-LAST:]
