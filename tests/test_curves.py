"""Space-filling curves: every point once, each beside the next; colours and pixels, forth and back."""

import numpy as np
import pytest

from chromae.color import curves

SMALL = [(bits, axes) for axes in (2, 3) for bits in range(1, 5)]


def skilling(index, bits, axes):
    """A point of Hilbert's curve by J. Skilling's algorithm (AIP Conf. Proc. 707, 2004), one at a time."""
    x = [0] * axes
    for bit in range(bits * axes):  # the index's bits, the highest first, go around the axes
        x[bit % axes] = x[bit % axes] << 1 | index >> (bits * axes - 1 - bit) & 1
    last = x[axes - 1] >> 1
    for axis in range(axes - 1, 0, -1):
        x[axis] ^= x[axis - 1]
    x[0] ^= last
    q = 2
    while q < 1 << bits:
        for axis in range(axes - 1, -1, -1):
            if x[axis] & q:
                x[0] ^= q - 1
            else:
                swap = (x[0] ^ x[axis]) & (q - 1)
                x[0] ^= swap
                x[axis] ^= swap
        q <<= 1
    return x


@pytest.mark.parametrize(("bits", "axes"), SMALL)
@pytest.mark.parametrize("curve", [curves.hilbert, curves.morton])
def test_a_curve_meets_every_point_once_from_the_origin_on(curve, bits, axes):
    points = curve(bits, axes).astype(int)
    assert points.shape == (2 ** (bits * axes), axes)
    assert points.min() == 0
    assert points.max() == 2**bits - 1
    assert len(np.unique(points, axis=0)) == len(points)
    assert not points[0].any()


@pytest.mark.parametrize(("bits", "axes"), [*SMALL, (8, 2), (6, 3)])
def test_hilbert_steps_to_a_neighbor_and_ends_beside_the_origin(bits, axes):
    points = curves.hilbert(bits, axes).astype(int)
    assert (np.abs(np.diff(points, axis=0)).sum(1) == 1).all()
    assert sorted(points[-1]) == [0] * (axes - 1) + [2**bits - 1]


@pytest.mark.parametrize(("bits", "axes"), [(1, 2), (4, 2), (5, 2), (1, 3)])
def test_hilbert_is_skillings_curve_but_for_the_names_of_the_axes(bits, axes):
    points, expected = curves.hilbert(bits, axes), [skilling(i, bits, axes) for i in range(2 ** (bits * axes))]
    columns = {tuple(column) for column in points.T.tolist()}
    assert columns == {tuple(column) for column in np.array(expected).T.tolist()}


def test_every_cube_of_a_hilbert_curve_is_filled_before_it_goes_on():
    cubes = curves.hilbert(6, 3).reshape(-1, 8**3, 3)
    assert (np.ptp(cubes.astype(int), axis=1) == 7).all()


def test_morton_interleaves_bits():
    points = curves.morton(3, 2)
    index = np.arange(64)
    for bit in range(3):
        assert (points[:, 0] >> bit & 1 == index >> 2 * bit & 1).all()
        assert (points[:, 1] >> bit & 1 == index >> 2 * bit + 1 & 1).all()


@pytest.mark.parametrize("pixel_curve", [curves.hilbert, curves.morton])
@pytest.mark.parametrize("color_curve", [curves.hilbert, curves.morton])
def test_every_color_is_found_again_and_every_pixel(color_curve, pixel_curve):
    colors, pixels = color_curve(4, 3), pixel_curve(6, 2)
    picture, places = curves.picture(colors, pixels), curves.places(colors, pixels)
    red, green, blue = np.indices((16, 16, 16))
    assert (picture[places[..., 1], places[..., 0]] == np.stack([red, green, blue], -1)).all()
    row, column = np.indices((64, 64))
    assert (places[tuple(np.moveaxis(picture, -1, 0))] == np.stack([column, row], -1)).all()


def test_levels_round_to_the_nearest_of_256():
    assert curves.levels(np.array([[0, 0.5, 1], [1 / 255, 0.4 / 255, 0.6 / 255]])).tolist() == [
        [0, 128, 255],
        [1, 0, 1],
    ]
    assert curves.levels(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("rgb", [[-0.01, 0, 0], [0, 1.2, 0], [0, np.nan, 0]])
def test_a_color_outside_of_the_cube_has_no_levels(rgb):
    with pytest.raises(ValueError, match=r"^rgb runs from .*, expected colours in \[0, 1\]$"):
        curves.levels(np.array([rgb]))


@pytest.mark.parametrize("bits", [0, 9, 17, -1])
def test_bits_out_of_range_are_named(bits):
    with pytest.raises(ValueError, match=rf"^bits is {bits}, expected 1 to 8 for 3 axes$"):
        curves.hilbert(bits, 3)


@pytest.mark.parametrize("axes", [0, 1, 4])
def test_other_axes_are_named(axes):
    with pytest.raises(ValueError, match=rf"^axes is {axes}, expected 2 or 3$"):
        curves.morton(2, axes)


def test_a_curve_of_other_bits_than_its_array_is_one_sentence():
    for make in (curves.picture, curves.places):
        with pytest.raises(
            ValueError, match=r"^pixels are 1024, expected as many as colors, 4096: curves of equal bits$"
        ):
            make(curves.hilbert(4, 3), curves.hilbert(5, 2))
    with pytest.raises(ValueError, match=r"^pixels are 8 from 0 to 1, expected a whole square$"):
        curves.picture(curves.hilbert(1, 3), curves.hilbert(1, 3)[:, :2])
    with pytest.raises(ValueError, match=r"expected a whole cube"):
        curves.places(curves.hilbert(4, 3) * np.uint8(2), curves.hilbert(6, 2))
