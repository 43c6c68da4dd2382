"""Own photos: every mode and rotation that a file may have, broken files, tiles there and back."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chromae.datasets import own

COLORS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [128, 128, 128], [255, 255, 255]]], np.uint8)


def saved(folder, image, name="photo.png", **options):
    image.save(folder / name, **options)
    return own.read(folder / name)


def test_rgb_is_kept_to_the_bit(tmp_path):
    picture = saved(tmp_path, Image.fromarray(COLORS))
    assert picture.dtype == torch.float32
    assert torch.equal((255 * picture).round().byte(), torch.from_numpy(COLORS).permute(2, 0, 1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16", "CMYK", "F"])
@pytest.mark.parametrize("level", [0, 255])
def test_every_mode_becomes_rgb(tmp_path, mode, level):
    image = Image.new("L", (5, 3), level)
    if mode == "I;16":
        image = Image.fromarray(np.full((3, 5), 257 * level, np.uint16))
    picture = saved(tmp_path, image if mode == "I;16" else image.convert(mode), "photo.tif")
    assert picture.shape == (3, 3, 5)
    assert torch.equal(picture, torch.full((3, 3, 5), level / 255))


def test_sixteen_bits_keep_more_than_eight_levels(tmp_path):
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    picture = saved(tmp_path, Image.fromarray(ramp))
    assert len(picture[0].unique()) == 1024


def test_transparency_lies_on_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    assert saved(tmp_path, image)[:, 0].T.tolist() == [[1, 1, 1], [1, 0, 0]]
    indexed = Image.new("P", (2, 1), 0)
    indexed.putpalette([0, 0, 255, 0, 255, 0])
    indexed.putpixel((1, 0), 1)
    assert saved(tmp_path, indexed, "indexed.png", transparency=0)[:, 0].T.tolist() == [[1, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_says_which_way_is_up(tmp_path, orientation):
    upright = Image.fromarray(COLORS)
    ways = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    stored = upright.transpose(Image.Transpose[ways[orientation]]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert torch.equal(saved(tmp_path, stored, exif=exif), saved(tmp_path, upright, "upright.png"))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "no format"), (b"not a picture", "no format"), (None, "No such file")]
)
def test_no_picture_is_one_sentence(tmp_path, content, reason):
    path = tmp_path / "broken.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"broken.jpg could not be read as a picture: .*{reason}") as raised:
        own.read(path)
    assert "\n" not in str(raised.value)


def test_a_cut_off_file_is_one_sentence(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"photo.png could not be read as a picture: .*truncated"):
        own.read(path)


@pytest.mark.parametrize(
    "name", ["photo.png", "photo.jpg", "photo.gif", "photo.tif", "photo.bmp", "photo.webp", "photo.dds"]
)
def test_whatever_is_wrong_with_a_file_it_is_one_sentence(tmp_path, name):
    """Cut off anywhere, any bits flipped: a picture or a ValueError that names the file."""
    path, rng = tmp_path / name, np.random.default_rng(0)
    exif = {"exif": Image.Exif()} if name.endswith(("png", "jpg", "webp")) else {}
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(path, **exif)
    whole, told = path.read_bytes(), []
    for turn in range(60):
        content = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 200 if turn % 2 else len(whole)), 3).tolist():
            content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content if turn % 3 else whole[: int(rng.integers(len(whole)))])
        try:
            with warnings.catch_warnings(action="ignore"):
                assert own.read(path).isfinite().all()
        except ValueError as error:
            told.append(str(error))
    assert len(told) > 10
    assert not [text for text in told if not text.startswith(f"{path} could not be read as a picture: ")]
    assert not [text for text in told if "\n" in text]


def test_a_format_that_pillow_knows_only_in_part_is_one_sentence(tmp_path):
    path = tmp_path / "photo.dds"
    Image.fromarray(COLORS).save(path)
    content = bytearray(path.read_bytes())
    content[80:84] = bytes(4)  # of which kind its pixels are
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"photo.dds could not be read as a picture: Unknown pixel format"):
        own.read(path)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 33))
def test_tiles_there_and_back(height, width, size):
    picture = torch.rand(2, height, width)
    parts = own.tiles(picture, size)
    assert parts.shape == (-(-height // size) * -(-width // size), 2, size, size)
    assert torch.equal(own.untile(parts, height, width), picture)


def test_a_tile_is_a_square_of_the_picture():
    picture = torch.arange(48.0).view(1, 6, 8)
    assert torch.equal(own.tiles(picture, 3)[4], picture[:, 3:6, 3:6])
    assert torch.equal(own.tiles(picture, 3)[2, 0, :, 2], picture[0, :3, 7])  # beyond the edge: the last column
