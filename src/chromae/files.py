"""Files that are there whole or not at all."""

import contextlib
import hashlib
import os
import platform
import secrets
from collections.abc import Iterator
from pathlib import Path


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
        if name.startswith(stem) and name.endswith(".part") and not _writing(path.with_name(name)):
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
    space = Path("/proc/self/ns/pid")
    host = f"{platform.node()} {space.readlink() if space.is_symlink() else ''}"
    return f".{name}.{hashlib.sha256(host.encode()).hexdigest()[:8]}-"


def _writing(part: Path) -> bool:
    """Whether the process that began this part still lives."""
    try:
        os.kill(int(part.name.split("-")[-2]), 0) if os.name == "posix" else None
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def _flush(path: Path, flags: int) -> None:
    """Bring to the disk what any handle wrote to a file, or the names in a folder."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
