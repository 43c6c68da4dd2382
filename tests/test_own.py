"""Own photos: every mode, rotation and profile of colour that a file may have, broken files, tiles, folders."""

import shutil
import struct
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from torchvision.datasets import ImageFolder

from chromae import datasets
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
    assert len(told) > 5
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


# Profiles of colour


def display_p3() -> bytes:
    """A profile as cameras of telephones write them: Display P3, its curve a plain power, as ICC.1:2022 lays it out."""

    def fixed(*numbers):
        return b"".join(struct.pack(">i", round(65536 * number)) for number in numbers)

    def tag(kind, body):
        return kind + bytes(4) + body

    name = "P3".encode("utf-16-be")
    text = tag(b"mluc", struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(name), 28) + name)
    curve = tag(b"curv", struct.pack(">IH", 1, round(256 * 2.2)) + bytes(2))
    tags = {b"desc": text, b"cprt": text, b"wtpt": tag(b"XYZ ", fixed(0.9642, 1, 0.8249))}
    for letter, column in zip("rgb", P3_TO_XYZ.T, strict=True):
        tags[f"{letter}XYZ".encode()] = tag(b"XYZ ", fixed(*column))
        tags[f"{letter}TRC".encode()] = curve
    table, body = struct.pack(">I", len(tags)), b""
    for key, content in tags.items():
        content += bytes(-len(content) % 4)
        table += key + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s12x4s", 132 + 12 * len(tags) + len(body), b"lcms", 0x04300000, b"mntr", b"RGB ",
                       b"XYZ ", b"acsp")  # fmt: skip
    return (head + bytes(28) + fixed(0.9642, 1, 0.8249)).ljust(128, b"\0") + table + body


# Primaries under the white of profiles, D50.
P3_TO_XYZ = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
SRGB_TO_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def p3_in_srgb(values):
    """From the definition, in double precision."""
    linear = (np.array(values) / 255) ** (round(256 * 2.2) / 256) @ P3_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
@pytest.mark.parametrize("pixel", [(200, 120, 90), (128, 128, 128), (60, 70, 110), (20, 200, 40)])
def test_colors_of_a_profile_become_those_of_srgb(tmp_path, mode, pixel):
    pixel = pixel if mode != "L" else (pixel[0],) * 3
    image = Image.new("RGB", (4, 3), pixel)
    image = image.quantize() if mode == "P" else image.convert(mode)
    picture = saved(tmp_path, image, icc_profile=display_p3())
    assert picture.shape == (3, 3, 4)
    assert torch.allclose(picture[:, 1, 1].double(), torch.tensor(p3_in_srgb(pixel)), atol=1.5 / 255)
    if max(pixel) > min(pixel):
        assert abs(255 * picture[:, 1, 1] - torch.tensor(pixel)).max() > 2


def test_a_profile_counts_below_transparency_and_after_a_turn(tmp_path):
    image = Image.new("RGBA", (4, 3), (200, 120, 90, 255))
    image.putpixel((0, 0), (200, 120, 90, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = saved(tmp_path, image, icc_profile=display_p3(), exif=exif)
    assert picture.shape == (3, 4, 3)
    assert picture[:, 0, 2].tolist() == [1, 1, 1]
    assert torch.allclose(picture[:, 0, 0].double(), torch.tensor(p3_in_srgb((200, 120, 90))), atol=1.5 / 255)


def test_a_profile_of_srgb_changes_next_to_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    values = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    picture = saved(tmp_path, Image.fromarray(values), icc_profile=profile)
    assert abs(255 * picture.permute(1, 2, 0).numpy() - values).max() < 1.01


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "RGBA", "P", "1", "LA"])
@pytest.mark.parametrize("profile", [b"none", display_p3()[:200], display_p3().replace(b"RGB ", b"CMYK")])
def test_a_broken_profile_or_one_of_other_colors_counts_as_srgb(tmp_path, mode, profile):
    image = Image.new("RGB", (4, 3), (200, 120, 90)).convert(mode)
    plain = saved(tmp_path, image, "plain.tif")
    assert torch.equal(saved(tmp_path, image, "profiled.tif", icc_profile=profile), plain)


def test_heic_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # it cannot be imported
    with pytest.raises(ValueError, match=r"photo.heic could not be read as a picture: .*install pillow-heif"):
        own.read(path)


def test_heic_is_read_where_its_reader_is_installed(tmp_path, monkeypatch):
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    read = Image.new("RGB", (4, 3), "white")
    opener = SimpleNamespace(register_heif_opener=lambda: monkeypatch.setattr(Image, "open", lambda path: read))
    monkeypatch.setitem(sys.modules, "pillow_heif", opener)
    assert torch.equal(own.read(path), torch.ones(3, 3, 4))


# Folders


def fill(folder, **pictures):
    """Pictures of one grey each, by their names."""
    for name, grey in pictures.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 30), grey).save(path.with_suffix(".png"))
    return folder


def test_a_folder_without_sub_folders_is_one_class(tmp_path):
    made = datasets.folder(str(fill(tmp_path, b=20, a=10, c=30)), size=8)
    assert (made.images.shape, made.images.dtype, made.labels.dtype) == ((3, 3, 8, 8), torch.uint8, torch.int64)
    assert made.images[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert made.labels.tolist() == [0, 0, 0]


def test_sub_folders_are_classes_as_in_torchvision(tmp_path, capsys):
    fill(tmp_path, dogs__a=10, cats__z=20, cats__young__b=30, birds__c=40, stray=50)
    (tmp_path / "ants").mkdir()  # a class without pictures
    (tmp_path / ".cache").mkdir()
    shutil.copyfile(tmp_path / "stray.png", tmp_path / ".cache" / "a.png")
    made = datasets.folder(tmp_path, size=4)
    theirs = ImageFolder(str(tmp_path), is_valid_file=lambda path: ".cache" not in path, allow_empty=True)
    assert made.labels.tolist() == [1, 2, 2, 3]
    assert made.images[:, 0, 0, 0].tolist() == [40, 20, 30, 10]
    names = [name for name in theirs.classes if name != ".cache"]
    assert [names[label] for label in made.labels] == [theirs.classes[label] for _, label in theirs.samples]
    assert [int(theirs[i][0].getpixel((0, 0))[0]) for i in range(4)] == made.images[:, 0, 0, 0].tolist()
    assert capsys.readouterr().out == ""


def test_what_cannot_be_read_is_left_out_and_said_in_a_line(tmp_path, capsys):
    fill(tmp_path, a=10, c=30)
    (tmp_path / "b.txt").write_text("no picture")
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (tmp_path / ".hidden").write_text("not looked at")
    assert datasets.folder(tmp_path, size=4).images[:, 0, 0, 0].tolist() == [10, 30]
    told = f"{tmp_path}: 2 of 4 files could not be read as pictures, b.txt the first of them\n"
    assert capsys.readouterr().out == told


def test_a_folder_whose_own_name_is_hidden_is_read(tmp_path):
    assert len(datasets.folder(fill(tmp_path / ".photos", a=10), size=4).images) == 1


def test_no_folder_and_no_pictures_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"^path is '[^']*none', expected a folder of pictures$"):
        datasets.folder(tmp_path / "none")
    with pytest.raises(ValueError, match=r"^path is [^\n]*, expected a folder of pictures \(it holds no files\)$"):
        datasets.folder(tmp_path)
    (tmp_path / "a.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"^path is [^\n]* \(the first of 1: [^\n]*a.txt could not be read [^\n]*\)$"):
        datasets.folder(tmp_path)


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (41, 60), (7, 7), (1, 50)])
def test_the_middle_square_is_scaled(shape):
    """As Pillow's bicubic filter scales it, but for its rounding on the way."""
    smooth = F.interpolate(0.3 + 0.4 * torch.rand(1, 3, 5, 5), shape, mode="bicubic")[0]
    found = own.square(smooth, 20)
    image = Image.fromarray((255 * smooth).round().byte().permute(1, 2, 0).numpy())
    side = min(shape)
    left, top = (shape[1] - side) // 2, (shape[0] - side) // 2
    expected = image.crop((left, top, left + side, top + side)).resize((20, 20), Image.Resampling.BICUBIC)
    assert found.shape == (3, 20, 20)
    assert abs(found.int() - torch.from_numpy(np.array(expected)).permute(2, 0, 1).int()).max() <= 3
