"""pythae in an environment of its own below build/, and its trainer at work there."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from side_by_side import Skipped

from chromae import settings

VERSION = "0.1.2"


def python(folder: Path) -> Path:
    """The environment's Python; made on first use. It has pythae and what that needs, and sees our own packages.

    So both sides run on one PyTorch. Raises Skipped, with the reason, if pythae cannot be had.
    """
    executable, ready = folder / "bin" / "python", folder / f"{VERSION}-{platform.python_version()}"
    if ready.exists():
        return executable
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        ask = [executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        inside = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
        ours = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        (inside / "ours.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", executable, "install", f"pythae=={VERSION}"]
        subprocess.run(pip, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines() or [str(error)]
        raise Skipped(f"pythae {VERSION} cannot be installed in {folder.name}: {said[-1]}") from error
    ready.touch()
    return executable


@contextlib.contextmanager
def trainer(kind: str, digits: int) -> Iterator[Callable[[], float]]:
    """pythae's trainer in a process of its own: a function that trains a fresh model and returns its mean loss.

    Raises Skipped, with the reason, if it does not run.
    """
    places = os.pathsep.join([str(settings.ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    command = [python(settings.ROOT / "build" / "pythae"), Path(__file__).with_name("pythae_side.py")]
    with tempfile.TemporaryFile() as log, subprocess.Popen(
        [*command, kind, str(digits), str(torch.get_num_threads())], env=os.environ | {"PYTHONPATH": places},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:  # fmt: skip

        def answer() -> dict:
            if line := process.stdout.readline():
                return json.loads(line)
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            raise Skipped(f"pythae {VERSION} does not run here: {said[-1]}")

        def train() -> float:
            print("train", file=process.stdin, flush=True)
            return answer()["loss"]

        answer()
        yield train
