"""Fetched data: cache, official source, mirror, checksums, and what the user is told when nothing works."""

import numpy as np
import pytest
import torch

from chromae import datasets, downloads


def small():
    """A set of the right kind, too small to be the real one."""
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (16, 28, 28), np.uint8),
        "train_labels": np.arange(16, dtype=np.uint8) % 10,
        "test_images": rng.integers(0, 256, (4, 28, 28), np.uint8),
        "test_labels": np.arange(4, dtype=np.uint8),
    }


def official(temp):
    """the official source"""
    return small()


def offline(temp):
    """the official source"""
    raise OSError("Name or service not known")


def mirror(temp):
    """the mirror"""
    return small()


def tampered(temp):
    """the official source"""
    arrays = small()
    arrays["train_images"][3, 5, 5] ^= 1
    return arrays


@pytest.fixture
def known(monkeypatch):
    """Take the small set for the published one."""
    digests = {name: downloads._digest(array) for name, array in small().items()}
    monkeypatch.setitem(downloads.DIGESTS, "mnist", digests)


def use(monkeypatch, *sources):
    monkeypatch.setitem(downloads.SOURCES, "mnist", list(sources))


def check_equal(arrays):
    for name, array in small().items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("sources", [(official, mirror), (offline, mirror), (tampered, mirror)], ids=str)
def test_the_first_source_that_gives_the_published_set_is_taken_and_kept(known, monkeypatch, tmp_path, sources):
    use(monkeypatch, *sources)
    check_equal(downloads.load("mnist", tmp_path))
    use(monkeypatch)  # from now on the cache is all there is
    check_equal(downloads.load("mnist", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.npz"]


def test_a_broken_file_is_named_moved_aside_and_fetched_again(known, monkeypatch, tmp_path, capsys):
    use(monkeypatch, official)
    downloads.load("mnist", tmp_path)
    path = tmp_path / "mnist.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1  # one bit of an image
    path.write_bytes(content)
    check_equal(downloads.load("mnist", tmp_path))
    assert "mnist.npz is broken" in capsys.readouterr().out
    assert (tmp_path / "mnist.npz.broken").read_bytes() == bytes(content)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut short"])
def test_an_unreadable_file_is_fetched_again(known, monkeypatch, tmp_path, content):
    use(monkeypatch, mirror)
    (tmp_path / "mnist.npz").write_bytes(content)
    check_equal(downloads.load("mnist", tmp_path))


def test_offline_is_one_sentence_that_says_what_to_do(known, monkeypatch, tmp_path):
    use(monkeypatch, offline, tampered)
    with pytest.raises(ConnectionError) as caught:
        downloads.load("mnist", tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert "Name or service not known" in message
    assert "gave other train_images than published" in message
    assert "make data" in message
    assert str(tmp_path / "mnist.npz") in message
    assert not list(tmp_path.iterdir())


def test_digits_are_tensors_with_a_channel(known, monkeypatch, tmp_path):
    use(monkeypatch, official)
    arrays = downloads.load("mnist", tmp_path)
    monkeypatch.setattr(downloads, "load", lambda name: arrays)
    train, test = datasets.digits()
    assert train.images.shape == (16, 1, 28, 28)
    assert (train.images.dtype, train.labels.dtype) == (torch.uint8, torch.int64)
    assert test.labels.tolist() == [0, 1, 2, 3]


def test_photos_are_split_by_seed_without_overlap(monkeypatch):
    arrays = {
        "train_images": np.arange(80, dtype=np.uint8).reshape(80, 1, 1, 1).repeat(3, 1),
        "train_labels": np.arange(80, dtype=np.uint8),
        "test_images": np.zeros((8, 3, 1, 1), np.uint8),
        "test_labels": np.zeros(8, np.uint8),
    }
    monkeypatch.setattr(downloads, "load", lambda name: arrays)
    train, validation, test = datasets.photos(seed=1)
    assert [len(part.labels) for part in (train, validation, test)] == [70, 10, 8]
    assert sorted(torch.cat([train.labels, validation.labels]).tolist()) == list(range(80))
    assert torch.equal(train.images[:, 0, 0, 0].long(), train.labels)
    assert torch.equal(datasets.photos(seed=1)[1].labels, validation.labels)
    assert not torch.equal(datasets.photos(seed=2)[1].labels, validation.labels)
