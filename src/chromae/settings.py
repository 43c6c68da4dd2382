"""Where a run happens: its preset, its device, its seed, its folders."""

import contextlib
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

PRESETS = ("fast", "standard", "full")
ROOT = Path(__file__).resolve().parents[2]

Value = TypeVar("Value")


def preset() -> str:
    """The preset named by CHROMAE_PRESET: "fast" (tests), "standard" (a laptop, the default) or "full" (one GPU).

    Raises ValueError if the variable names no preset.
    """
    name = os.environ.get("CHROMAE_PRESET") or "standard"
    if name not in PRESETS:
        raise ValueError(f"CHROMAE_PRESET is {name!r}, expected one of {', '.join(PRESETS)}")
    return name


def pick(*, fast: Value, standard: Value, full: Value) -> Value:
    """The one of three values that belongs to the current preset."""
    return {"fast": fast, "standard": standard, "full": full}[preset()]


def device() -> torch.device:
    """The accelerator if there is one, else the CPU; CHROMAE_DEVICE overrides ("cpu", "cuda:1", "mps" …).

    Under torchrun every process takes the accelerator of its LOCAL_RANK.
    Raises ValueError if CHROMAE_DEVICE names no device of this machine.
    """
    found = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    name = os.environ.get("CHROMAE_DEVICE")
    if name:
        try:
            torch.empty(1, device=name).cpu()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            here = "cpu" if found.type == "cpu" else f"cpu, {found.type}"
            raise ValueError(f"CHROMAE_DEVICE is {name!r}, expected a device of this machine: {here}") from error
        return torch.device(name)
    if found.type != "cpu" and "LOCAL_RANK" in os.environ:
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
        return torch.device(found.type, int(os.environ["LOCAL_RANK"]))
    return found


def device_name(device: torch.device | str) -> str:
    """What figures and results call a device, for example "CPU (AMD EPYC, 2 threads)"."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        name = _cpu().get("cpu_name") or platform.machine()
        threads = torch.get_num_threads()
        return f"CPU ({name}, {threads} {'thread' if threads == 1 else 'threads'})"
    return device.type


def has_bf16(device: torch.device | str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware, so that mixed precision pays."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return any(_cpu().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def mixed_precision(device: torch.device | str, bf16: bool) -> contextlib.AbstractContextManager:
    """A block whose matrix products run in bfloat16, if `bf16` and the device has it in hardware; else a plain one."""
    if bf16 and has_bf16(device):
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return contextlib.nullcontext()


def _cpu() -> dict:
    """What torch knows of the CPU; nothing, before it learnt to ask."""
    return getattr(torch.cpu, "get_capabilities", dict)()


def seed_everything(seed: int) -> None:
    """Seed torch on every device. Chromae draws no number from elsewhere."""
    torch.manual_seed(seed)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one CPU thread inside the block: for tiny tensors, waking a second one costs more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def data_folder() -> Path:
    """Where fetched data lie: data/, or the folder that CHROMAE_DATA names, for several clones to share."""
    return Path(os.environ.get("CHROMAE_DATA") or ROOT / "data")


class Folders(NamedTuple):
    """Where one notebook writes."""

    images: Path
    frames: Path
    results: Path
    studies: Path
    weights: Path


def folders(notebook: str) -> Folders:
    """The folders of a notebook such as "01_color_autoencoder", made if missing.

    The `fast` preset writes to the temp folder of this machine, never beside published results; CHROMAE_RESULTS
    puts the results of the others elsewhere, as `make animations` does.
    """
    if preset() == "fast":
        root = Path(tempfile.gettempdir()) / "chromae-fast"
        results = root / "results"
    else:
        root = ROOT
        results = Path(os.environ.get("CHROMAE_RESULTS") or root / "results")
    made = Folders(
        images=root / "images",
        frames=root / "images" / "frames" / notebook,
        results=results,
        studies=root / "results" / "studies" / notebook,
        weights=root / "results" / "weights",
    )
    for folder in made[:3]:  # the others hold what long runs leave, and are made by them
        folder.mkdir(parents=True, exist_ok=True)
    return made
