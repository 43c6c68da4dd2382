"""The process that other tests fork from: what runs there is a process like any other, of its own path alone."""

import os
import subprocess
import sys

import pytest
from conftest import FORKS, fork, forking

pytestmark = pytest.mark.skipif(not FORKS, reason="forks of a process with frameworks are for Linux")


def run(script, lines, *paths):
    script.write_text(lines)
    return subprocess.run(
        fork(str(script), "asked"), env=os.environ | forking(*paths), capture_output=True, text=True, cwd=script.parent
    )


def test_modules_come_from_the_path_of_the_one_that_asks(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "chromae_here.py").write_text(f"NAME = {name!r}\n")
    lines = "import chromae_here\nprint(chromae_here.NAME)\n"
    found = [run(tmp_path / "script.py", lines, tmp_path / name).stdout for name in "ab"]
    assert found == ["a\n", "b\n"]
    assert "ModuleNotFoundError" in run(tmp_path / "script.py", lines).stderr


def test_the_package_of_these_tests_is_not_there(tmp_path):
    """A notebook in a bare clone is to find the package of that clone."""
    lines = "import importlib.util\nprint(importlib.util.find_spec('chromae'))\n"
    assert run(tmp_path / "script.py", lines).stdout == "None\n"


@pytest.mark.parametrize(
    ("lines", "status", "error"),
    [
        ("import sys; assert sys.argv[1:] == ['asked']", 0, ""),
        ("raise SystemExit('why it ends')", 1, "why it ends\n"),
        ("raise SystemExit(5)", 5, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, ""),
    ],
)
def test_a_fork_ends_as_a_process_of_its_own_would(tmp_path, lines, status, error):
    done = run(tmp_path / "script.py", lines)
    assert (done.returncode, done.stderr) == (status, error)


def test_what_a_thread_and_an_exit_write_is_not_lost(tmp_path):
    lines = """
import atexit, threading, time
atexit.register(lambda: print("last"))
threading.Thread(target=lambda: (time.sleep(0.3), print("first"))).start()
"""
    assert run(tmp_path / "script.py", lines).stdout == "first\nlast\n"


def test_the_process_stays_while_its_lock_is_held_and_ends_after_it(tmp_path):
    code = (  # with no libraries to import
        "import os, sys, time; sys.path.insert(0, sys.argv[1]); import conftest;"
        "path = conftest._warm(os.environ | {'PYTHONPATH': ''}); time.sleep(2.5);"
        "os._exit(0 if os.path.exists(path) else 9)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_TESTRUNUID"} | {"TMPDIR": str(tmp_path)}
    asked = [sys.executable, "-c", code, os.path.dirname(__file__)]
    # The server has the pipe as its output, too: it is read to the end when that has ended.
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("warm-*"))
