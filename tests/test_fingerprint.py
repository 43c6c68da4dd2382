"""Which code made a record: every part that a function runs, and none of its words."""

import functools
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

import chromae
from chromae import training
from chromae.arguments import checked
from chromae.records import fingerprint

LAB = '''
import functools
import math
from chromae import losses

LAYERS = 3
WIDTHS = {"small": [8, 16], "large": (32, 64.0)}
UNREAD = 1


def keep(function):
    @functools.wraps(function)
    def wrapped(*args):
        return function(*args)
    return wrapped


class Net:
    """A class."""
    depth = 2

    def forward(self, x):
        return x * self.depth


def unread():
    return 1


@keep
def deep(x):
    """What the helper calls."""
    return x + LAYERS  # a comment


def helper(x, power=2):
    return [deep(value) for value in range(x)], power


def make(factor):
    def inner(x):
        return factor * x
    return inner


plus = lambda x: x + 5
TABLE = {"lambda": plus, "partial": functools.partial(helper, power=4), "closure": make(6)}
NET = Net()


def run(name, seed):
    "Train."
    return {"x": helper(3), "y": TABLE[name](1), "z": NET.forward(math.pi), "w": WIDTHS[name]}


def losing(seed):
    return losses.mse(seed, seed)
'''


@pytest.fixture
def lab(tmp_path):
    """A module of this text, as a script or a notebook would define it."""
    count = iter(range(100))

    def load(text=LAB):
        path = tmp_path / f"lab{next(count)}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("lab", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def changed(lab, old, new):
    """The parts of `run` that differ when its module does."""
    assert old in LAB
    before, after = (fingerprint.of(lab(text).run) for text in (LAB, LAB.replace(old, new)))
    return {part for part in before.keys() | after.keys() if before.get(part) != after.get(part)}


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('"x": helper(3)', '"x": helper(4)', {"run"}),
        ("return x + LAYERS", "return x - LAYERS", {"deep"}),  # two calls away, under a decorator
        ("LAYERS = 3", "LAYERS = 4", {"LAYERS"}),
        ("[8, 16]", "[8, 17]", {"WIDTHS"}),
        ("64.0", "65.0", {"WIDTHS"}),
        ("power=2", "power=3", {"helper", "helper, defaults"}),
        ("power=4", "power=5", {"TABLE"}),
        ("make(6)", "make(7)", {"factor"}),
        ("x + 5", "x + 6", {"<lambda>"}),
        ("factor * x", "factor / x", {"inner"}),
        ("depth = 2", "depth = 3", {"Net.depth"}),
        ("x * self.depth", "x / self.depth", {"Net.forward"}),
    ],
)
def test_other_code_has_another_fingerprint(lab, old, new, parts):
    assert changed(lab, old, new) == parts


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a comment", "another one"),
        ("What the helper calls.", "Words."),
        ('    "Train."\n', ""),
        ('"""A class."""', '"""Another word for it."""'),
        ("UNREAD = 1", "UNREAD = 2"),
        ("def unread():\n    return 1", "def unread():\n    return 2"),
        ("return x + LAYERS", "return (x +\n        LAYERS)"),
        ("import math\n", "import math\nimport json\n"),
    ],
)
def test_words_and_what_is_not_read_do_not_count(lab, old, new):
    assert changed(lab, old, new) == set()


def test_modules_of_the_package_count_by_what_they_import(lab):
    parts = fingerprint.of(lab().losing)
    assert {"losing", "chromae.losses"} <= parts.keys()
    assert not any(part.startswith("chromae.training") for part in parts)
    of_fit = {f"chromae.training.{name}" for name in ("loop", "batches", "checkpoints")} | {"chromae.datasets.rows"}
    assert of_fit <= fingerprint.of(training.fit).keys()
    assert "chromae.figures.plots" not in fingerprint.of(training.fit)


def test_a_change_in_an_imported_module_of_the_package_is_told(tmp_path, monkeypatch):
    """In a package that stands in for this one: `top` imports `middle` and, inside a function, `low`."""
    package = tmp_path / "pretend"
    package.mkdir()
    texts = {
        "__init__": "", "other": "X = 1\n", "low": '"""Words."""\nX = 1\n',
        "middle": "def f():\n    from pretend.low import X\n    return X\n",
        "top": "from pretend import middle\ndef run(seed):\n    return middle.f()\n",
    }  # fmt: skip
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fingerprint, "PACKAGE", "pretend")
    run = importlib.import_module("pretend.top").run
    before = fingerprint.of(run)
    assert before.keys() == {"pretend.top", "pretend.middle", "pretend.low"}
    (package / "other.py").write_text("X = 2\n")
    (package / "low.py").write_text('"""Other words."""\n# and a comment\nX = 1\n')
    assert fingerprint.of(run) == before
    (package / "low.py").write_text("X = 22\n")
    after = fingerprint.of(run)
    assert {part for part in before if after[part] != before[part]} == {"pretend.low"}
    for name in [name for name in sys.modules if name.startswith("pretend")]:
        del sys.modules[name]


EDITS = """
import json
from pathlib import Path
from chromae import middle
from chromae.arguments import checked
from chromae.records import fingerprint

low, late, found = Path(middle.low.__file__), Path(middle.low.__file__).with_name("late.py"), []

def note():
    found.append(fingerprint.of(middle.run))

note()
text = low.read_text()
low.write_text("# a comment\\n" + text)
note()
low.write_text("X = 22\\n")
note()
low.write_text(text)
note()
late.write_text("X = 22\\n")  # which this process has not imported yet
note()
assert middle.run(0) == {"x": 23}
note()
low.write_text("X = 22\\n")
note()
print(json.dumps(found))
"""


@pytest.mark.parametrize("check", ["on", "off"])
def test_a_module_edited_after_its_import_is_like_no_clean_one(tmp_path, check):
    """In a package of that name: what runs is what was imported, whatever its file says since."""
    package = tmp_path / "chromae"
    package.mkdir()
    shutil.copyfile(chromae.__file__, package / "__init__.py")
    for folder in ("arguments", "records"):
        shutil.copytree(Path(chromae.__file__).with_name(folder), package / folder)
    (package / "low.py").write_text("X = 1\n")
    (package / "late.py").write_text("X = 1\n")
    (package / "middle.py").write_text(
        "from chromae import low\ndef run(seed):\n    from chromae import late\n    return {'x': low.X + late.X}\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "CHROMAE_CHECK": check}

    def python(script):
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first, commented, edited, undone, other_late, run, at_last = python(EDITS)
    restarted = python(
        "import json; from chromae import middle; from chromae.records import fingerprint\n"
        "print(json.dumps(fingerprint.of(middle.run)))"
    )
    assert first == commented == undone
    assert {part for part in first if first[part] != edited[part]} == {"chromae.low"}
    assert edited["chromae.low"].startswith("edited after it was imported: ")
    assert {part for part in first if first[part] != other_late[part]} == {"chromae.late"}
    assert other_late == run
    assert not any(mark.startswith("edited") for mark in (*other_late.values(), *restarted.values()))
    assert {part for part in restarted if restarted[part] != at_last[part]} == {"chromae.low"}


SCALED = """
import functools
from chromae import losses


def scaled(factor):
    def around(function):
        @functools.wraps(function)
        def wrapped(*args):
            return factor * function(*args)
        return wrapped
    return around


class Kept:
    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __call__(self, x):
        return self.__wrapped__(x) + 0


def base(x):
    return x + 5


twice = scaled(2)(base)
kept = Kept(base)
loss = scaled(4)(losses.mse)
cached = functools.cache(base)


def run(seed):
    return {"x": twice(1), "y": loss(1, 1), "z": kept(1), "w": cached(1)}
"""


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("scaled(2)", "scaled(3)", {"factor"}),
        ("scaled(4)", "scaled(5)", {"factor"}),
        ("return factor * function", "return factor + function", {"base", "mse"}),
        ("(x) + 0", "(x) + 1", {"Kept.__call__"}),
        ("x + 5", "x + 6", {"base"}),
    ],
)
def test_a_wrapper_counts_as_well_as_what_it_wraps(lab, old, new, parts):
    before, after = (fingerprint.of(lab(text).run) for text in (SCALED, SCALED.replace(old, new)))
    assert {part for part in before.keys() | after.keys() if before.get(part) != after.get(part)} == parts
    assert "chromae.losses" in before


def test_wrappers_of_the_function_itself_count_if_its_module_made_them(lab):
    """What other packages wrap around it has their versions."""
    module = lab(SCALED)
    found = [fingerprint.of(function) for function in (module.base, module.scaled(1)(module.base), module.twice)]
    assert len({str(one) for one in found}) == 3
    for wrapper in (functools.cache, torch.no_grad(), checked):
        assert fingerprint.of(wrapper(module.base)) == found[0]
        assert fingerprint.of(wrapper(module.twice)) == found[2]


def test_arguments_of_a_partial_count(lab):
    helper = lab().helper
    assert fingerprint.of(partial(helper, power=3)) != fingerprint.of(partial(helper, power=4))
    assert fingerprint.of(partial(helper, power=3)) == fingerprint.of(partial(lab().helper, power=3))


def test_cells_of_a_notebook_have_sources():
    """Constants and functions of other cells; the same cells again are the same code."""

    def run_cells(*cells):
        shell = InteractiveShell()
        for cell in cells:
            assert shell.run_cell(cell, store_history=True).success
        return fingerprint.of(shell.user_ns["run"])

    helper, run = "STEPS = 3\ndef helper(x):\n    return x + STEPS", "def run(seed):\n    return helper(seed)"
    before = run_cells(helper, run)
    assert before.keys() == {"STEPS", "helper", "run"}
    assert run_cells("1 + 1", helper + "  # words", run) == before
    after = run_cells(helper.replace("x + STEPS", "x - STEPS"), run)
    assert {part for part in before if after[part] != before[part]} == {"helper"}


def test_code_without_a_source_is_told_apart_as_far_as_it_can_be():
    found = []
    for text in ("def run(seed): return seed + 1", "def run(seed): return seed + 2", "def run(seed): return abs(seed)"):
        scope = {"__name__": "nowhere"}
        exec(text, scope)
        found.append(fingerprint.of(scope["run"])["run"])
    assert len(set(found)) == 3
