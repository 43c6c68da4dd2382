"""What a report of a fault should say of where it happened."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

# Everything else is imported where it is looked at: what is broken may be the import.


def report() -> list[str]:
    """A line each: versions, device, precision, threads, preset, folders, ffmpeg. What is broken says why."""
    looks = {
        "chromae": _chromae,
        "python": lambda: f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform,
        **{name: lambda name=name: importlib.metadata.version(name) for name in _dependencies()},
        "device": _device,
        "threads": _threads,
        "preset": lambda: _settings().preset(),
        "root": lambda: str(_settings().ROOT),
        "data": lambda: _folder(_settings().data_folder()),
        "weights": lambda: _folder(_settings().ROOT / "results" / "weights"),
        "ffmpeg": _ffmpeg,
        "variables": lambda: " ".join(f"{key}={it}" for key, it in sorted(os.environ.items()) if _ours(key)) or "none",
    }
    return [f"{name + ':':11} {_said(look)}" for name, look in looks.items()]


def _said(look: Callable[[], str]) -> str:
    try:
        return look()
    except Exception as error:
        return f"not found ({' '.join(f'{type(error).__name__}: {error}'.split())})"


def _chromae() -> str:
    import chromae

    root = Path(chromae.__file__).resolve().parents[2]
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = ""
    if (root / ".git").exists() and shutil.which("git"):
        found = subprocess.run(asked, capture_output=True, text=True)
        commit = f", commit {found.stdout.strip()}" if found.returncode == 0 else ""
    return f"{chromae.__version__}{commit}"


def _dependencies() -> list[str]:
    """What the installed package says it needs; a clone that is not installed says nothing."""
    try:
        needed = importlib.metadata.requires("chromae") or []
    except importlib.metadata.PackageNotFoundError:
        needed = []
    return [re.match(r"[\w.-]+", one)[0] for one in needed if "extra ==" not in one] or ["torch", "numpy"]


def _settings():
    from chromae import settings

    return settings


def _device() -> str:
    settings = _settings()
    device = settings.device()
    bf16 = "with" if settings.has_bf16(device) else "without"
    return f"{settings.device_name(device)}, {device}, {bf16} bfloat16 in hardware"


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()} of torch, {os.cpu_count()} processors"


def _folder(folder: Path) -> str:
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else None
    return f"{folder}, {'not there' if files is None else f'{len(files)} files'}"


def _ffmpeg() -> str:
    from chromae.figures import frames

    return ", ".join(frames._encoders()) or "none"


def _ours(variable: str) -> bool:
    return variable.startswith("CHROMAE_") or variable in ("OMP_NUM_THREADS", "IMAGEIO_FFMPEG_EXE")
