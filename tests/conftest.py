"""What all tests share: no progress bars, no Hypothesis deadline on busy machines, a clone of the repository."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "33554432")  # as `notebook.begin` would have it: it leaves tests alone
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", "134217728")
if "PYTEST_XDIST_WORKER" in os.environ:  # tests side by side have a core each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import contextlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]
WARM = ROOT / "tests" / "warm.py"

sys.modules.setdefault("rfc3987_syntax", None)  # saves three seconds of importing nbformat, as in chromae.__main__
settings.register_profile("chromae", deadline=None)
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile(
    "nightly" if os.environ.get("CHROMAE_NIGHTLY") else os.environ.get("HYPOTHESIS_PROFILE", "chromae")
)


# Files whose tests share what is dear: three launches, a gallery, a fork server, a browser, joblib's processes.
BROWSERS = ("explore", "export", "lab", "page", "site", "widget")
TOGETHER = {f"tests/test_{name}.py" for name in ("distributed", "faults", "study", *BROWSERS)}


class ByFile(LoadScopeScheduling):
    """One process runs all tests of a file that is to stay together; all others run wherever there is time.

    pytest-xdist's own groups do nothing under pytest 9.2, which no longer shows them in a test's name.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One more than there are cores, for a fifth of the time a test waits: for a browser, a kernel, a file."""
    told = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or config.option.numprocesses == "logical"
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") and not told else None


@pytest.hookimpl(optionalhook=True)  # pytest can be told to do without pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


@pytest.fixture
def clone(tmp_path):
    """What a clone of the repository would hold if all of its files were committed as they are."""
    return cloned(tmp_path / "my projects")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder in whose place the repository seems to lie, and from which all is run."""
    from chromae import settings

    for name in ("CHROMAE_PRESET", "CHROMAE_PUBLISH", "CHROMAE_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_notebook(path: Path, *sources: str, kernel: str = "python3") -> Path:
    """A notebook of these cells: those that begin with # are Markdown."""
    import nbformat

    made = [
        nbformat.v4.new_markdown_cell(it) if it.startswith("#") else nbformat.v4.new_code_cell(it) for it in sources
    ]
    about = {"kernelspec": {"name": kernel, "display_name": kernel}}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=about), path)
    return path


def cloned(folder: Path) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


class Execution(NamedTuple):
    """A run of a notebook: where it ran and wrote, how it ended, which files were in its clone before and after."""

    folder: Path
    process: subprocess.CompletedProcess
    before: dict[Path, int]
    after: dict[Path, int]


def execute(name: str, folder: Path) -> Execution:
    """A run of a notebook in the fast preset, from its own folder in a bare clone, without the package installed."""
    from chromae.settings import data_folder

    clone, temp = cloned(folder / "my projects"), folder / "temp"
    temp.mkdir()
    # The interpreter under the environment, with its libraries on the path but not its editable packages.
    environment = {key: value for key, value in os.environ.items() if key not in ("CHROMAE_PUBLISH", "CHROMAE_CHECK")}
    environment |= {
        "CHROMAE_PRESET": "fast",
        "CHROMAE_RESULTS": str(folder / "results"),
        "TMPDIR": str(temp),
        "TQDM_DISABLE": "1",
        "CHROMAE_DATA": str(data_folder()),  # fetched once for all clones
    }
    if "PYTEST_XDIST_WORKER" in os.environ:  # and no processes for its studies
        environment["LOKY_MAX_CPU_COUNT"] = "1"
    environment |= forked_kernels(temp)
    command = fork("nbconvert.nbconvertapp", "--to", "notebook", "--execute", "--output-dir", str(folder))
    before = stamps(clone)
    process = subprocess.run(
        [*command, f"{name}.ipynb"], cwd=clone / "notebooks", env=environment, capture_output=True, text=True
    )
    return Execution(folder, process, before, stamps(clone))


def forked_kernels(folder: Path, *paths: Path) -> dict[str, str]:
    """The environment in which Jupyter's kernels are forks of the warm process; the folder gets their kernel.json."""
    kernel = {"argv": fork("ipykernel.kernelapp", "-f", "{connection_file}"), "display_name": "Python 3"}
    (folder / "kernels" / "python3").mkdir(parents=True)
    (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(kernel))
    return {"JUPYTER_PATH": str(folder)} | forking(*paths)


FORKS = sys.platform == "linux"  # elsewhere a process that has loaded frameworks cannot fork safely
_kept = []  # the lock that keeps the warm process, and that process if it was started here


def fork(target: str, *arguments: str) -> list[str]:
    """The command that runs a script or a module in a fork of the warm process, in the environment of `forking`."""
    how = ["-S", str(WARM)] if FORKS else [] if target.endswith(".py") else ["-m"]
    return [sys._base_executable, *how, target, *arguments]


def forking(*paths: Path) -> dict[str, str]:
    """What `fork` needs in its environment: these folders and what is installed on the path, and the warm process."""
    installed = sysconfig.get_path("purelib")
    found = {"PYTHONPATH": os.pathsep.join([*map(str, paths), installed])}
    return found | ({"CHROMAE_WARM": _warm(os.environ | {"PYTHONPATH": installed})} if FORKS else {})


def _warm(environment: dict[str, str]) -> str:
    """The socket of a process that forks, one for all tests that run now: see warm.py. Whoever finds none starts it."""
    import fcntl

    path = Path(tempfile.gettempdir()) / f"warm-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    started = time.monotonic()
    while not (_kept and path.exists()):
        assert time.monotonic() < started + 300, "no process to fork from came up"
        _kept.clear()
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT)  # ours until we end
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _named(lock, f"{path}.lock"):
                path.unlink(missing_ok=True)  # of one that was killed
                _kept.append(subprocess.Popen([sys._base_executable, WARM, "serve", path], env=environment))
                while not path.exists():
                    assert _kept[0].poll() is None, "the process to fork from ended"
                    assert time.monotonic() < started + 300, "no process to fork from came up"
                    time.sleep(0.1)
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits while another one starts it
        if _named(lock, f"{path}.lock"):
            _kept.append(lock)
        time.sleep(0.1)
    return str(path)


def _named(file: int, path: str) -> bool:
    """Whether this open file still is the one of that name: a process that ends removes it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), os.stat(path))
    return False


def stamps(folder: Path) -> dict[Path, int]:
    """Every file and folder below this one, and when a file was changed: bytecode changes folders."""
    skipped = {"__pycache__", ".git"}
    found = (p for p in folder.rglob("*") if not skipped & set(p.parts))
    return {p.relative_to(folder): 0 if p.is_dir() else p.stat().st_mtime_ns for p in found}


def noticed_flips(path: Path, places: Iterable[int], read: Callable, same: Callable) -> int:
    """How many flips of a bit, one at a time, `read` notices in a sentence; what it does not is to be the `same`."""
    data, noticed = path.read_bytes(), 0
    for place in places:
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        found = read(path)
        if isinstance(found, str):
            noticed += 1
            assert str(path) in found
            assert "\n" not in found
        else:
            assert same(found)
    return noticed
