"""Images → PNG frames → MP4.

`python -m chromae.frames FOLDER FILM.mp4` films a folder of frames, at the rate at which it was filmed before; a film
newer than its frames is kept.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from chromae import files

FPS = 24
# To an even size, then to colours tagged as BT.709: untagged H.264 turns pure green into (0, 217, 0) in browsers.
COLOR_CHAIN = (
    "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white,"
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+full_chroma_inp,format=yuv420p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


def clear(folder: Path) -> Path:
    """An empty folder for frames: made if missing, frames of an earlier run removed. Returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.png"), *folder.glob("*.part")]:
        old.unlink()
    return folder


def save(image: UInt8[np.ndarray, "height width 3"], folder: Path, number: int) -> Path:
    """Write one frame as `folder`/0001.png, to a temporary name first; returns its path.

    Raises OSError, in one sentence, if it cannot be written (a full disk); the frames before it stay.
    """
    path = folder / f"{number:04d}.png"
    try:
        with files.replacing(path) as part:
            Image.fromarray(np.asarray(image)).save(part, format="png", compress_level=1)
    except OSError as error:
        raise OSError(
            error.errno, f"frame {number} was not written ({error.strerror}); those before it stay", str(path)
        ) from None
    return path


def film(folder: Path, path: Path, fps: int = FPS) -> Path:
    """Make an MP4 (H.264, yuv420p, BT.709, even size) of the frames in a folder, in the order of their names.

    The rate is noted in the folder, so that the command makes the same film again.
    The system's ffmpeg is used, else the one that imageio-ffmpeg carries; IMAGEIO_FFMPEG_EXE names another.
    Raises FileNotFoundError without frames, ValueError for frames of several sizes, RuntimeError if ffmpeg is
    missing or fails; the frames and an earlier film stay as they were.
    """
    frames = sorted(folder.glob("*.png"))
    if not frames:
        raise FileNotFoundError(
            f"no frames (*.png) in {folder} to make {path.name} of: run the notebook that draws them"
        )
    try:
        with files.replacing(folder / "fps") as part:
            part.write_text(f"{fps}\n")
        with files.replacing(path) as part:
            _encode(frames, fps, part)
    except (RuntimeError, OSError) as error:
        raise RuntimeError(
            f"{path.name} was not made, its {len(frames)} frames stay in {folder}: with a working ffmpeg "
            f"(`pip install imageio-ffmpeg` brings one), `make animations` films them ({error})"
        ) from error
    return path


def _read(frame: Path) -> UInt8[np.ndarray, "height width 3"]:
    with Image.open(frame) as image:
        return np.asarray(image.convert("RGB"))


def _encode(frames: list[Path], fps: int, path: Path) -> None:
    """Pipe frames into ffmpeg. Its exit status counts, which imageio's own writer does not look at."""
    height, width, _ = _read(frames[0]).shape
    ffmpeg = os.environ.get("IMAGEIO_FFMPEG_EXE") or shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps}", "-i", "-"]
    target = ["-c:v", "libx264", "-crf", "23", "-preset", "slow", "-movflags", "+faststart", "-map_metadata", "-1"]
    command = [ffmpeg, "-y", "-v", "error", *source, "-vf", COLOR_CHAIN, *target, "-f", "mp4", str(path)]
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
        except BrokenPipeError:
            pass  # ffmpeg gave up: its exit status says so, its log why
        finally:
            status = process.wait()
        log.seek(0)
        said = " ".join(log.read().decode(errors="replace").split())
    if status:
        raise RuntimeError(f"ffmpeg ended with status {status}: {said or 'it gave no reason'}")


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    newest = max((frame.stat().st_mtime for frame in source.glob("*.png")), default=0)
    if target.exists() and newest <= target.stat().st_mtime:
        target.touch()
    else:
        noted = source / "fps"
        print(film(source, target, int(noted.read_text()) if noted.exists() else FPS))
