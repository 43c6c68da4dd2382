"""Frames and films: what is filmed is what was drawn, and nothing good is lost when filming fails."""

import contextlib
import io
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from chromae import files
from chromae.__main__ import main
from chromae.figures import frames, pages, previews
from chromae.models.color_autoencoder import ColorAutoencoder, color_map

COUNT = 24
PATCHES = [(0, 255, 0), (255, 0, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (0, 0, 0)]
SQUARE = 4
AXES = pages.Axes("test MSE", COUNT, 0.02, 0.08, 1 / 36, "linear limit 1/36")
ENDED = 99999999  # no process has this id
EXECUTABLE = imageio_ffmpeg.get_ffmpeg_exe()
no_scripts = pytest.mark.skipif(os.name == "nt", reason="the encoder's stand-in is a shell script")


@pytest.fixture(autouse=True, scope="module")
def _ends_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "HOLD", 0)
        yield


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
        images.append(pages.frame(pictures, [values, values[::-1]], AXES, zoom=1))
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
    """Six frames of noise, more than a pipe holds, in tmp_path/few, as a run leaves them."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "few"
    folder.mkdir()
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


@contextlib.contextmanager
def full_disk():
    """No file grows beyond 100 bytes inside the block."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def flat(level: int) -> np.ndarray:
    return np.full((32, 32, 3), level, np.uint8)


def levels(folder: Path) -> list[int]:
    """The greys of flat frames, in the order of their names."""
    return [int(np.asarray(Image.open(path))[0, 0, 0]) for path in sorted(folder.glob("*.png"))]


def test_save_keeps_every_pixel(tmp_path):
    image = patches(40)
    path = frames.save(image, tmp_path, 7)
    assert path == tmp_path / "0007.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
    assert not leftovers(tmp_path)


def test_a_run_takes_the_place_of_the_one_before_when_it_is_filmed(tmp_path):
    place = tmp_path / "new" / "clip"
    for number in (1, 2, 3):
        first = frames.save(flat(number), frames.clear(place) if number == 1 else first.parent, number)
    frames.film(first.parent, tmp_path / "film.mp4")
    for name in ("0002.png.part", "notes.txt"):
        (place / name).touch()
    again = frames.clear(place)
    frames.save(flat(9), again, 1)
    assert levels(place) == [1, 2, 3], "until it is filmed, the earlier run's frames are there"
    frames.film(again, tmp_path / "film.mp4")
    assert levels(place) == [9]
    assert sorted(path.name for path in place.iterdir()) == ["0001.png", "fps", "notes.txt"]
    assert [path.name for path in place.parent.iterdir()] == ["clip"]


def test_pictures_that_no_run_made_stay(tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    for name in ("holiday.png", "beach.jpg", "7.png"):
        (place / name).write_bytes(name.encode())
    run = frames.clear(place)
    frames.save(flat(9), run, 1)
    film = frames.film(run, tmp_path / "film.mp4")
    kept = ["0001.png", "7.png", "beach.jpg", "fps", "holiday.png"]
    assert sorted(path.name for path in place.iterdir()) == kept
    before = film.read_bytes()
    film.unlink()
    assert frames.film_again(place, film)
    assert film.read_bytes() == before, "what no run made is not filmed"
    assert (place / "holiday.png").read_bytes() == b"holiday.png"


def test_runs_of_one_clip_at_once_never_mix(tmp_path):
    place, count = tmp_path / "clip", 4

    def run(level: int) -> None:
        for _ in range(5):
            folder = frames.clear(place)
            for number in range(1, count + 1):
                frames.save(flat(level), folder, number)
            assert levels(folder) == [level] * count
            assert frames.settle(folder) == place

    failed = []
    threading.excepthook, before = lambda hooked: failed.append(hooked.exc_value), threading.excepthook
    threads = [threading.Thread(target=run, args=[level]) for level in (50, 150, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threading.excepthook = before
    assert not failed
    assert levels(place) in ([level] * count for level in (50, 150, 250))
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_an_interrupted_run_keeps_its_frames_until_its_process_has_ended(tmp_path):
    place = tmp_path / "clip"
    mine, other = frames.clear(place), tmp_path / f".other-{files.host()}-{ENDED}-0a1b2c3d"
    others = tmp_path / f".clip-{files.host()}-{ENDED}-0a1b2c3d"
    frames.save(flat(1), mine, 1)
    frames.save(flat(2), others, 1)
    frames.save(flat(3), other, 1)
    new = frames.clear(str(place))
    assert levels(mine) == [1]
    assert not others.exists(), "its process lives no more"
    assert sorted(tmp_path.iterdir()) == sorted([mine, new, other])


def test_frames_of_another_machine_stay_for_its_process_ids_say_nothing_here(tmp_path, monkeypatch):
    place = tmp_path / "clip"
    with monkeypatch.context() as there:
        there.setattr(os, "getpid", lambda: ENDED)
        here = frames.clear(place)
        there.setattr(files.platform, "node", lambda: "another machine")
        theirs = frames.save(flat(1), frames.clear(place), 1).parent
    frames.clear(place)
    assert not here.exists()
    assert levels(theirs) == [1]


@pytest.mark.parametrize(("renames", "level"), [(1, 1), (2, 1), (3, 2)])
def test_a_kill_between_renames_loses_neither_frames_nor_notes(tmp_path, monkeypatch, renames, level):
    """The earlier frames give way, the notes move, the new frames take the place: a kill may come after each."""
    place, rename, done = tmp_path / "clip", Path.rename, []
    frames.save(flat(1), place, 1)
    (place / "notes.txt").write_text("mine")

    def killed(path, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(rename(path, target))

    def at_the_end(*given, **how):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: ENDED)
        folder = frames.clear(place)
        frames.save(flat(2), folder, 1)
        patch.setattr(Path, "rename", killed)
        patch.setattr(frames.shutil, "rmtree", at_the_end)
        with pytest.raises(KeyboardInterrupt):
            frames.settle(folder)
    new = frames.clear(place)
    assert levels(place) == [level]
    assert (place / "notes.txt").read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == sorted([place, new])


def test_notes_in_what_a_killed_run_left_do_not_replace_those_in_its_place(tmp_path):
    place, left = tmp_path / "clip", tmp_path / f".clip-{files.host()}-{ENDED}-0a1b2c3d"
    for folder, notes in ((place, "new"), (left, "old")):
        frames.save(flat(1), folder, 1)
        (folder / "notes.txt").write_text(notes)
    (left / "more.txt").write_text("more")
    frames.clear(place)
    assert {path.name: path.read_text() for path in place.glob("*.txt")} == {"notes.txt": "new", "more.txt": "more"}
    assert (left / "notes.txt").read_text() == "old"


def test_frames_that_change_while_they_are_filmed_make_no_film(few, tmp_path, monkeypatch):
    other, pipe = frames.clear(few), frames._pipe
    frames.save(flat(1), other, 1)
    monkeypatch.setattr(frames, "_pipe", lambda *given: (pipe(*given), other.exists() and frames.settle(other)))
    with pytest.raises(ValueError, match="few was given other frames while it was filmed"):
        frames.encode(few, tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


def test_a_file_in_the_folders_place_is_left_alone(tmp_path):
    (tmp_path / "clip").write_text("mine")
    with pytest.raises(OSError, match="clip"):
        frames.clear(tmp_path / "clip")
    assert (tmp_path / "clip").read_text() == "mine"


def test_paths_may_be_strings(tmp_path):
    folder = frames.clear(str(tmp_path / "clip"))
    frames.save(flat(1), str(folder), 1)
    assert frames.film(str(folder), str(tmp_path / "new" / "film.mp4")) == tmp_path / "new" / "film.mp4"
    assert b"moov" in atoms(tmp_path / "new" / "film.mp4")


def test_frames_are_filmed_in_the_order_of_their_numbers(tmp_path):
    folder, shades = tmp_path / "clip", {9998: 40, 9999: 90, 10000: 140, 10001: 190}
    folder.mkdir()
    for number, level in shades.items():
        frames.save(flat(level), folder, number)
    path = frames.film(folder, tmp_path / "film.mp4")
    seen = iio.imread(path).mean((1, 2, 3))
    assert len(seen) == 4
    assert (np.diff(seen) > 20).all()


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
    top, left = pages.TITLE, pages.MARGIN
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
    top, left = pages.TITLE, 2 * pages.MARGIN + 200
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


def test_a_preview_is_the_film_in_small(films, tmp_path):
    """Every second frame, at half the pace, without end, and looking like the film's."""
    film = films["odd"]
    path = previews.preview(str(film.path), str(tmp_path / "new" / "preview.webp"), width=101)
    with Image.open(path) as image:
        assert (image.format, image.n_frames, image.size, image.info["loop"]) == ("WEBP", COUNT // 2, (101, 76), 0)
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            assert image.info["duration"] == round(2000 / 24)
            wanted = Image.fromarray(film.images[2 * number][:150, :200]).resize((100, 75), Image.Resampling.BOX)
            shown = np.asarray(image.convert("RGB"))[:75, :100].astype(int)
            assert np.abs(shown - np.asarray(wanted)).mean() < 6
    assert not leftovers(tmp_path)


def test_a_preview_shows_the_end_as_slowly_as_asked(films, tmp_path):
    film = films["odd"]
    with Image.open(previews.preview(film.path, tmp_path / "end.webp", every=1, last=3, fps=3)) as image:
        assert image.n_frames == 3
        for number, wanted in enumerate(film.images[-3:]):
            image.seek(number)
            image.load()
            assert image.info["duration"] == 333
            wanted = Image.fromarray(wanted).resize(image.size)
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - np.asarray(wanted)).mean() < 8


@pytest.mark.parametrize("content", [None, b"", b"no film"])
def test_a_preview_of_no_film_is_one_sentence(tmp_path, content):
    path, earlier = tmp_path / "film.mp4", tmp_path / "preview.webp"
    earlier.write_bytes(b"earlier")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"film\.mp4 could not be read as a film \(.+\)$") as caught:
        previews.preview(path, earlier)
    assert "\n" not in str(caught.value)
    assert earlier.read_bytes() == b"earlier"


def test_no_frames_names_the_folder(tmp_path):
    folder = frames.clear(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=re.escape(str(folder))):
        frames.film(folder, tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


@pytest.fixture
def no_ffmpeg(tmp_path, monkeypatch):
    """A machine without any ffmpeg."""
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    monkeypatch.setattr(imageio_ffmpeg, "__file__", str(tmp_path / "nowhere" / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(tmp_path / "nowhere" / "ffmpeg"))


def test_a_film_that_cannot_be_made_does_not_end_the_run(tmp_path, no_ffmpeg, capsys):
    place, path = tmp_path / "clip", tmp_path / "film.mp4"
    path.write_bytes(b"earlier")
    folder = frames.clear(place)
    frames.save(flat(7), folder, 1)
    assert frames.film(folder, path) == path
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    for part in (
        "film.mp4 was not made",
        f"stay in {place}",
        f"`python -m chromae film {place} {path}`",
        "imageio-ffmpeg",
    ):
        assert part in told
    assert path.read_bytes() == b"earlier"
    assert levels(place) == [7]
    assert not leftovers(tmp_path)


def test_the_command_tells_of_a_film_that_cannot_be_made(few, tmp_path, no_ffmpeg):
    done = command(few, tmp_path / "film.mp4")
    assert done.returncode == 1
    assert "film.mp4 was not made, its 6 frames stay" in done.stderr
    assert "Traceback" not in done.stderr


def test_ffmpegs_are_tried_in_their_order(monkeypatch):
    monkeypatch.setattr(frames.shutil, "which", lambda name: f"/system/{name}")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/named/ffmpeg")
    named, carried, system = frames._encoders()
    assert (named, system) == ("/named/ffmpeg", "/system/ffmpeg")
    assert Path(carried).parent == Path(imageio_ffmpeg.__file__).parent / "binaries"
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    assert frames._encoders() == [carried, system]


def test_a_broken_frame_is_named(few, tmp_path):
    path = few / "0003.png"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"0003\.png could not be read as a picture") as caught:
        frames.film(few, tmp_path / "film.mp4")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "film.mp4").exists()
    assert not leftovers(tmp_path)


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
def test_failed_encode_keeps_the_earlier_film(few, tmp_path, no_ffmpeg, monkeypatch, capsys, body):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", stand_in(tmp_path, f"PATH=/bin:/usr/bin; {body}"))
    earlier = tmp_path / "film.mp4"
    earlier.write_bytes(b"earlier")
    assert frames.film(few, earlier) == earlier
    assert re.fullmatch(r"film\.mp4 was not made.* ended with status 1, it gave no reason\)\n", capsys.readouterr().out)
    assert earlier.read_bytes() == b"earlier"
    assert len(list(few.glob("*.png"))) == 6
    assert not leftovers(tmp_path)


@no_scripts
@pytest.mark.parametrize("broken", ["head -c 1000 >/dev/null; echo Unknown encoder libx264 >&2; exit 1", None])
def test_the_next_ffmpeg_is_tried(few, tmp_path, monkeypatch, capsys, broken):
    missing = tmp_path / "none" / "ffmpeg"
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", stand_in(tmp_path, broken) if broken else str(missing))
    frames.film(few, tmp_path / "film.mp4")
    assert b"moov" in atoms(tmp_path / "film.mp4")
    assert capsys.readouterr().out == ""


def test_frames_of_two_sizes_keep_the_earlier_film(few, tmp_path):
    frames.save(patches(40), few, 7)
    earlier = tmp_path / "film.mp4"
    earlier.write_bytes(b"earlier")
    with pytest.raises((RuntimeError, ValueError)):
        frames.film(few, earlier)
    assert earlier.read_bytes() == b"earlier"
    assert not leftovers(tmp_path)


def test_full_disk_names_the_frame(tmp_path):
    image = patches(40)
    before = [frames.save(image, tmp_path, number).read_bytes() for number in (1, 2)]
    with full_disk(), pytest.raises(OSError, match=r"frame 3 was not written \(File too large\)") as caught:
        frames.save(image, tmp_path, 3)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.png", "0002.png"]
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before


def test_full_disk_keeps_the_frame_of_an_earlier_run(tmp_path):
    path = frames.save(patches(40), tmp_path, 1)
    before = path.read_bytes()
    with full_disk(), pytest.raises(OSError, match="frame 1 was not written"):
        frames.save(255 - patches(40), tmp_path, 1)
    assert path.read_bytes() == before


def command(*arguments: object) -> SimpleNamespace:
    """What `python -m chromae film` prints and returns, without a new process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["film", *map(str, arguments)])
    return SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue(), returncode=status)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [((), "required: FOLDER, FILM.mp4"), (("a folder",), "required: FILM.mp4"),
     (("a folder", "film.mp4", "12"), "unrecognized arguments: 12")],
)  # fmt: skip
def test_the_command_says_what_it_wants(arguments, wanted):
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"python -m chromae[^\n]*{wanted}; see `[^\n]*\n", done.stderr)


def test_the_command_names_a_folder_without_frames(tmp_path):
    done = command(tmp_path / "none", tmp_path / "film.mp4")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"no frames (*.png) in {tmp_path / 'none'} to make film.mp4 of")


def test_the_command_tells_of_frames_and_films_that_are_none(tmp_path, few):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"earlier")
    done = command(tmp_path / "none", film)
    assert (done.returncode, done.stdout) == (0, f"no frames (*.png) in {tmp_path / 'none'}: {film} stays as it is\n")
    assert film.read_bytes() == b"earlier"
    done = command(few, tmp_path)
    assert (done.returncode, done.stderr) == (1, f"{tmp_path} is a folder, expected a film or a free name\n")


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


def test_filming_does_without_torch(few, tmp_path):
    """The command, too: it would take seconds longer to begin, for every film of many."""
    code = (
        "import sys, chromae.__main__ as it; status = it.main(sys.argv[1:]); "
        "print(status, sorted({'torch', 'chromae.figures.frames'} & set(sys.modules)))"
    )
    asked = [sys.executable, "-c", code, "film", few, tmp_path / "film.mp4"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 ['chromae.figures.frames']"
    assert b"moov" in atoms(tmp_path / "film.mp4")


def test_a_film_stays_on_its_last_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "HOLD", 1)
    for number in (1, 2):
        frames.save(np.full((40, 60, 3), 100 * number, np.uint8), tmp_path, number)
    shown = iio.imread(frames.film(tmp_path, tmp_path / "film.mp4", fps=5))
    assert len(shown) == 2 + 5
    assert abs(shown[1:].mean() - 200) < 3


def test_a_strip_shows_four_frames_from_the_first_to_the_last(tmp_path):
    folder = tmp_path / "frames"
    for number in range(12):
        frames.save(np.full((40, 60, 3), 20 * number, np.uint8), folder, number + 1)
    film = frames.film(folder, tmp_path / "film.mp4", fps=6)
    with Image.open(io.BytesIO(previews.strip(film, width=240))) as image:
        assert image.size == (240, 160)  # in two rows
        shades = np.asarray(image)[40::80, 60::120].mean(2)
    assert np.abs(shades - 20 * np.array([[0, 4], [7, 11]])).max() < 15
    with Image.open(io.BytesIO(previews.strip(film, count=3, width=180))) as image:
        assert image.size == (180, 40)  # no even number: in one row
    with Image.open(io.BytesIO(previews.strip(film, count=1, width=60))) as image:
        assert abs(np.asarray(image).mean() - 220) < 15
    high = frames.clear(tmp_path / "high")
    for number in range(4):
        frames.save(np.full((60, 40, 3), 20 * number, np.uint8), high, number + 1)
    with Image.open(io.BytesIO(previews.strip(frames.film(high, tmp_path / "high.mp4"), width=160))) as image:
        assert image.size == (160, 60)  # high ones: side by side
    with pytest.raises(ValueError, match="could not be read as a film"):
        previews.strip(tmp_path / "none.mp4")
