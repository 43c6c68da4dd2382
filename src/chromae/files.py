"""Files that are there whole or not at all."""

import contextlib
import hashlib
import os
import platform
import secrets
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # Windows has no such locks: there nobody waits
    fcntl = None


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name to write to: it takes the place of `path` at the end, and is removed if the block fails.

    The name, in the same folder, is this writer's own: of several writers of one path, the last to end gives it its
    content. What is renamed lies on the disk. The folder is made if missing; what killed writers of this path left in
    it is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = _stem(path)
    part = path.with_name(f"{stem}{os.getpid()}-{secrets.token_hex(4)}.part")
    for name in os.listdir(path.parent):  # thousands of frames may lie there: plain text is compared, no paths
        if name.startswith(stem) and name.endswith(".part") and not _writing(name):
            path.with_name(name).unlink(missing_ok=True)
    try:
        yield part
        _flush(part, os.O_RDWR)
        os.replace(part, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(part)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # for the reader knows no temporary names
    finally:
        part.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system can flush a folder
        _flush(path.parent, os.O_RDONLY)


def _stem(path: Path) -> str:
    """How the temporary names of a path begin: hidden, with where their writers run, for elsewhere ids mean others."""
    name = path.name if len(os.fsencode(path.name)) < 200 else hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return f".{name}.{host()}-"


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def host() -> str:
    """Eight digits for where this process runs: the machine and, in a container, the processes that it sees there."""
    space = Path("/proc/self/ns/pid")
    seen = f"{platform.node()} {space.readlink() if space.is_symlink() else ''}"
    return digest(seen)[:8]


def _writing(part: str) -> bool:
    """Whether the process that began a part, which its name says, still runs."""
    process = part.split("-")[-2]
    return process.isdecimal() and lives(int(process))


def lives(process: int) -> bool:
    """Whether a process of this machine still runs; one that ended, but whose parent has not asked how, does not."""
    if os.name != "posix":  # where to ask would end it
        return True
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        return status.rpartition(") ")[2][:1] != "Z"
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's, or a system without /proc


@contextlib.contextmanager
def alone(folder: str | Path, doing: str = "writing to") -> Iterator[None]:
    """A block that one process at a time runs for a folder; who has to wait is told what another is `doing`.

    The lock ends with its process, however that ends. The folder is made if missing.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is {doing} {folder}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: as on Windows
        yield
    finally:
        os.close(handle)


def _flush(path: Path, flags: int) -> None:
    """Bring to the disk what any handle wrote to a file, or the names in a folder."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
