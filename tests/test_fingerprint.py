"""Which code made a record: every part that a function runs, and none of its words."""

import importlib
import importlib.util
import sys
from functools import partial

import pytest
from IPython.core.interactiveshell import InteractiveShell

from chromae import fingerprint, training

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
    assert "chromae.training" not in parts
    assert {"chromae.training", "chromae.batches", "chromae.checkpoints"} <= fingerprint.of(training.fit).keys()
    assert "chromae.plots" not in fingerprint.of(training.fit)


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
