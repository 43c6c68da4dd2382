"""Frames and films: what is filmed is what was drawn, and nothing good is lost when filming fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from chromae import drawing, frames
from chromae.models.color import ColorAutoencoder, color_map

COUNT = 24
PATCHES = [(0, 255, 0), (255, 0, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (0, 0, 0)]
SQUARE = 4
AXES = drawing.Axes("test MSE", COUNT, 0.02, 0.08, 1 / 36, "linear limit 1/36")
EXECUTABLE = imageio_ffmpeg.get_ffmpeg_exe()
no_scripts = pytest.mark.skipif(os.name == "nt", reason="the encoder's stand-in is a shell script")
no_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")


@pytest.fixture(autouse=True)
def carried_ffmpeg(monkeypatch):
    """The ffmpeg that imageio-ffmpeg carries, so that every machine tests the same one."""
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", EXECUTABLE)


def patches(size: int = 200) -> np.ndarray:
    """A board of saturated squares of 4 × 4 pixels."""
    index = np.add.outer(3 * np.arange(size // SQUARE), np.arange(size // SQUARE)) % len(PATCHES)
    return np.array(PATCHES, np.uint8)[index].repeat(SQUARE, 0).repeat(SQUARE, 1)


def drawn() -> list[np.ndarray]:
    """Frames like a run's: the map of a model whose weights move, beside the board."""
    torch.manual_seed(0)
    model = ColorAutoencoder()
    values, images = [], []
    for epoch in range(COUNT):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(8 if epoch == 0 else 0.97)
        values.append(0.08 - 0.002 * epoch)
        pictures = {"map": color_map(model).numpy(), "board": patches()}
        images.append(drawing.frame(pictures, [values, values[::-1]], AXES, zoom=1))
    return images


def odd() -> list[np.ndarray]:
    """Frames of 201 × 151 pixels: a gradient that a white bar crosses."""
    red, green = np.meshgrid(np.linspace(0, 255, 201), np.linspace(0, 255, 151))
    images = [np.stack([red, green, 255 - red], -1).astype(np.uint8) for _ in range(COUNT)]
    for step, image in enumerate(images):
        image[:, 8 * step : 8 * step + 8] = 255
    return images


class Film:
    """A film made of images in `folder`, and what ffmpeg says and decodes of it."""

    def __init__(self, images: list[np.ndarray], folder: Path):
        self.images, self.folder = np.stack(images), frames.clear(folder)
        for number, image in enumerate(images, start=1):
            frames.save(image, self.folder, number)
        self.path = frames.film(self.folder, folder.with_suffix(".mp4"))
        decode = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-sws_flags", "accurate_rnd+full_chroma_int", "-"]
        done = subprocess.run([EXECUTABLE, "-i", self.path, *decode], capture_output=True, check=True)
        stream = re.search(r"Stream.*Video: (h264.*)", done.stderr.decode())
        self.stream = stream[1]
        width, height = map(int, re.search(r", (\d+)x(\d+)", self.stream).groups())
        self.decoded = np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)

    def errors(self) -> np.ndarray:
        """Absolute differences from the frames, padding left out."""
        _, height, width, _ = self.images.shape
        return np.abs(self.decoded[:, :height, :width].astype(int) - self.images)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEIO_FFMPEG_EXE", EXECUTABLE)
        return {"drawn": Film(drawn(), folder / "drawn"), "odd": Film(odd(), folder / "odd")}


@pytest.fixture
def few(tmp_path):
    """Six frames of noise, more than a pipe holds, under tmp_path/few."""
    generator = np.random.default_rng(0)
    folder = frames.clear(tmp_path / "few")
    for number in range(1, 7):
        frames.save(generator.integers(0, 256, (96, 128, 3), dtype=np.uint8), folder, number)
    return folder


def atoms(path: Path) -> list[bytes]:
    """The names of an MP4 file's top-level atoms, in order."""
    data, names, start = path.read_bytes(), [], 0
    while start < len(data):
        names.append(data[start + 4 : start + 8])
        start += int.from_bytes(data[start : start + 4], "big")
    return names


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.part*")]


def test_save_keeps_every_pixel(tmp_path):
    image = patches(40)
    path = frames.save(image, tmp_path, 7)
    assert path == tmp_path / "0007.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
    assert not leftovers(tmp_path)


def test_clear_removes_earlier_frames_only(tmp_path):
    folder = tmp_path / "new" / "frames"
    assert frames.clear(folder) == folder
    for name in ("0001.png", "0002.png.part", "notes.txt"):
        (folder / name).touch()
    frames.clear(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("name", "size"), [("drawn", (448, 360)), ("odd", (202, 152))])
def test_film_has_every_frame_and_an_even_size(films, name, size):
    film = films[name]
    count, height, width, _ = film.decoded.shape
    assert (count, width, height) == (COUNT, *size)
    assert re.search(r"\b24 fps\b", film.stream)


@pytest.mark.parametrize("name", ["drawn", "odd"])
def test_film_is_tagged(films, name):
    # One name stands for all three where primaries, transfer and matrix agree.
    assert "yuv420p(tv, bt709" in films[name].stream
    assert not re.search(r"bt709/|/bt709|unknown", films[name].stream)


@pytest.mark.parametrize("name", ["drawn", "odd"])
def test_film_starts_before_it_is_loaded(films, name):
    names = atoms(films[name].path)
    assert names.index(b"moov") < names.index(b"mdat")


def test_smooth_map_keeps_its_colors(films):
    top, left = drawing.TITLE, drawing.MARGIN
    errors = films["drawn"].errors()[:, top : top + 200, left : left + 200]
    assert films["drawn"].images[0, top : top + 200, left : left + 200].std() > 30
    assert errors.mean((1, 2)).max() <= 3


@pytest.mark.parametrize(
    "color",
    PATCHES,
    ids=str,
)
def test_saturated_squares_keep_their_colors(films, color):
    # At an edge two colours share a chroma sample, whatever the encoder does: the rim of a square is left out.
    top, left = drawing.TITLE, 2 * drawing.MARGIN + 200
    film = films["drawn"]
    board = film.errors()[:, top : top + 200, left : left + 200].reshape(COUNT, 50, SQUARE, 50, SQUARE, 3)
    inside = board[:, :, 1:-1, :, 1:-1].transpose(0, 1, 3, 2, 4, 5)
    here = (patches()[1::SQUARE, 1::SQUARE] == color).all(-1)
    assert here.sum() > 300
    assert inside[:, here].mean() <= 3


def test_moving_gradient_keeps_its_colors(films):
    assert films["odd"].errors()[:, :150, :200].mean((1, 2)).max() <= 3


def test_odd_frame_keeps_its_last_row_and_column(films):
    # Their brightness: the colour of an edge is shared with the padding.
    weights = [0.2126, 0.7152, 0.0722]
    film = films["odd"]
    errors = np.abs(film.decoded[:, :151, :201] @ weights - film.images @ weights)
    assert errors[:, -1].mean() <= 5
    assert errors[:, :, -1].mean() <= 5


@pytest.mark.parametrize("name", ["drawn", "odd"])
def test_film_is_the_same_twice(films, name, tmp_path):
    again = frames.film(films[name].folder, tmp_path / "again.mp4")
    assert again.read_bytes() == films[name].path.read_bytes()
    assert not leftovers(tmp_path)


def test_no_frames_names_the_folder(tmp_path):
    folder = frames.clear(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=re.escape(str(folder))):
        frames.film(folder, tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


def test_missing_ffmpeg_says_how_to_install_it(few, tmp_path, monkeypatch):
    def missing() -> str:
        raise RuntimeError(
            "No ffmpeg exe could be found. Install ffmpeg on your system, "
            "or set the IMAGEIO_FFMPEG_EXE environment variable."
        )

    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    monkeypatch.setattr(frames.shutil, "which", lambda name: None)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    earlier = tmp_path / "film.mp4"
    earlier.write_bytes(b"earlier")
    with pytest.raises(RuntimeError, match="pip install imageio-ffmpeg") as caught:
        frames.film(few, earlier)
    assert "\n" not in str(caught.value)
    assert str(few) in str(caught.value)
    assert earlier.read_bytes() == b"earlier"
    assert len(list(few.glob("*.png"))) == 6
    assert not leftovers(tmp_path)


def test_ffmpeg_of_the_system_comes_first(few, tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "")  # so that what film sets is undone after the test
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    monkeypatch.setattr(frames.shutil, "which", lambda name: str(tmp_path / "none" / name))
    with pytest.raises(RuntimeError, match="none"):
        frames.film(few, tmp_path / "film.mp4")


def stand_in(folder: Path, body: str) -> str:
    """A script that takes ffmpeg's place; $out is the file that it was asked to write."""
    path = folder / "ffmpeg"
    path.write_text(f'#!/bin/sh\nfor out; do :; done\necho half >"$out"\n{body}\n')
    path.chmod(0o755)
    return str(path)


@no_scripts
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("head -c 1000 >/dev/null; exit 1", id="at once"),
        pytest.param("cat >/dev/null; exit 1", id="at the end"),
    ],
)
def test_failed_encode_keeps_the_earlier_film(few, tmp_path, monkeypatch, body):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", stand_in(tmp_path, body))
    earlier = tmp_path / "film.mp4"
    earlier.write_bytes(b"earlier")
    with pytest.raises(RuntimeError, match=r"film\.mp4 was not made"):
        frames.film(few, earlier)
    assert earlier.read_bytes() == b"earlier"
    assert len(list(few.glob("*.png"))) == 6
    assert not leftovers(tmp_path)


@no_scripts
def test_failed_encode_is_told_in_one_sentence(few, tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", stand_in(tmp_path, "head -c 1000 >/dev/null; exit 1"))
    with pytest.raises(RuntimeError) as caught:
        frames.film(few, tmp_path / "film.mp4")
    assert "\n" not in str(caught.value)


def test_frames_of_two_sizes_keep_the_earlier_film(few, tmp_path):
    frames.save(patches(40), few, 7)
    earlier = tmp_path / "film.mp4"
    earlier.write_bytes(b"earlier")
    with pytest.raises((RuntimeError, ValueError)):
        frames.film(few, earlier)
    assert earlier.read_bytes() == b"earlier"
    assert not leftovers(tmp_path)


@no_full_disk
def test_full_disk_names_the_frame(tmp_path):
    image = patches(40)
    before = [frames.save(image, tmp_path, number).read_bytes() for number in (1, 2)]
    (tmp_path / "0003.png.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="frame 3 was not written") as caught:
        frames.save(image, tmp_path, 3)
    assert "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Path("/dev/full").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.png", "0002.png"]
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before


@no_full_disk
def test_full_disk_keeps_the_frame_of_an_earlier_run(tmp_path):
    path = frames.save(patches(40), tmp_path, 1)
    before = path.read_bytes()
    (tmp_path / "0001.png.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="frame 1 was not written"):
        frames.save(255 - patches(40), tmp_path, 1)
    assert path.read_bytes() == before


def command(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "chromae.frames", *map(str, arguments)], capture_output=True, text=True, check=True
    )


def test_command_makes_a_missing_film(few, tmp_path):
    path = tmp_path / "film.mp4"
    assert str(path) in command(few, path).stdout
    assert b"moov" in atoms(path)


def test_command_makes_the_same_film_again(few, tmp_path):
    path = frames.film(few, tmp_path / "film.mp4", fps=12)
    first = path.read_bytes()
    path.unlink()
    command(few, path)
    assert path.read_bytes() == first


def test_command_leaves_a_newer_film_alone(few, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"earlier")
    for frame in few.iterdir():
        os.utime(frame, (1000, 1000))
    os.utime(path, (2000, 2000))
    assert command(few, path).stdout == ""
    assert path.read_bytes() == b"earlier"
    assert path.stat().st_mtime > 2000, "make would ask for it again"


def test_command_remakes_an_older_film(few, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"earlier")
    os.utime(path, (2000, 2000))
    command(few, path)
    assert b"moov" in atoms(path)


def test_filming_does_without_torch():
    code = "import sys, chromae.frames; print(sorted({'torch', 'chromae.frames'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['chromae.frames']"
