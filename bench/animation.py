"""Making a film: ours against matplotlib's animation writer."""

import tempfile
from pathlib import Path

import imageio_ffmpeg
import matplotlib.pyplot as plt
import torch
from matplotlib.animation import FFMpegWriter, FuncAnimation
from side_by_side import compare

from chromae.figures import frames, pages
from chromae.models.color_autoencoder import ColorAutoencoder, color_map

FRAMES, LIMIT = 120, 1 / 36


def animation_vs_matplotlib() -> dict:
    """A film of 120 frames, a map of 200 × 200 colours over a curve with its limit, in pixels of the same number.

    Ours: `pages.frame`, PNGs, `frames.encode`. Theirs: `FuncAnimation`, which changes one figure's data, and
    `FFMpegWriter`, with the same ffmpeg, codec and quality.
    """
    return _films(FRAMES, rounds=7)


def _films(count: int, rounds: int) -> dict:
    torch.manual_seed(0)
    maps = [color_map(ColorAutoencoder()).numpy() for _ in range(count)]
    errors = [0.02 + 0.06 / (1 + epoch / 8) for epoch in range(count)]
    axes = pages.Axes("test MSE", count, 0.02, 0.08, LIMIT, "linear limit 1/36")
    height, width, _ = pages.frame({"latent plane": maps[0]}, [errors[:1]], axes).shape

    with tempfile.TemporaryDirectory() as temp:
        folder, own, other = Path(temp) / "frames", Path(temp) / "ours.mp4", Path(temp) / "theirs.mp4"
        folder.mkdir()

        def ours() -> None:
            for epoch, picture in enumerate(maps):
                drawn = pages.frame({"latent plane": picture}, [errors[: epoch + 1]], axes)
                frames.save(drawn, folder, epoch)
            frames.encode(folder, own)

        def theirs() -> None:
            _matplotlib(maps, errors, (width // 2 * 2, height // 2 * 2), other)

        measured = compare(ours, theirs, rounds)
        made = {path: imageio_ffmpeg.count_frames_and_secs(str(path))[0] for path in (own, other)}
    expected = {own: count + frames.HOLD * frames.FPS, other: count}
    if made != expected:
        raise AssertionError(f"films have {[*made.values()]} frames, expected {[*expected.values()]}")
    return measured


def _matplotlib(maps: list, errors: list[float], size: tuple[int, int], path: Path) -> None:
    options = ["-crf", f"{frames.CRF}", "-preset", "slow", "-pix_fmt", "yuv420p"]
    with plt.rc_context({"animation.ffmpeg_path": imageio_ffmpeg.get_ffmpeg_exe()}):
        figure, (top, bottom) = plt.subplots(2, 1, figsize=(size[0] / 100, size[1] / 100), dpi=100)
        top.set_title("latent plane")
        image = top.imshow(maps[0])
        (line,) = bottom.plot([], [])
        bottom.axhline(LIMIT, linestyle="--")
        bottom.set(xlim=(0, len(maps)), ylim=(0.02, 0.08), xlabel="epoch", ylabel="test MSE")

        def draw(epoch: int) -> None:
            image.set_data(maps[epoch])
            line.set_data(range(1, epoch + 2), errors[: epoch + 1])

        writer = FFMpegWriter(fps=frames.FPS, codec="libx264", extra_args=options)
        FuncAnimation(figure, draw, frames=len(maps)).save(path, writer=writer, dpi=100)
        plt.close(figure)
