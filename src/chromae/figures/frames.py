"""Images → PNG frames → MP4.

`python -m chromae film FOLDER FILM.mp4` films a folder of frames, at the rate at which it was filmed before; a film
newer than its frames is kept.
"""

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from chromae import files
from chromae.arguments.kinds import Natural

watchers: list[Callable[[np.ndarray], None]] = []  # are shown every frame that is saved
FPS = 24
HOLD = 1  # second that a film stays on its last frame
CRF = 24  # of H.264: how coarse a film may be
SAVED = re.compile(r"\d{4,}\.png")  # what a frame is called
BEFORE = "-before"  # so ends the hidden name of a folder that gives way to a run's
# To an even size, then to colours tagged as BT.709: untagged H.264 turns pure green into (0, 217, 0) in browsers.
COLOR_CHAIN = (
    "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white,"
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+full_chroma_inp,format=yuv420p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


def clear(folder: str | Path) -> Path:
    """A new, empty folder for the frames of one run, hidden beside `folder`, whose place it takes when it is filmed.

    Two runs that film the same clip at once never mix, and until a run is filmed, the frames of the one before stay.
    What processes of this machine left unfilmed when they ended is removed; files in it that are no frames move to
    `folder`. Raises NotADirectoryError if there is a file of that name.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, expected a folder for frames or a free name")
    for left in sorted(folder.parent.glob(".*-*-*-*"), key=lambda left: not left.name.endswith(BEFORE)):
        if (run := _run(left)) and run[:2] == (folder, files.host()) and not files.lives(run[2]):
            if left.name.endswith(BEFORE) and not folder.exists():  # `settle` was killed between its two renames
                with contextlib.suppress(OSError):  # another process may do the same
                    left.rename(folder)
            _remove(left, folder)
    made = _beside(folder)
    made.mkdir(parents=True)
    return made


def save(image: UInt8[np.ndarray, "height width 3"], folder: str | Path, number: Natural) -> Path:
    """Write one frame as `folder`/0001.png, to a temporary name first, and show it to `watchers`; returns its path.

    Raises OSError, in one sentence, if it cannot be written (a full disk); the frames before it stay.
    """
    if image.size == 0:
        raise ValueError(f"image has shape {image.shape}, expected one pixel or more")
    path = Path(folder) / f"{number:04d}.png"
    try:
        with files.replacing(path) as part:
            Image.fromarray(np.asarray(image)).save(part, format="png", compress_level=1)
    except OSError as error:
        said = f"frame {number} was not written ({error.strerror}); those before it stay"
        raise OSError(error.errno, said, str(path)) from None
    for show in watchers:
        show(image)
    return path


def settle(folder: str | Path) -> Path:
    """Put a run's folder, made by `clear`, in the place of the run's before it; returns that place.

    Frames of the run before are removed, whatever else lay beside them stays. Another folder stays where it is.
    """
    run = _run(Path(folder))
    if run is None:
        return Path(folder)
    place, moved = run[0], []
    while Path(folder).exists():
        before = _beside(place, BEFORE)
        with contextlib.suppress(FileNotFoundError):
            place.rename(before)
            moved.append(before)
            _move_others(before, Path(folder))
        try:
            Path(folder).rename(place)
        except OSError:
            if not place.exists():  # else another run was settled in between: in its turn it gives way
                raise
    for before in moved:  # only now, for a kill between the two renames must not cost the frames
        _remove(before, place)
    return place


def film(folder: str | Path, path: str | Path, fps: int = FPS) -> Path:
    """Make an MP4 (H.264, yuv420p, BT.709, even size) of the frames in a folder, in the order of their numbers.

    It stays on its last frame for a second. The rate is noted in the folder, so that the command makes the same film
    again; then the folder is settled.
    The ffmpeg that IMAGEIO_FFMPEG_EXE names is tried first, then the one that imageio-ffmpeg carries, then the
    system's. If none can make the film, a sentence says so and how to make it later, and the run goes on: its frames
    and an earlier film stay. Returns the film's path.
    Raises FileNotFoundError without frames, ValueError for those of several sizes, that cannot be read or that change,
    and for an `fps` below 1.
    """
    try:
        encode(folder, path, fps)
    except RuntimeError as error:
        print(error)
    settle(folder)
    return Path(path)


def film_again(folder: str | Path, path: str | Path) -> bool:
    """Film a folder as it was filmed before; False for a film no older than its frames, which stays as it is.

    It is then as new as now; where there are no frames, a line says so. Raises IsADirectoryError if the film is
    a folder, and as `encode`.
    """
    folder, path = Path(folder), Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a film or a free name")
    newest = max((frame.stat().st_mtime for frame in _frames(folder)), default=0)
    if path.exists() and newest <= path.stat().st_mtime:
        if not newest:
            print(f"no frames (*.png) in {folder}: {path} stays as it is")
        path.touch()
        return False
    noted = (folder / "fps").read_text().strip() if (folder / "fps").exists() else ""
    encode(folder, path, int(noted) if noted.isdecimal() and int(noted) else FPS)
    return True


def encode(folder: str | Path, path: str | Path, fps: int = FPS) -> None:
    """As `film`, but the folder stays where it is, and RuntimeError, in one sentence, says why there is no film."""
    folder, path = Path(folder), Path(path)
    run = _run(folder)
    if run and not folder.exists():  # it was filmed before
        folder, run = run[0], None
    if fps < 1:
        raise ValueError(f"fps is {fps}, expected 1 frame a second or more")
    frames = _frames(folder)
    if not frames:
        raise FileNotFoundError(
            f"no frames (*.png) in {folder} to make {path.name} of: run the notebook that draws them"
        )
    failed, same = [], folder.stat().st_ino
    try:
        with files.replacing(folder / "fps") as part:
            part.write_text(f"{fps}\n")
        for ffmpeg in _encoders():
            try:
                with files.replacing(path) as part:
                    _pipe(frames, fps, part, ffmpeg)
                    if folder.stat().st_ino != same:
                        raise ValueError(f"{folder} was given other frames while it was filmed: film it again")
                return
            except (RuntimeError, OSError) as error:
                failed.append(f"{ffmpeg}: {error}")
    except OSError as error:
        failed.append(str(error))
    stay = run[0] if run else folder
    raise RuntimeError(
        f"{path.name} was not made, its {len(frames)} frames stay in {stay}: with a working ffmpeg "
        f"(`pip install imageio-ffmpeg` brings one), `python -m chromae film {stay} {path}` films them "
        f"({'; '.join(failed) or 'there is no ffmpeg'})"
    )


def _beside(folder: Path, end: str = "") -> Path:
    """A name beside a folder that no other run has, with this process and where it runs in it."""
    return folder.with_name(f".{folder.name}-{files.host()}-{os.getpid()}-{secrets.token_hex(4)}{end}")


def _run(folder: Path) -> tuple[Path, str, int] | None:
    """The folder whose place a run's takes, the host and the process that fills it; None for one of another name."""
    found = re.fullmatch(rf"\.(.+)-([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{8}}({BEFORE})?", folder.name)
    return found and (folder.with_name(found[1]), found[2], int(found[3]))


def _frames(folder: Path) -> list[Path]:
    """The frames in a folder, by their numbers: what `save` named, or, where nothing is named so, every PNG."""
    pictures = [path for path in folder.glob("*.png") if not path.name.startswith(".")]
    return sorted([path for path in pictures if SAVED.fullmatch(path.name)] or pictures, key=_number)


def _others(folder: Path) -> list[Path]:
    """What in a folder of frames no run made: a picture of another name than `save` gives is its owner's."""
    return [
        path for path in folder.iterdir()
        if path.name != "fps" and path.suffix != ".part" and not SAVED.fullmatch(path.name)
    ]  # fmt: skip


def _move_others(folder: Path, target: Path) -> None:
    """Move what no run made to another folder, unless something of that name lies there."""
    for path in _others(folder):
        if not (target / path.name).exists():
            target.mkdir(parents=True, exist_ok=True)
            path.rename(target / path.name)


def _remove(folder: Path, place: Path) -> None:
    """Remove a folder of frames; what no run made moves to `place` first, or stays with it if the name is taken."""
    with contextlib.suppress(OSError):  # another process may remove it at the same time
        _move_others(folder, place)
        if not _others(folder):
            shutil.rmtree(folder)


def _number(frame: Path) -> list[str | int]:
    """What frames are sorted by: numbers in their names count as numbers, so that 9999 comes before 10000."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", frame.stem)]


def _encoders() -> list[str]:
    """The ffmpegs of this machine, in the order in which they are tried."""
    carried = sorted(map(str, Path(imageio_ffmpeg.__file__).with_name("binaries").glob("ffmpeg-*")))
    found = [os.environ.get("IMAGEIO_FFMPEG_EXE"), *carried, shutil.which("ffmpeg")]
    return list(dict.fromkeys(filter(None, found)))


def _read(frame: Path) -> UInt8[np.ndarray, "height width 3"]:
    try:
        with Image.open(frame) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow has many for broken files
        raise ValueError(f"{frame} could not be read as a picture ({error}): draw the frames again") from error


def _pipe(frames: list[Path], fps: int, path: Path, ffmpeg: str) -> None:
    """Pipe frames into ffmpeg. Its exit status counts, which imageio's own writer does not look at."""
    height, width, _ = _read(frames[0]).shape
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps}", "-i", "-"]
    target = ["-c:v", "libx264", "-crf", f"{CRF}", "-preset", "slow", "-movflags", "+faststart", "-map_metadata", "-1"]
    command = [ffmpeg, "-y", "-v", "error", *source, "-vf", COLOR_CHAIN, *target, "-f", "mp4", str(path.absolute())]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        try:
            with process.stdin as pipe:
                for frame in frames:
                    image = _read(frame)
                    if image.shape != (height, width, 3):
                        raise ValueError(
                            f"{frame} has shape {image.shape}, expected that of the first frame, {(height, width, 3)}"
                        )
                    pipe.write(image.data)
                for _ in range(HOLD * fps):
                    pipe.write(image.data)
        except BrokenPipeError:
            pass  # ffmpeg gave up: its exit status says so, its log why
        finally:
            status = process.wait()
        log.seek(0)
        said = " ".join(log.read().decode(errors="replace").split())
    if status:
        raise RuntimeError(f"ended with status {status}, {said or 'it gave no reason'}")
