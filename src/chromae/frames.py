"""Images → PNG frames → MP4.

`python -m chromae.frames FOLDER FILM.mp4` films a folder of frames; a film newer than its frames is kept.
"""

import os
import shutil
import sys
from pathlib import Path

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8
from PIL import Image

FPS = 24
# Colours tagged as BT.709: untagged H.264 turns pure green into (0, 217, 0) in browsers. Padded to an even size.
COLOR_CHAIN = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,"
    "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p,"
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
    part = path.with_name(path.name + ".part")
    try:
        Image.fromarray(np.asarray(image)).save(part, format="png", compress_level=1)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(
            error.errno, f"frame {number} was not written ({error.strerror}); those before it stay", str(path)
        ) from None
    return path


def film(folder: Path, path: Path, fps: int = FPS) -> Path:
    """Make an MP4 (H.264, yuv420p, BT.709, even size) of the frames in a folder, in the order of their names.

    The system's ffmpeg is used, else the one that imageio-ffmpeg carries; IMAGEIO_FFMPEG_EXE names another.
    Raises FileNotFoundError without frames, RuntimeError without a working ffmpeg; the frames stay either way.
    """
    frames = sorted(folder.glob("*.png"))
    if not frames:
        raise FileNotFoundError(
            f"no frames (*.png) in {folder} to make {path.name} of: run the notebook that draws them"
        )
    if system := shutil.which("ffmpeg"):
        os.environ.setdefault("IMAGEIO_FFMPEG_EXE", system)
    part = path.with_name(f"{path.stem}.part.mp4")
    options = ["-vf", COLOR_CHAIN, "-crf", "16", "-preset", "slow", "-movflags", "+faststart", "-map_metadata", "-1"]
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
        with imageio.get_writer(
            part, format="FFMPEG", fps=fps, codec="libx264", quality=None, macro_block_size=1, output_params=options
        ) as writer:
            for frame in frames:
                writer.append_data(np.asarray(Image.open(frame).convert("RGB")))
        os.replace(part, path)
    except (RuntimeError, OSError) as error:
        part.unlink(missing_ok=True)
        raise RuntimeError(
            f"{path.name} was not made, its {len(frames)} frames stay in {folder}: install ffmpeg "
            f"(`pip install imageio-ffmpeg`), then `make animations` films them ({error})"
        ) from error
    return path


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    newest = max((frame.stat().st_mtime for frame in source.glob("*.png")), default=0)
    if target.exists() and newest <= target.stat().st_mtime:
        target.touch()
    else:
        print(film(source, target))
