"""Fetched data: cache, official source, mirror, checksums, and what the user is told when nothing works."""

import errno
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from chromae import datasets
from chromae.datasets import downloads


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


def test_a_file_is_asked_for_its_checksums_once_in_every_state(known, monkeypatch, tmp_path):
    use(monkeypatch, official)
    downloads.load("mnist", tmp_path)
    path, asked, digest = tmp_path / "mnist.npz", [], downloads._digest
    monkeypatch.setattr(downloads, "_digest", lambda array: asked.append(1) or digest(array))
    for _ in range(2):
        check_equal(downloads.load("mnist", tmp_path))
    assert len(asked) == 4
    before = path.stat()
    np.savez(path, **tampered(None))  # as large, and of as long ago
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with pytest.raises(ValueError, match="does not hold the published arrays"):
        downloads.load("mnist", tmp_path)


@pytest.mark.parametrize("first", [official, offline, tampered], ids=["official", "offline", "tampered"])
def test_the_first_source_that_gives_the_published_set_is_taken_and_kept(known, monkeypatch, tmp_path, first):
    use(monkeypatch, first, mirror)
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


def test_any_bit_may_flip_and_any_end_be_missing(known, monkeypatch, tmp_path):
    """Whatever happens to a file of ours, the published arrays come back and the broken file is kept beside."""
    use(monkeypatch, official)
    downloads.load("mnist", tmp_path)
    path = tmp_path / "mnist.npz"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    table = range(len(whole) - 500, len(whole), 23)  # the archive's, which its own sums do not cover
    shorter = whole.index(b"PK\x01\x02") + 32  # a bit here makes the table look as if it ended early
    for place in [*rng.integers(0, len(whole), 8).tolist(), shorter, *table]:
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        for broken in (bytes(content), whole[:place]):
            path.write_bytes(broken)
            check_equal(downloads.load("mnist", tmp_path))
            if path.read_bytes() != broken:  # a date's bit harms nobody
                assert (tmp_path / "mnist.npz.broken").read_bytes() == broken


def keras(folder):
    """The archive of this name that Keras keeps."""
    arrays = small()
    np.savez(folder / "mnist.npz", x_train=arrays["train_images"], y_train=arrays["train_labels"])


def other(folder):
    """One with our names, but other pictures."""
    np.savez(folder / "mnist.npz", **{name: np.zeros((2, 28, 28), np.uint8) for name in small()})


@pytest.mark.parametrize("write", [keras, other])
def test_another_programs_file_is_left_alone(known, monkeypatch, tmp_path, write):
    use(monkeypatch, official)
    write(tmp_path)
    before = (tmp_path / "mnist.npz").read_bytes()
    with pytest.raises(ValueError, match=r"mnist\.npz is whole, but does not hold the published arrays.*CHROMAE_DATA"):
        downloads.load("mnist", tmp_path)
    assert (tmp_path / "mnist.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.npz"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_a_file_that_may_not_be_read_is_reported_and_stays(known, monkeypatch, tmp_path, number):
    use(monkeypatch, official)
    downloads.load("mnist", tmp_path)

    def refuse(*given, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(OSError, match=rf"mnist\.npz could not be read \({os.strerror(number)}\)") as caught:
            downloads.load("mnist", tmp_path)
    assert caught.value.errno == number
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.npz"]


def test_a_set_that_cannot_be_kept_says_so(known, monkeypatch, tmp_path):
    def full(*given, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    use(monkeypatch, official)
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"mnist was fetched, but not kept \(No space left on device\)"):
        downloads.load("mnist", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_an_unknown_set_is_named(tmp_path):
    with pytest.raises(ValueError, match="name is 'fashion', expected one of mnist, cifar10"):
        downloads.load("fashion", tmp_path)


@pytest.mark.parametrize(
    "error",
    [tarfile.ReadError("not a gzip file"), StopIteration(), json.JSONDecodeError("no", "", 0), KeyError("labels"),
     EOFError("cut"), Image.DecompressionBombError("huge"), TimeoutError("timed out"), SyntaxError("broken PNG"),
     subprocess.TimeoutExpired("npm", 900), AttributeError("none")],
    ids=repr,
)  # fmt: skip
def test_whatever_ends_a_source_the_next_is_tried(known, monkeypatch, tmp_path, error):
    def failing(temp):
        """the first source"""
        raise error

    def lacking(temp):
        """the second source"""
        return {"train_images": small()["train_images"]}

    use(monkeypatch, failing, lacking, mirror)
    check_equal(downloads.load("mnist", tmp_path))
    (tmp_path / "mnist.npz").unlink()
    use(monkeypatch, failing, lacking)
    with pytest.raises(ConnectionError, match="the first source failed") as caught:
        downloads.load("mnist", tmp_path)
    assert type(error).__name__ in str(caught.value)
    assert "the second source gave other train_labels, test_images, test_labels than published" in str(caught.value)


def test_an_interrupt_is_no_failed_source(known, monkeypatch, tmp_path):
    def interrupted(temp):
        """the official source"""
        raise KeyboardInterrupt

    use(monkeypatch, interrupted, mirror)
    with pytest.raises(KeyboardInterrupt):
        downloads.load("mnist", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def server(monkeypatch):
    """torchvision's mirror of MNIST, which answers as `server.answer` says; None stalls after a few bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            content = self.server.answer
            self.send_header("Content-Length", str(len(content or b"") + 1000 * (content is None)))
            self.end_headers()
            self.wfile.write(content or b"half")
            if content is None:
                self.server.over.wait(8)

        do_HEAD = do_GET

        def log_message(self, *given):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.over = True, threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield server
        server.over.set()
        server.shutdown()


@pytest.mark.parametrize("answer", [b"<html>Log in to this network</html>", b"", b"\x1f\x8b" + bytes(500)])
def test_other_bytes_than_the_published_lead_to_the_next_source(known, monkeypatch, tmp_path, server, answer):
    server.answer = answer
    use(monkeypatch, downloads._official_mnist, mirror)
    check_equal(downloads.load("mnist", tmp_path))
    (tmp_path / "mnist.npz").unlink()
    use(monkeypatch, downloads._official_mnist)
    with pytest.raises(ConnectionError, match="the official source failed"):
        downloads.load("mnist", tmp_path)


def test_a_download_that_stalls_ends(known, monkeypatch, tmp_path, server):
    server.answer = None
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3, raising=False)
    use(monkeypatch, downloads._official_mnist, mirror)
    before = time.monotonic()
    check_equal(downloads.load("mnist", tmp_path))
    assert time.monotonic() - before < 4
    assert downloads.socket.getdefaulttimeout() is None


def archive(path, *members):
    """A .tgz of (name, type) members; files hold their own names, links lead out."""
    with tarfile.open(path, "w:gz") as packed:
        for name, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            member.size = len(name) if kind == tarfile.REGTYPE else 0
            packed.addfile(member, io.BytesIO(name.encode()))
    return path


def test_an_archive_of_files_is_unpacked(tmp_path):
    path = archive(tmp_path / "a.tgz", ("package", tarfile.DIRTYPE), ("package/data/labels", tarfile.REGTYPE))
    downloads._unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / "package" / "data" / "labels").read_text() == "package/data/labels"


@pytest.mark.parametrize(
    "members",
    [
        [("../outside", tarfile.REGTYPE)],
        [("/tmp/chromae-outside", tarfile.REGTYPE)],
        [("package/../../outside", tarfile.REGTYPE)],
        [("package/link", tarfile.SYMTYPE), ("package/link/passwd", tarfile.REGTYPE)],
        [("package/hard", tarfile.LNKTYPE)],
        [("package/pipe", tarfile.FIFOTYPE)],
    ],
    ids=str,
)
def test_an_archive_that_climbs_out_is_refused(tmp_path, members):
    folder = tmp_path / "in"
    folder.mkdir()
    path = archive(tmp_path / "a.tgz", *members)
    with pytest.raises(ValueError, match=r"a\.tgz holds '.*', expected plain files below its folder"):
        downloads._unpack(path, folder)
    assert not [file for file in tmp_path.rglob("*") if file not in (folder, path, folder / "package")]
    assert not Path("/tmp/chromae-outside").exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_of_two_that_fetch_one_waits(known, monkeypatch, tmp_path, capsys):
    fetched = []

    def slow(temp):
        """the official source"""
        fetched.append(time.sleep(0.2))
        return small()

    use(monkeypatch, slow)
    threads = [threading.Thread(target=downloads.load, args=("mnist", tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1
    assert capsys.readouterr().out.count("another process is fetching data") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.npz"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_a_killed_process_leaves_no_lock(known, monkeypatch, tmp_path):
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX); print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    holder.stdout.readline()
    use(monkeypatch, official)
    waiting = threading.Thread(target=downloads.load, args=("mnist", tmp_path))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    holder.kill()
    holder.wait()
    holder.stdin.close(), holder.stdout.close()
    waiting.join(10)
    assert (tmp_path / "mnist.npz").exists()


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
