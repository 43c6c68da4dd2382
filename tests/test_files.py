"""Files that are there whole or not at all."""

import pytest

from chromae import files


def half_written(path, error):
    with files.replacing(path) as part:
        part.write_text("half")
        raise error


def test_replacing_renames_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_keeps_what_was_there_when_the_block_fails(tmp_path, error):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("old")
    for path in (old, new):
        with pytest.raises(error):
            half_written(path, error)
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]
