"""What all tests share: no progress bars, no Hypothesis deadline on busy machines, a clone of the repository."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("chromae", deadline=None)
settings.load_profile("chromae")


@pytest.fixture
def clone(tmp_path):
    """What a clone of the repository would hold if all of its files were committed as they are."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    copy = tmp_path / "clone"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy
