"""Every public function with arguments that do not fit: a right answer, or one sentence that names what is wrong.

`fuzz.good` makes a good call of each from its signature; Hypothesis chooses what `fuzz.change` does to it. A function
that is added is called by itself; where its signature does not tell what is good, the test asks for a line there.
"""

import colorsys
import io
import math
import sys
import types
import typing
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import tally
import torch
from fuzz.change import call, changes, outcome
from fuzz.good import LEFT_OUT, LEFT_ROOMS, good, public
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chromae import color, datasets, latents, losses, metrics, settings
from chromae.datasets import downloads

if sys.platform == "win32":
    pytest.skip("Windows has no alarm to end a call that hangs", allow_module_level=True)

NAMES = dict(public())
CALLED = [name for name in NAMES if name not in LEFT_OUT and not name.startswith(LEFT_ROOMS)]
EACH = 40 if tally.nightly else 6  # calls of a function

pytestmark = pytest.mark.filterwarnings("ignore")  # `outcome` looks at them


@pytest.fixture(scope="module")
def tmp(tmp_path_factory):
    """A folder in whose place the repository seems to lie; nothing is fetched."""
    tmp = tmp_path_factory.mktemp("fuzz")
    shapes = {"images": (8, 28, 28), "labels": (8,)}
    arrays = {f"{set_}_{part}": np.zeros(shapes[part], np.uint8) for set_ in ("train", "test") for part in shapes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHROMAE_PRESET", "fast")
        patch.setenv("MPLBACKEND", "Agg")
        patch.delenv("CHROMAE_PUBLISH", raising=False)
        patch.setattr(settings, "ROOT", tmp)
        patch.setattr(downloads, "SOURCES", {"mnist": [], "cifar10": []})
        patch.setattr(downloads, "DIGESTS", {"mnist": {key: downloads._digest(it) for key, it in arrays.items()}})
        np.savez(tmp / "mnist.npz", **arrays)
        patch.setattr(datasets, "downloads", type("Fetched", (), {"load": staticmethod(lambda name: arrays)}))
        patch.chdir(tmp)
        with settings.one_thread():
            yield tmp


@pytest.mark.parametrize("name", CALLED)
def test_a_wrong_argument_is_named(name, tmp):
    function = NAMES[name]
    usual = good(name, function, tmp)
    with redirect_stdout(io.StringIO()):
        assert outcome(name, function, tmp, {}) == ("answer", "")
    choices = {key: changes(value, key) for key, value in usual.items()}
    tried = faults = 0

    @hypothesis_settings(
        max_examples=EACH, derandomize=not tally.nightly, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def call(data):
        nonlocal tried, faults
        tried += 1
        changed = data.draw(st.sets(st.sampled_from(sorted(choices)), min_size=1, max_size=2))
        what = {key: data.draw(st.sampled_from(sorted(choices[key])), label=key) for key in sorted(changed)}
        with redirect_stdout(io.StringIO()):
            kind, why = outcome(name, function, tmp, {key: choices[key][one] for key, one in what.items()})
        faults += kind == "fault"
        assert kind != "fault", f"{name} with {what}: {why}"

    if not choices:
        return
    try:
        call()
    finally:
        tally.note(fuzz_calls=tried, fuzz_inside=faults)


def kinds(hint: object) -> tuple[object, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def paths(function) -> dict[str, tuple[object, ...]]:
    """The arguments that may be paths, and what else they may be."""
    hints = typing.get_type_hints(getattr(function, "__init__", function) if isinstance(function, type) else function)
    return {key: kinds(hint) for key, hint in hints.items() if key != "return" and Path in kinds(hint)}


@pytest.mark.parametrize("name", [name for name in CALLED if paths(NAMES[name])])
def test_a_path_may_be_a_word(name, tmp):
    """Every argument that is a path for one function is one for all, and may be written as a string."""
    asked = paths(NAMES[name])
    assert all(str in others for others in asked.values())
    usual = good(name, NAMES[name], tmp)
    with redirect_stdout(io.StringIO()):
        call(name, NAMES[name], usual | {key: str(usual[key]) for key in asked if isinstance(usual[key], Path)})


def in_both(function, *arguments, **named):
    """The answers in float32 and, for the same numbers, in float64."""
    doubled = [it.double() if isinstance(it, torch.Tensor) and it.is_floating_point() else it for it in arguments]
    torch.manual_seed(0)
    single = function(*arguments, **named)
    torch.manual_seed(0)
    return single, function(*doubled, **named)


SPACES = ("rgb_to_hsl", "rgb_to_hsv", "hsv_to_rgb", "rgb_to_oklab", "oklab_to_rgb", "rgb_to_ycbcr", "ycbcr_to_rgb")
WITH_PAIRS = {
    "mse": losses.mse, "in_batch_triplet": losses.in_batch_triplet, "info_nce": losses.info_nce,
    "soft_info_nce": lambda one, other: losses.soft_info_nce(one, other, other),
    "rank_n_contrast": lambda one, other: losses.rank_n_contrast(one, other, other),
    "alignment": losses.alignment, "bernoulli": losses.bernoulli, "continuous_bernoulli": losses.continuous_bernoulli,
    "gaussian": losses.gaussian, "kl": losses.kl, "nearest_mse": metrics.nearest_mse,
    "uniformity": lambda one, _: losses.uniformity(one), "gram": lambda one, _: losses.gram(one[:, None]),
    "spikiness": lambda one, _: losses.spikiness(one),
    "mean": lambda one, _: losses.continuous_bernoulli_mean(one),
    "pca": lambda one, other: torch.tensor(list(metrics.pca_errors(one, other, [0, 1, 2]).values())),
    "line": lambda one, other: latents.linear(one[0], other[0], 5),
    "plane": lambda one, other: latents.plane(one[0], other[0], one[1], 3),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_PAIRS)
@hypothesis_settings(max_examples=EACH, derandomize=not tally.nightly, deadline=None, database=None)
@given(seed=st.integers(0, 2**32), n=st.integers(3, 9), d=st.integers(2, 6), scale=st.sampled_from([0.01, 1.0, 8.0]))
def test_answers_are_those_of_double_precision(name, seed, n, d, scale):
    one, other = scale * torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed))
    single, double = in_both(WITH_PAIRS[name], one, other)
    assert torch.allclose(single.double(), double.double(), rtol=2e-4, atol=2e-5 * max(1, scale**2))


@pytest.mark.parametrize("name", SPACES)
@hypothesis_settings(max_examples=EACH, derandomize=not tally.nightly, deadline=None, database=None)
@given(values=st.tuples(*[st.floats(0, 1, width=32)] * 3))
def test_colors_are_those_of_double_precision_and_of_colorsys(name, values):
    single, double = in_both(getattr(color, name), torch.tensor([values]))
    assert torch.allclose(single.double(), double, rtol=1e-4, atol=1e-4)
    if name == "rgb_to_hsv":
        assert double[0].tolist() == pytest.approx(colorsys.rgb_to_hsv(*map(float, np.float32(values))), abs=1e-9)
    if name == "hsv_to_rgb":
        assert double[0].tolist() == pytest.approx(colorsys.hsv_to_rgb(*map(float, np.float32(values))), abs=1e-9)


@hypothesis_settings(max_examples=5 * EACH, derandomize=not tally.nightly, deadline=None, database=None)
@given(st.floats(0, 1e6), st.floats(1e-6, 1e6))
def test_psnr_is_that_of_its_formula(mse, peak):
    wanted = math.inf if mse == 0 else 20 * math.log10(peak) - 10 * math.log10(mse)
    assert metrics.psnr(mse, peak) == pytest.approx(wanted, abs=1e-6)


def test_every_public_function_is_called_or_left_out_for_a_reason():
    assert not LEFT_OUT.keys() - NAMES.keys()
    assert len(CALLED) > 250
    assert all(LEFT_OUT.values())
