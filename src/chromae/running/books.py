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
        before = "" if place.usual is None else f", {talk.roughly(place.usual)}"
        print(f"{place.head()}: running{before}", flush=True)
        took = cells.run(notebook, place, folder=folder)
        times.note(notebook.stem, took)
        print(f"{place.head()}: done in {talk.duration(took.seconds)}, {took.peak_mb:,.0f} MB at most", flush=True)


def _place(notebook: Path, notebooks: Sequence[Path], folder: str | Path | None) -> cells.Place:
    """Where this one stands among all, and how long those after it will take, as far as one knows."""
    if folder is not None and len(notebooks) == 1:
        all_of = sorted(notebook.parent.glob("*.ipynb"))
        after = [path for path in all_of if path.name > notebook.name and times.stale(path, folder)]
    else:
        all_of = list(notebooks)
        after = all_of[all_of.index(notebook) + 1 :]
    usual = times.expected([notebook.stem, *(path.stem for path in after)])
    others = sum(usual.get(path.stem, 0.0) for path in after)
    return cells.Place(notebook.stem, all_of.index(notebook) + 1, len(all_of), usual.get(notebook.stem), others)
