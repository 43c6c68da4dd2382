"""The package: what it needs is listed once, a wheel works where nothing else is, an environment is used as it is."""

import ast
import importlib.metadata
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy as np
import oldest
import pytest
from PIL import Image

import chromae
from chromae import settings

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = [*PROJECT["dependencies"], *itertools.chain(*EXTRAS.values())]
DISTRIBUTIONS = importlib.metadata.packages_distributions()
clone = pytest.mark.skipif(not (ROOT / "notebooks").is_dir(), reason="this is no clone")


def plain(name: str) -> str:
    """A distribution's name as package indexes compare it, without a version."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


def imported(source: str, inside: bool = True) -> set[str]:
    """The top names of what a source imports from elsewhere than Python, `inside` of functions too or not."""
    names, tree = set(), ast.parse(source)
    for node in ast.walk(tree) if inside else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"chromae"}


def sources(folder: str) -> list[str]:
    """The Python of a folder, or the code cells of its notebooks."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    cells = [json.loads(path.read_text(encoding="utf-8"))["cells"] for path in (ROOT / folder).glob("*.ipynb")]
    written = ["".join(cell["source"]) for book in cells for cell in book if cell["cell_type"] == "code"]
    return [path.read_text(encoding="utf-8") for path in paths] + written


@pytest.mark.parametrize(
    ("folder", "inside", "extras"),
    [
        pytest.param("src", False, [], id="modules"),
        pytest.param("src", True, ["notebooks"], id="functions that notebooks call"),
        ("notebooks", True, ["notebooks"]),
        ("tests", True, [*EXTRAS]),
        ("bench", True, [*EXTRAS]),
    ],
)
def test_what_is_imported_is_listed(folder, inside, extras):
    own = {path.stem for place in (folder, "tests") for path in (ROOT / place).iterdir()}  # bench drives tests/browser
    listed = {plain(it) for it in itertools.chain(PROJECT["dependencies"], *(EXTRAS[extra] for extra in extras))}
    names = set().union(*(imported(source, inside) for source in sources(folder))) - own
    assert "torch" in names
    names -= {"pythae"}  # bench/ makes it an environment of its own
    assert not {name for name in names if not {plain(it) for it in DISTRIBUTIONS.get(name, [name])} & listed}


def test_nothing_is_listed_twice_and_nothing_for_nothing():
    assert len({plain(it) for it in NEEDED}) == len(NEEDED)
    assert all(re.search(r"[>=]=\d", it) for it in NEEDED)
    found = {plain(it) for name in set().union(*map(imported, sources("src"))) for it in DISTRIBUTIONS[name]}
    assert {plain(it) for it in PROJECT["dependencies"]} <= found
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"-e .[{','.join(EXTRAS)}]"]


def test_the_lowest_versions_are_those_that_pyproject_names():
    extras = {"c": ["d[e]>=4.5; python_version < '3.14'"]}
    project = {"dependencies": ["a>=1.2", "b==3"], "optional-dependencies": extras}
    assert oldest.lowest(project) == ["a==1.2", "b==3", "d==4.5; python_version < '3.14'"]
    assert len(oldest.lowest(PROJECT)) == len(NEEDED)


def test_one_version_everywhere():
    assert re.search(rf"^version: {re.escape(chromae.__version__)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == chromae.__version__


def test_what_changed_has_somewhere_to_go():
    """Every new name in CHANGELOG's tables is a module of the package, or a name in one."""
    code = "".join(sources("src"))
    modules = {path.stem for path in (ROOT / "src/chromae").rglob("*")}
    rows = re.findall(r"^\| `[^|]*\| ([^|]*) \|$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = [
        part for row in rows for name in re.findall(r"`([^`]*)`", row) for part in re.findall(r"[A-Za-z_]\w+", name)
    ]
    assert len(rows) > 20
    assert not [it for it in names if it not in modules and not re.search(rf"\b{it}\b", code) and it not in ("python",)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built of a copy: setuptools, which torch brings, writes beside what it builds."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, copy / name)
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    # As torch is no part of what setuptools may import here, the version has to be read, not run.
    build = "import sys; sys.modules['torch'] = sys.modules['beartype'] = None; import setuptools.build_meta as it; "
    run(copy, sys.executable, "-c", build + "print(it.build_wheel('.'))")
    return next(copy.glob("*.whl"))


def run(folder: Path, *command: object, **variables: str) -> subprocess.CompletedProcess:
    """A command in a folder, in an environment that says nothing of this package; what it printed if it fails."""
    clean = {key: it for key, it in os.environ.items() if not key.startswith(("CHROMAE_", "PYTHONPATH", "PYTHONHOME"))}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=clean | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_a_wheel_holds_the_package_its_types_and_its_licence(wheel):
    assert wheel.name == f"chromae-{chromae.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        names, about = file.namelist(), f"chromae-{chromae.__version__}.dist-info"
        metadata = file.read(f"{about}/METADATA").decode()
        assert "chromae = chromae.__main__:main" in file.read(f"{about}/entry_points.txt").decode()
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    pages = {path.relative_to(ROOT / "src").as_posix() for kind in ("js", "css", "html")
             for path in (ROOT / "src/chromae/explorer").glob(f"*.{kind}")}  # fmt: skip
    assert {name for name in names if not name.startswith(about)} == modules | pages | {"chromae/py.typed"}
    assert f"{about}/licenses/LICENSE" in names
    for told in ("License-Expression: MIT", "Author: the Chromae authors", "Provides-Extra: notebooks"):
        assert told in metadata.splitlines()
    needed = {plain(line.partition(": ")[2]) for line in metadata.splitlines() if line.startswith("Requires-Dist")}
    assert needed == {plain(it) for it in NEEDED}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of a new environment with the wheel, in which the dependencies, but no other Chromae, are found."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(folder, sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    (packages,) = folder.rglob("site-packages")
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # The .pth files that lie in there, such as that of an editable Chromae, are not read.
    (packages / "dependencies.pth").write_text("\n".join(here))
    return python


def small_mnist(path: Path) -> dict[str, str]:
    """A file like that of MNIST, with 256 + 64 images; the checksums of its arrays."""
    from chromae.datasets import downloads

    draw, arrays = np.random.default_rng(0), {}
    for split, n in (("train", 256), ("test", 64)):
        arrays[f"{split}_images"] = draw.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[f"{split}_labels"] = draw.integers(0, 10, n, np.uint8)
    np.savez(path, **arrays)
    return {name: downloads._digest(array) for name, array in arrays.items()}


# Each snippet is a script of its own; they share a process, for torch takes seconds to import.
DRIVER = """
import json, runpy, sys
import chromae
from chromae import settings
from chromae.datasets import downloads
downloads.DIGESTS["mnist"] = json.loads(sys.argv[1])
made = [runpy.run_path(path, run_name="__main__") for path in sys.argv[2:]]
left = {name: str(type(it).__name__) for one in made for name, it in one.items()}
print(json.dumps({"from": chromae.__file__, "root": str(settings.ROOT), "left": left}))
"""


@clone
def test_the_snippets_of_our_pages_run_from_a_wheel_where_the_user_stands(installed, tmp_path):
    """As they are written, but for the address of a scheduler and for one epoch on fewer digits."""
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    snippets = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert len(snippets) >= 3
    home, scripts = tmp_path / "home", []
    for name in ("data", "photos", "results", "scripts"):
        (home / name).mkdir(parents=True)
    for number, snippet in enumerate(snippets):
        scripts.append(home / "scripts" / f"{number}.py")
        here = snippet.replace('Client("scheduler-address:8786")', "Client(processes=False)")
        scripts[-1].write_text(re.sub(r"epochs=\d+", "epochs=1", here), "utf-8")
    digests = small_mnist(home / "data" / "mnist.npz")
    shutil.copytree(ROOT / "results" / "weights", home / "results" / "weights")
    Image.new("RGB", (140, 160), "red").save(home / "photos" / "red.png")
    done = run(home, installed, "-c", DRIVER, json.dumps(digests), *scripts, TQDM_DISABLE="1", CHROMAE_DEVICE="cpu")
    said = json.loads(done.stdout.splitlines()[-1])
    assert Path(said["from"]).is_relative_to(installed.parents[1])
    assert Path(said["root"]) == home.resolve()
    assert {"history": "dict", "records": "list", "samples": "Tensor"}.items() <= said["left"].items()
    assert (home / "build" / "color.pt").is_file()


def test_data_and_results_lie_in_a_clone_or_where_python_was_started(tmp_path, monkeypatch):
    place, started = tmp_path / "a clone", tmp_path / "home"
    started.mkdir()
    (place / "src" / "chromae").mkdir(parents=True)
    monkeypatch.setattr(settings, "__file__", str(place / "src" / "chromae" / "settings.py"))
    monkeypatch.chdir(started)
    assert settings._root() == started.resolve()
    (place / "pyproject.toml").touch()
    assert settings._root() == started.resolve()
    (place / "notebooks").mkdir()
    assert settings._root() == place.resolve()


# Notes what it is asked, and does nothing but to say that it is there.
PYTHON = '#!/bin/sh\necho "$*" >>"$(dirname "$0")/calls.txt"\n'


@pytest.mark.skipif(os.name == "nt" or not shutil.which("make"), reason="there is no make")
def test_an_environment_that_is_there_is_used_as_it_is(tmp_path):
    repository, mine = tmp_path / "my projects", tmp_path / "mine"
    for folder in (repository, mine / "bin"):
        folder.mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, repository / name)
    shutil.copytree(ROOT / "src", repository / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (mine / "bin/python").write_text(PYTHON)
    (mine / "bin/python").chmod(0o755)
    for _ in range(2):
        run(repository, "make", f"VENV={mine}", "PYTHON=false", "data", MAKEFLAGS="")
    calls = (mine / "bin/calls.txt").read_text().splitlines()
    installs = [call for call in calls if "-m pip install" in call]
    assert installs == ["-m pip install --quiet --no-compile -r requirements.txt"], "once, by the environment's own pip"
    assert not [call for call in calls if "-m venv" in call or "ensurepip" in call]
    assert sum(call.startswith("-m chromae") for call in calls) == 2
    assert not (repository / ".venv").exists()


@clone
def test_git_keeps_the_page_about_data_and_nothing_beside_it(tmp_path):
    if not shutil.which("git"):
        pytest.skip("there is no git")
    shutil.copyfile(ROOT / ".gitignore", tmp_path / ".gitignore")
    names = ["data/README.md", "data/mnist.npz", "data/shapes/00001.png", ".venv/x", ".venv-oldest/x", "src/x.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    run(tmp_path, "git", "init", "-q")
    seen = run(tmp_path, "git", "ls-files", "--others", "--exclude-standard").stdout.split()
    assert sorted(seen) == [".gitignore", "data/README.md", "src/x.py"]


def anchors(page):
    """The places of a page that a link may name: its headings, as the host spells them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@clone
def test_the_papers_name_what_is_there():
    """Links lead to files, and to headings in them, and targets of make exist."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("README.md", "RESULTS.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md"):
        page = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page):
            assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"
        for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page):
            there = (ROOT / name).parent / link if link else ROOT / name
            if there.suffix == ".md":
                assert anchor in anchors(there), f"{name} links to {link}#{anchor}"
        for target in re.findall(r"`make ([a-z][a-z-]*)", page):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name} tells of make {target}"
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        runs = re.findall(r"- run: make ([a-z][a-z-]*)", workflow.read_text(encoding="utf-8"))
        assert runs
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in runs), workflow.name


def test_a_clone_weighs_less_than_a_hundred_megabytes(tmp_path):
    """As README's command makes it, of what is committed: all files, and once more what git keeps of them."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), tmp_path / "clone"], check=True)
    mb = sum(path.stat().st_size for path in (tmp_path / "clone").rglob("*") if path.is_file()) / 1e6
    assert mb < 100
    told = re.search(r"The clone weighs about (\d+) MB", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert float(told[1]) == pytest.approx(mb, abs=2)
