"""Shapes: their pictures against Pillow's, their factors within bounds, their files."""

import math
import os
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from chromae import files
from chromae.__main__ import main
from chromae.color import rgb_to_hsv
from chromae.datasets import sprites

FINE = 16  # Pillow's pixels to one of ours, each way


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def drawn_by_pillow(made, size, scale=FINE):
    """The first of some shapes, drawn by Pillow `scale` times as large and averaged."""
    kind, radius, angle = sprites.KINDS[made.kind[0]], made.radius[0].item(), made.angle[0].item()
    x, y = made.center[0].tolist()
    ground, color = (tuple((255 * part[0]).tolist()) for part in (made.background, made.color))
    mask = Image.new("L", (size * scale, size * scale))
    draw = ImageDraw.Draw(mask)

    def place(distance, direction):
        """Pillow's coordinates name pixels' centres, half a pixel from their corners."""
        return (
            (x + distance * math.cos(direction)) * size * scale - 0.5,
            (y - distance * math.sin(direction)) * size * scale - 0.5,
        )

    def disc(distance, fill):
        left, top, right, bottom = ((c + s * distance) * size * scale - 0.5 for s in (-1, 1) for c in (x, y))
        draw.ellipse((left, top, right, bottom), fill=fill)

    if kind in ("circle", "ring"):
        disc(radius, 255)
        if kind == "ring":
            disc(radius / 2, 0)
    else:
        tip = {"triangle": math.pi / 3, "square": math.pi / 4, "star": 0.0, "cross": 0.0}[kind]
        if kind == "star":
            inner = radius * math.cos(2 * math.pi / 5) / math.cos(math.pi / 5)
            corners = [(inner if k % 2 else radius, angle + tip + k * math.pi / 5) for k in range(10)]
        elif kind == "cross":
            offset = math.atan2(1, 3)
            notch = radius * math.sqrt(2) / math.sqrt(10)
            corners = []
            for k in range(4):
                turn = angle + k * math.pi / 2
                corners += [(radius, turn - offset), (radius, turn + offset), (notch, turn + math.pi / 4)]
        else:
            sides = {"triangle": 3, "square": 4}[kind]
            corners = [(radius, angle + tip + 2 * math.pi * k / sides) for k in range(sides)]
        draw.polygon([place(*corner) for corner in corners], fill=255)
    covered = np.asarray(mask, float).reshape(size, scale, size, scale).mean((1, 3)) / 255
    return np.array(ground)[:, None, None] / 255 + covered * (np.array(color) - np.array(ground))[:, None, None] / 255


@pytest.mark.parametrize("kind", sprites.KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_pictures_are_pillows(kind, seed):
    """As near to Pillow at 16 × 16 samples a pixel as that is to the truth."""
    made = sprites.factors(1, seeded(seed), kinds=[kind])
    ours = sprites.draw(made, 64)[0].double().numpy()
    theirs = drawn_by_pillow(made, 64)
    assert np.square(ours - theirs).mean() < 4e-5
    coarse = drawn_by_pillow(made, 64, scale=4)
    assert np.square(ours - theirs).mean() < np.square(coarse - theirs).mean() + 2e-5


@given(st.integers(0, 10_000), st.lists(st.sampled_from(sprites.KINDS), min_size=1), st.integers(8, 40))
@hypothesis_settings(max_examples=30)
def test_shapes_lie_inside_their_images(seed, kinds, size):
    made = sprites.factors(6, seeded(seed), kinds=kinds)
    images = sprites.draw(made, size)
    assert images.shape == (6, 3, size, size)
    assert images.dtype == torch.float32
    assert 0 <= images.min() <= images.max() <= 1
    assert {sprites.KINDS[kind] for kind in made.kind} <= set(kinds)
    larger = sprites.draw(made._replace(center=(made.center + 0.5) / 2, radius=made.radius / 2), 2 * size)
    outside = torch.ones(2 * size, 2 * size, dtype=torch.bool)
    image = slice((size - 1) // 2 - 1, (3 * size) // 2 + 2)  # and a pixel more, where a star's soft tip may end
    outside[image, image] = False
    ground = made.background[:, :, None, None].expand_as(larger)
    torch.testing.assert_close(larger[..., outside], ground[..., outside])


def test_a_seed_fixes_factors_and_pictures_and_chunks_do_not_matter():
    made, again = (sprites.factors(50, seeded(3), kinds=sprites.KINDS) for _ in range(2))
    images = sprites.draw(made, 32)
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))
    assert torch.equal(images, sprites.draw(again, 32))
    alone = sprites.draw(sprites.chosen(made, slice(17, 18)), 32)
    torch.testing.assert_close(images[17:18], alone)


def test_accelerators_draw_the_same_pictures_without_counting_kinds():
    made = sprites.factors(60, seeded(4), kinds=sprites.KINDS)
    drawn = sprites._draw_all(made, torch.empty(60, 3, 32, 32))
    assert torch.equal(drawn, sprites.draw(made, 32))


def test_colors_are_looked_at_on_a_cpu_even_if_trusted():
    made = sprites.factors(2, seeded(0))
    with pytest.raises(ValueError, match=r"color has values from .* to 1.5, expected RGB"):
        sprites.draw(made._replace(color=torch.full((2, 3), 1.5)), trusted=True)


@pytest.mark.parametrize("kind", sprites.KINDS)
def test_angles_cover_a_turn_of_the_symmetry_once(kind):
    made = sprites.factors(1, seeded(0), kinds=[kind], radius=(0.3, 0.3))
    turned = made._replace(angle=made.angle + 2 * math.pi / sprites.SYMMETRY[kind])
    torch.testing.assert_close(sprites.draw(made, 48), sprites.draw(turned, 48), atol=1e-4, rtol=0)


def test_factors_are_uniform_in_their_ranges():
    made = sprites.factors(20_000, seeded(0), background=(0.2, 0.6))
    assert torch.allclose(made.kind.bincount(minlength=3) / 20_000, torch.tensor(1 / 3), atol=0.02)
    assert (made.radius.min() >= 0.12) & (made.radius.max() <= 0.35)
    assert made.radius.mean().item() == pytest.approx(0.235, abs=0.002)
    assert ((made.center - made.radius[:, None]) >= -1e-6).all()
    assert ((made.center + made.radius[:, None]) <= 1 + 1e-6).all()
    assert made.background.min() >= 0.2
    assert made.background.max() <= 0.6
    assert made.color.amax(1).min() >= 0.6 - 1e-6


@pytest.mark.parametrize("hues", [1, 3, 8])
def test_hues_are_as_many_as_asked_and_equally_far_apart(hues):
    made = sprites.factors(500, seeded(0), hues=hues)
    found = (hues * rgb_to_hsv(made.color)[:, 0]).double()
    assert (found - found.round()).abs().max() < 1e-4
    assert set((found.round() % hues).tolist()) == set(range(hues))


def test_colors_stay_in_range_at_the_edges_of_the_cube():
    """A picture is a mixture of two colours: rounding must not carry it beyond them, or `fit` would refuse it."""
    levels = torch.tensor([0.0, 1e-9, 0.1, 0.3, 0.7, 1 - 2**-24, 1.0])
    color, ground = torch.cartesian_prod(levels, levels).T
    made = sprites.factors(len(color), seeded(0))
    made = made._replace(color=color[:, None].expand(-1, 3), background=ground[:, None].expand(-1, 3))
    images = sprites.draw(made, 32)
    assert images.min() >= 0
    assert images.max() <= 1


def test_the_command_saves_what_it_is_told(tmp_path):
    assert main(["shapes", str(tmp_path / "set"), "2"]) == 0
    names = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert names == ["00000.png", "00001.png", "factors.npz"]


def test_files_hold_pictures_and_factors(tmp_path):
    made = sprites.factors(3, seeded(0), kinds=["star"])
    sprites.save(made, tmp_path / "set", size=32)
    images = sprites.draw(made, 32)
    for number in range(3):
        picture = np.asarray(Image.open(tmp_path / "set" / f"{number:05d}.png"), float) / 255
        assert np.abs(picture.transpose(2, 0, 1) - images[number].numpy()).max() <= 0.5 / 255 + 1e-6
    with np.load(tmp_path / "set" / "factors.npz") as file:
        names = file["latents_names"].tolist()
        assert file["latents_values"].shape == (3, len(names))
        assert file["latents_values"][:, names.index("radius")] == pytest.approx(made.radius.numpy())
        assert file["kinds"][file["latents_classes"]].tolist() == ["star"] * 3


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_interrupted_set_is_resumed(tmp_path, monkeypatch):
    made, whole, broken = sprites.factors(600, seeded(0)), tmp_path / "whole", tmp_path / "broken"
    sprites.save(made, str(whole), size=8)
    drawn, draw_bytes = [], sprites.draw_bytes

    def interrupted(some, size):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(len(some.kind))
        return draw_bytes(some, size)

    with monkeypatch.context() as patch:
        patch.setattr(sprites, "draw_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sprites.save(made, broken, size=8)
    assert not (broken / "factors.npz").exists()
    (broken / f".00599-{files.host()}-99999999.part").write_bytes(b"half")  # of one that was killed
    (broken / "00511.png").unlink()
    drawn.clear()
    monkeypatch.setattr(
        sprites, "draw_bytes", lambda some, size: drawn.append(len(some.kind)) or draw_bytes(some, size)
    )
    sprites.save(made, broken, size=8)
    assert drawn == [256, 88], "what is there is not drawn again"
    assert contents(broken) == contents(whole)


@pytest.mark.parametrize("size", [8, 16])
def test_another_set_takes_the_place_of_the_one_before(tmp_path, size):
    """Nothing of the earlier one is left, of whatever seed and size it was; what else lies there stays."""
    alone, folder = tmp_path / "alone", tmp_path / "folder"
    sprites.save(sprites.factors(2, seeded(1)), alone, size=8)
    sprites.save(sprites.factors(5, seeded(0)), folder, size=size)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="size is 7"):
        sprites.save(sprites.factors(2, seeded(1)), folder, size=7)
    assert len(contents(folder)) == 7
    sprites.save(sprites.factors(2, seeded(1)), folder, size=8)
    assert contents(folder) == contents(alone) | {"notes.txt": b"mine"}


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_two_sets_saved_at_once_do_not_mix(tmp_path, monkeypatch, capsys):
    few, many, folder = sprites.factors(2, seeded(0)), sprites.factors(5, seeded(1)), tmp_path / "set"
    sprites.save(many, tmp_path / "alone", size=8)
    other, draw_bytes = threading.Thread(target=sprites.save, args=(many, folder, 8)), sprites.draw_bytes

    def slow(some, size):
        if len(some.kind) == 2:
            other.start()
            other.join(0.3)
        return draw_bytes(some, size)

    monkeypatch.setattr(sprites, "draw_bytes", slow)
    sprites.save(few, folder, size=8)
    other.join()
    assert contents(folder) == contents(tmp_path / "alone")
    assert f"another process is writing to {folder}: waiting for it" in capsys.readouterr().out


def test_only_what_ended_processes_of_this_machine_left_is_removed(tmp_path):
    """Where there are no locks, others may still be writing."""
    writers = [(host, process) for host in (files.host(), "0a1b2c3d") for process in (os.getppid(), 99999999)]
    parts = [f".00000-{host}-{process}.part" for host, process in writers]
    for name in (*parts, ".0.part"):
        (tmp_path / name).write_bytes(b"half")
    sprites.save(sprites.factors(1, seeded(0)), tmp_path, size=8)
    assert sorted(contents(tmp_path)) == sorted([parts[0], *parts[2:], ".0.part", "00000.png", "factors.npz"])


def test_other_pictures_are_not_taken_for_shapes(tmp_path):
    alone = tmp_path / "alone"
    sprites.save(sprites.factors(2, seeded(1)), alone, size=8)
    for name in ("00001.png", "00009.png"):
        (tmp_path / name).write_bytes(b"mine")
    sprites.save(sprites.factors(2, seeded(1)), tmp_path, size=8)
    assert (tmp_path / "00001.png").read_bytes() == (alone / "00001.png").read_bytes()
    assert (tmp_path / "00009.png").read_bytes() == b"mine"


def test_bad_input_is_one_sentence():
    made = sprites.factors(2, seeded(0))
    with pytest.raises(ValueError, match="size is 7, expected 8 pixels or more"):
        sprites.draw(made, 7)
    with pytest.raises(ValueError, match="kinds is empty"):
        sprites.factors(2, seeded(0), kinds=[])
    with pytest.raises(ValueError, match="kinds holds 'hexagon', expected some of triangle"):
        sprites.factors(2, seeded(0), kinds=["circle", "hexagon"])
    with pytest.raises(ValueError, match=r"color has values from .* to 1.5, expected RGB"):
        sprites.draw(made._replace(color=torch.full((2, 3), 1.5)))
    with pytest.raises(ValueError, match=r"radius is \(0.4, 0.6\)"):
        sprites.factors(2, seeded(0), radius=(0.4, 0.6))
    with pytest.raises(ValueError, match="hues is 0, expected 1 or more, or None for any"):
        sprites.factors(2, seeded(0), hues=0)
    with pytest.raises(ValueError, match=r"background is \(0.5, 0.2\)"):
        sprites.factors(2, seeded(0), background=(0.5, 0.2))
