"""Notebooks run one after the other, each with a line before and after, and how long all of them will take."""

from collections.abc import Sequence
from pathlib import Path

from chromae.running import cells, talk, times


def run(notebooks: Sequence[str | Path], folder: str | Path | None = None) -> None:
    """Run notebooks in their own places, or into copies in this folder, and say how far it is.

    One alone, run into a folder, is counted among its neighbours, for that is how `make` runs each of them. The first
    that fails is the last: raises as `cells.run`.
    """
    notebooks = [Path(notebook) for notebook in notebooks]
    missing = [str(path) for path in notebooks if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"there is no notebook {', '.join(missing)}")
    for notebook in notebooks:
        place = _place(notebook, notebooks, folder)
        took = cells.run(notebook, place, folder=folder)
        times.note(notebook.stem, took)
        print(f"{place.head()}: done in {talk.duration(took.seconds)}, {took.peak_mb:,.0f} MB at most", flush=True)


def _place(notebook: Path, notebooks: Sequence[Path], folder: str | Path | None) -> cells.Place:
    """Where this one stands among all, and how long those still to come will take, as far as one knows.

    Of `make`, which begins with those that take long, and may run several at a time, those are all not made yet.
    """
    by_make = folder is not None and len(notebooks) == 1
    neighbours = sorted(notebook.parent.glob("*.ipynb")) if by_make else []
    every = neighbours if notebook in neighbours else notebooks
    number = every.index(notebook) + 1

    def ahead() -> cells.Ahead:  # another may have ended, or shown how fast this machine is
        rest = [path for path in _stale(every, folder) if path != notebook] if by_make else every[number:]
        usual = times.expected([notebook.stem, *(path.stem for path in rest)])
        others = sum(usual.get(path.stem, 0.0) for path in rest)
        return usual.get(notebook.stem), others / (cells.jobs() if by_make else 1)

    return cells.Place(notebook.stem, number, len(every), ahead)


def _stale(notebooks: Sequence[Path], folder: str | Path) -> list[Path]:
    """Those that `make` would run: their copies in this folder are missing, or older than they or the package."""
    package = max(map(_changed, Path(__file__).resolve().parents[1].rglob("*.py")))
    return [path for path in notebooks if _changed(Path(folder) / path.name) < max(package, _changed(path))]


def _changed(path: Path) -> float:
    """When a file last changed, or zero: it may have been moved while a notebook runs."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
