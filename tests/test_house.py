"""The house: every room where CONTRIBUTING says, none too large, and nothing that imports upward."""

import ast
import re
from pathlib import Path

import pytest

import chromae
from chromae.figures import style

SOURCE = Path(chromae.__file__).parent
PLAN = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
MODULES = sorted(SOURCE.rglob("*.py"))
PAGES = sorted(path for end in ("js", "css", "html") for path in SOURCE.rglob(f"*.{end}"))
# From the ground up. A room knows those below it, and those of its own floor that stand before it.
FLOORS = [
    "arguments", "files", "settings", "color", "latents", "losses", "models", "datasets", "training", "metrics",
    "excitation", "pens", "figures", "records", "explorer", "notebook", "running", "__main__",
]  # fmt: skip
FILES = {
    "__init__", "__main__", "metrics", "latents", "excitation", "files", "notebook", "settings",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """The rooms that a module imports, at its top or inside a function."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module] if node.module != "chromae" else [f"chromae.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("chromae.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_imports_upward(path):
    room = path.relative_to(SOURCE).with_suffix("").parts[0]
    if room == "__init__":
        assert imported(path) <= {"arguments"}
    else:
        assert imported(path) <= set(FLOORS[: FLOORS.index(room) + 1])


@pytest.mark.parametrize("path", MODULES + PAGES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_room_is_too_large(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_top_holds_the_files_that_it_should_and_folders_hold_no_folders():
    assert {path.stem for path in SOURCE.glob("*.py")} <= FILES
    for folder in {path.parent for path in MODULES} - {SOURCE}:
        assert folder.parent == SOURCE
        assert len(list(folder.glob("*.py"))) > 2, "a folder with one file wants to be a file"


def test_contributing_shows_every_room_and_the_order_in_which_they_stand():
    text = PLAN.read_text(encoding="utf-8")
    (tree,) = re.findall(r"^src/chromae/\n((?:  .*\n)+)", text, re.MULTILINE)
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert set(re.findall(r"(?:^|  )(\w+)(?:/|\.py) ", tree, re.MULTILINE)) == rooms - {"__init__", "__main__"}
    (order,) = re.findall(r"each imports only those before it: (.*?)\.", text, re.DOTALL)
    assert re.split(r"[,;]\s+", order) == FLOORS[:-1]


def test_pages_have_the_colors_of_figures():
    """A style sheet imports nothing: its palette by daylight is held against the one in `figures.style`."""
    (light,) = re.findall(r"^\.chromae \{(.*?)\}", (SOURCE / "explorer/style.css").read_text(), re.M | re.S)
    colors = {name: value.upper() for name, value in re.findall(r"--(\w+): (#\w+);", light)}
    expected = {"ink": style.INK, "paper": style.PAPER, "accent": style.BLUE}
    expected |= {"warm": style.VERMILLION, "green": style.GREEN}
    assert expected.items() <= colors.items()


def test_models_losses_and_colors_know_no_disk_and_no_notebook():
    for room in ("models", "color", "losses", "latents.py"):
        for path in (SOURCE / room).rglob("*.py") if (SOURCE / room).is_dir() else [SOURCE / room]:
            assert not imported(path) & {"files", "settings", "records", "explorer", "notebook", "datasets"}, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_path_may_be_a_str(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"]
    functions = [
        node for one in public for node in [one, *getattr(one, "body", [])] if isinstance(node, ast.FunctionDef)
    ]
    for function in functions:
        for argument in [*function.args.args, *function.args.kwonlyargs]:
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            assert not re.match(r"Path\b", kind), f"{function.name}({argument.arg}: {kind}), expected str | Path"


def test_the_training_loop_is_read_in_one_sitting():
    tree = ast.parse((SOURCE / "training" / "loop.py").read_text())
    (fit,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "fit")
    first = fit.body[1]  # after the docstring
    assert fit.end_lineno - first.lineno + 1 <= 60
