"""Where a run happens: its preset, its device, its seed, its folders."""

import contextlib
import functools
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from chromae.arguments.kinds import Device, Seed

PRESETS = ("fast", "standard", "full")


def _root() -> Path:
    """The clone that the package lies in, or, if it is installed elsewhere, the folder in which Python was started.

    A clone has pyproject.toml and notebooks/ beside src/; site-packages have neither, and are no place for results.
    """
    clone = Path(__file__).resolve().parents[2]
    return clone if (clone / "pyproject.toml").is_file() and (clone / "notebooks").is_dir() else Path.cwd()


ROOT = _root()  # below which data, results and what a run by hand makes have their folders

Value = TypeVar("Value")

# Inside a study an interrupt is no early end: `training.fit` lets it through, so that no half-trained run is recorded.
in_study: ContextVar[bool] = ContextVar("in_study", default=False)


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
    """The CUDA or XPU accelerator if there is one, else the CPU; CHROMAE_DEVICE overrides ("cpu", "cuda:1", "mps" …).

    Apple's "mps" has to be asked for: it lacks float64 and some functions. Under torchrun every process takes the
    accelerator of its LOCAL_RANK, unless CHROMAE_DEVICE names one by its number.
    Raises ValueError if CHROMAE_DEVICE names no device of this machine.
    """
    found = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    name = os.environ.get("CHROMAE_DEVICE")
    if name:
        try:
            chosen = _own_card(torch.device(name))
            torch.empty(1, device=chosen).cpu()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            here = "cpu" if found.type == "cpu" else f"cpu, {found.type}"
            raise ValueError(f"CHROMAE_DEVICE is {name!r}, expected a device of this machine: {here}") from error
        return chosen
    return _own_card(found if found.type in ("cuda", "xpu") else torch.device("cpu"))


def _own_card(device: torch.device) -> torch.device:
    """The same device, or under torchrun this process's, before anything is put on another one."""
    if device.type == "cpu" or device.index is not None or "LOCAL_RANK" not in os.environ:
        return device
    torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
    return torch.device(device.type, int(os.environ["LOCAL_RANK"]))


def device_name(device: torch.device | Device) -> str:
    """What figures and results call a device, for example "CPU (AMD EPYC, 2 threads)"."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        name = _cpu().get("cpu_name") or platform.machine()
        threads = torch.get_num_threads()
        return f"CPU ({name}, {threads} {'thread' if threads == 1 else 'threads'})"
    return device.type


def has_bf16(device: torch.device | Device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware, so that mixed precision pays."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return any(_cpu().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def mixed_precision(device: torch.device | Device, bf16: bool) -> contextlib.AbstractContextManager:
    """A block whose matrix products run in bfloat16, if `bf16` and the device has it in hardware; else a plain one."""
    if bf16 and has_bf16(device):
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return contextlib.nullcontext()


def _cpu() -> Mapping:
    """What torch knows of the CPU; nothing, before it learnt to ask."""
    return getattr(torch.cpu, "get_capabilities", dict)()


def seed_everything(seed: Seed, device: torch.device | None = None) -> None:
    """Seed torch, on every device; on the CPU alone if that is the `device`. Chromae draws no number from elsewhere."""
    if device is not None and device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def random_state_kept(device: torch.device) -> contextlib.AbstractContextManager:
    """A block after which torch's own random numbers go on, on the CPU and this device, as if nothing had been drawn.

    Not on Apple's "mps", nor on other cards.
    """
    indexed = device.type in ("cuda", "xpu")  # those on which torch can look a generator's state up by its device
    return torch.random.fork_rng([device] if indexed else [], device_type=device.type if indexed else "cuda")


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
    films: Path
    frames: Path
    results: Path
    studies: Path
    weights: Path


def folders(notebook: str) -> Folders:
    """The folders of a notebook such as "01_color_autoencoder"; those that every run fills are made if missing.

    A run by hand publishes nothing: all that it writes lies below build/. CHROMAE_PUBLISH says what does not: "films",
    as `make` has it, puts films in images/, "all", as `make notebooks` has it, everything where it is published.
    The `fast` preset writes to a temp folder of this process. CHROMAE_RESULTS puts the results elsewhere.
    Raises ValueError for another CHROMAE_PUBLISH.
    """
    publish, build = os.environ.get("CHROMAE_PUBLISH") or "", ROOT / "build"
    places = {"": (build, build, build), "films": (ROOT, build, build), "all": (ROOT, ROOT, ROOT / "results")}
    if publish not in places:
        raise ValueError(f"CHROMAE_PUBLISH is {publish!r}, expected films, all or nothing")
    films, shown, kept = [_fresh_folder(tempfile.gettempdir())] * 3 if preset() == "fast" else places[publish]
    made = Folders(
        images=shown / "images",
        films=films / "images",
        frames=films / "images" / "frames" / notebook,
        results=Path(os.environ.get("CHROMAE_RESULTS") or shown / "results"),
        studies=kept / "studies" / notebook,
        weights=of_preset(kept / "weights"),
    )
    for folder in (made.images, made.films, made.frames, made.results):
        folder.mkdir(parents=True, exist_ok=True)  # the others hold what long runs leave, and are made by them
    return made


def of_preset(folder: str | Path) -> Path:
    """The folder of the current preset in this one: itself for "standard", so that weights of others do not mix in."""
    return Path(folder) if preset() == "standard" else Path(folder) / preset()


@functools.cache
def _fresh_folder(temp: str) -> Path:
    """A folder of this process, for no run to find what another one left."""
    return Path(tempfile.mkdtemp(prefix="chromae-fast-", dir=temp))


def find(path: str | Path) -> Path:
    """`path` if it exists, else what is published in its stead, if it lies in build/studies or build/weights."""
    path = Path(path)
    if not path.exists() and path.is_relative_to(ROOT / "build"):
        published = ROOT / "results" / path.relative_to(ROOT / "build")
        return published if published.exists() else path
    return path


def left_by_hand(path: str | Path) -> Path | None:
    """Where a run by hand leaves the record or the weights that are published at `path`; None if nothing is there."""
    path = Path(path)
    if path.is_relative_to(ROOT / "results"):
        left = ROOT / "build" / path.relative_to(ROOT / "results")
        return left if left.exists() else None
    return None
