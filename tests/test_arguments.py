"""The check of signatures: which calls are refused, in which words, and what functions stay in spite of it."""

import contextlib
import copy
import inspect
import os
import pickle
import subprocess
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, fork, forking
from jaxtyping import Float, Int
from torch import Tensor, nn

import chromae
from chromae import color, latents, losses, metrics, pens, training
from chromae.arguments import check, checked, gave, takes, unchecked
from chromae.arguments.kinds import Count, Device, Part, Positive
from chromae.arguments.networks import Coder
from chromae.datasets import sprites
from chromae.figures import pages
from chromae.models.color_autoencoder import ColorAutoencoder, color_map
from chromae.models.photos import Residual

RGB = torch.full((6, 3), 0.5)


@pytest.fixture
def here():
    """`here(function)`: the function of this test, checked."""
    return checked


def refused(call: Callable, *parts: str, error: type[Exception] = ValueError) -> None:
    with pytest.raises(error, match=r"^[^\n]+$") as raised:
        call()
    for part in parts:
        assert part in str(raised.value), str(raised.value)


def test_shape_that_does_not_go_with_another():
    refused(
        lambda: losses.mse(RGB, RGB[:, :1]),
        "losses.mse: target is a tensor of float32 of shape (6, 1), expected Float[Tensor, '*shape']",
        "(prediction has shape (6, 3))",
    )


@pytest.mark.parametrize(
    ("value", "came", "error"),
    [
        (RGB.long(), "a tensor of int64 of shape (6, 3)", ValueError),
        (RGB[:, :2], "a tensor of float32 of shape (6, 2)", ValueError),
        (RGB.numpy(), "a array of float32 of shape (6, 3)", ValueError),
        (RGB.tolist(), "a list of list, list, list, list, list, …", TypeError),
        (None, "None", TypeError),
        ("red", "str 'red'", TypeError),
        ([1, 2], "list [1, 2]", TypeError),
    ],
    ids=["dtype", "shape", "array", "lists", "None", "word", "list"],
)
def test_what_came_and_what_was_expected(value, came, error):
    refused(lambda: color.rgb_to_hsl(value), f"rgb_to_hsl: rgb is {came}, expected Float[Tensor, '*n 3']", error=error)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: latents.linear(RGB[0], RGB[1], -1), "latents.linear: steps is int -1, expected int of 0 or more"),
        (lambda: losses.info_nce(RGB, RGB, 0.0), "temperature is float 0.0, expected float above 0"),
        (lambda: metrics.neighbors(RGB, k=0), "metrics.neighbors: k is int 0, expected int of 1 or more"),
        (lambda: color_map(ColorAutoencoder(), size=0), "size is int 0, expected int of 1 or more"),
    ],
)
def test_numbers_out_of_range(call, words):
    refused(call, words)


def test_true_is_no_number():
    refused(lambda: latents.linear(RGB[0], RGB[1], True), "steps is bool True", error=TypeError)


def test_a_model_that_cannot_do_what_is_asked():
    refused(lambda: metrics.embed(nn.Linear(3, 3), RGB), "model is Linear", "Module with encode", error=TypeError)


def test_every_item_of_a_sequence_counts(here):
    @here
    def total(numbers: Sequence[int], names: Mapping[str, int], pair: tuple[int, str] = (1, "a")) -> int:
        return sum(numbers)

    assert total([1, 2, 3], {"a": 1}) == 6
    for _ in range(20):  # not only one at random
        refused(lambda: total([1] * 50 + ["x"] + [1] * 40, {}), "numbers is list", error=TypeError)
        refused(lambda: total([], dict.fromkeys("abcdef", 1) | {"g": "x"}), "names is dict", error=TypeError)
    refused(lambda: total([], {}, (1, 2)), "pair is tuple (1, 2)", error=TypeError)


def test_a_word_is_no_sequence_of_words(here):
    @here
    def joined(words: Sequence[str]) -> str:
        return " ".join(words)

    refused(lambda: joined("red"), "words is str 'red', expected Sequence[str]", error=TypeError)


def test_several_arguments_and_named_ones(here):
    @here
    def total(*numbers: int, **named: float) -> float:
        return sum(numbers) + sum(named.values())

    assert total(1, 2, a=0.5, b=1) == 4.5
    refused(lambda: total(1, "x"), "numbers[1] is str 'x', expected int", error=TypeError)
    refused(lambda: total(1, a="x"), "named['a'] is str 'x', expected float", error=TypeError)


def test_arguments_that_are_missing_or_too_many():
    refused(lambda: losses.mse(RGB), "losses.mse: missing a required argument: 'target'", error=TypeError)
    refused(lambda: losses.mse(RGB, RGB, RGB), "losses.mse: too many positional arguments", error=TypeError)
    refused(lambda: losses.mse(RGB, RGB, weight=1), "losses.mse: got an unexpected keyword", error=TypeError)


def test_fields_of_named_tuples():
    made = sprites.factors(4, torch.Generator())
    refused(
        lambda: sprites.draw(made._replace(radius=made.radius[:2]), 16),
        "sprites.draw: shapes.radius is a tensor",
    )
    refused(lambda: sprites.draw(made._replace(kind=made.color), 16), "shapes.kind is a tensor of float32")
    axes = pages.Axes("mse", "many", 0.0, 1.0, 0.1, "limit")
    pictures = {"a": np.zeros((16, 16, 3), np.uint8)}
    refused(lambda: pages.frame(pictures, [], axes), "axes.steps is str 'many', expected int", error=TypeError)


def test_named_tuples_in_a_list():
    plot = pens.plot(
        torch.arange(2).repeat(8, 4), RGB[:2] * torch.tensor([[1.0], [0.2]]), page=(40.0, 40.0), margin=5.0
    )
    wrong = plot._replace(layers=[plot.layers[0]._replace(color=(2.0, 0.0, 0.0))])
    refused(lambda: pens.rasterise(wrong, 16), "plot.layers[0].color is tuple (2.0, 0.0, 0.0)", error=TypeError)


def test_numbers_of_numpy_become_those_of_python(here):
    @here
    def kind(number: float, several: Sequence[int] = ()) -> str:
        return f"{type(number).__name__} {[type(it).__name__ for it in several]}"

    assert kind(np.float64(0.5), (np.int64(1), 2)) == "float ['int', 'int']"
    assert kind(np.float32(1)) == "float []"
    assert metrics.embed(ColorAutoencoder(), RGB, rows=np.int64(2)).shape == (6, 2)


def test_functions_that_take_something_else(here):
    @here
    def twice(function: Callable[[int, int], int]) -> int:
        return function(1, 2)

    assert twice(lambda a, b: a + b) == 3
    assert twice(max) == 2
    refused(lambda: twice(lambda a: a), "function is function", "expected Callable[[int, int], int]", error=TypeError)
    assert takes(lambda *all_: 0, 7)
    assert not takes(lambda one: 0, 2)


def test_what_a_callers_function_gives_is_named():
    model = ColorAutoencoder()
    model.encode = lambda x: x[:2]
    refused(
        lambda: metrics.active_units(model, RGB), "model.encode gave a tensor of float32 of shape (2, 3)", "'n *code'"
    )
    assert gave("it", 1, int) == 1
    refused(lambda: gave("it", "x", int), "it gave str 'x', expected int")


def test_a_return_annotation_that_is_wrong_is_named(here):
    @here
    def half(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return x[:, :1]

    refused(
        lambda: half(RGB), "half returned a tensor of float32 of shape (6, 1)", "(x has shape (6, 3))", error=TypeError
    )


def test_tensors_that_lie_apart_or_differ_in_precision():
    refused(
        lambda: losses.mse(RGB, RGB.to("meta")), "losses.mse: target is on meta, expected the device of prediction, cpu"
    )
    refused(lambda: losses.info_nce(RGB, RGB.double()), "positive is of float64, expected that of anchor, float32")
    refused(
        lambda: ColorAutoencoder()(RGB.double()), "ColorAutoencoder.encode: rgb is of float64, expected that of self"
    )
    assert metrics.retrieval(RGB + torch.eye(6, 3), torch.zeros(6, dtype=torch.int64), k=2) == 1


def test_what_a_model_cannot_read_is_named():
    with pytest.raises(
        ValueError, match=r"Residual.decode: z has shape \(2, 4\), which this Residual cannot read"
    ) as error:
        Residual(3, 4).decode(torch.rand(2, 4))
    assert isinstance(error.value.__cause__, RuntimeError)


def test_other_errors_go_through(here):
    @here
    def broken(x: Float[Tensor, "n"]) -> None:
        raise RuntimeError("my own")

    with pytest.raises(RuntimeError, match=r"^my own$"):
        broken(torch.ones(2))


def test_methods_and_wrapped_functions():
    refused(
        lambda: ColorAutoencoder().encode(RGB[:, :2]),
        "color_autoencoder.ColorAutoencoder.encode: rgb is a tensor",
    )
    refused(lambda: ColorAutoencoder(latent=0), "ColorAutoencoder.__init__: latent is int 0, expected int of 1 or more")
    refused(
        lambda: metrics.embed(ColorAutoencoder(), [0.5]), "metrics.embed: images is list", error=TypeError
    )  # no_grad
    refused(lambda: color.delta_e(RGB, RGB[:2]), "color.delta_e: other is a tensor")  # in_float32
    refused(lambda: chromae.files.replacing(5), "files.replacing: path is int 5", error=TypeError)  # contextmanager


def test_a_generator_is_checked_when_it_is_called(here):
    @here
    def count(n: Count) -> Iterator[int]:
        yield from range(n)

    assert list(count(2)) == [0, 1]
    refused(lambda: count(0), "n is int 0")

    @here
    @contextlib.contextmanager
    def block(n: Count) -> Iterator[int]:
        yield n

    with block(3) as inside:
        assert inside == 3
    refused(lambda: block("x"), "n is str 'x'", error=TypeError)


def test_kinds_in_unions(here):
    @here
    def one(
        size: Count | None = None, place: torch.device | Device = "cpu", part: Part = 0.5, lr: Positive = 1
    ) -> None:
        return None

    one(3, torch.device("cpu"), 1, np.float32(2))
    refused(lambda: one(0), "size is int 0, expected")
    refused(lambda: one(place="nonsense"), "place is str 'nonsense', expected", "of a device")
    refused(lambda: one(part=1.5), "part is float 1.5, expected float from 0 to 1")
    refused(lambda: one(lr=float("inf")), "lr is float inf, expected float above 0")


def test_unchecked_block():
    with unchecked():
        with pytest.raises(RuntimeError):
            latents.linear(RGB[0], RGB[1], -1)
        assert gave("it", "x", int) == "x"
    refused(lambda: latents.linear(RGB[0], RGB[1], -1), "steps")


def test_fit_checks_its_first_step_alone():
    seen = []

    def objective(model, batch):
        seen.append(not check._paused)
        return losses.reconstruction(model, batch)

    training.fit(ColorAutoencoder(), RGB, objective, epochs=2, batch_size=2)
    assert seen == [True, False, False, False, False, False]
    assert not check._paused


def test_switched_off(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from chromae import latents, metrics; import torch\n"
        "assert not hasattr(latents.linear, '__wrapped__')\n"
        "assert metrics.psnr(0.01) == 20\n"
        "latents.linear(torch.zeros(2), torch.ones(2), -1)"
    )
    environment = os.environ | forking(ROOT / "src") | {"CHROMAE_CHECK": "off"}
    done = subprocess.run(fork(str(script)), env=environment, capture_output=True, text=True)
    assert "number of steps must be non-negative" in done.stderr
    assert "RuntimeError" in done.stderr


def test_functions_stay_what_they_were():
    for function in (losses.mse, color.rgb_to_hsl, metrics.embed, sprites.draw):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy(function) is function
        assert function.__doc__
        assert f"def {function.__name__}(" in inspect.getsource(function)
    assert list(inspect.signature(losses.mse).parameters) == ["prediction", "target"]
    assert inspect.isgeneratorfunction(inspect.unwrap(chromae.training.batches.batches))
    model = copy.deepcopy(ColorAutoencoder())
    assert torch.equal(pickle.loads(pickle.dumps(model))(RGB), model(RGB))


def test_transforms_of_torch():
    pairs = torch.rand(5, 6, 3), torch.rand(5, 6, 3)
    wanted = torch.stack([losses.mse(one, other) for one, other in zip(*pairs, strict=True)])
    assert torch.allclose(torch.func.vmap(losses.mse)(*pairs), wanted)
    slope = torch.func.grad(losses.mse)(RGB, RGB - 0.1)
    assert torch.allclose(slope, torch.full((6, 3), 0.2 / 18))


def test_compiled():
    compiled = torch.compile(lambda a, b: losses.mse(color.rgb_to_oklab(a), b), backend="eager", fullgraph=True)
    assert torch.allclose(compiled(RGB, RGB), losses.mse(color.rgb_to_oklab(RGB), RGB))


def test_only_what_the_package_defines_is_checked():
    assert not hasattr(torch.nn.functional.mse_loss, "__wrapped__")
    for module in (losses, metrics, color):
        for name, it in vars(module).items():
            if isinstance(it, types.FunctionType) and it.__module__ == module.__name__:
                assert hasattr(it, "__wrapped__"), name


class Named(NamedTuple):
    labels: Int[Tensor, " n"]


def test_annotated_models(here):
    @here
    def use(model: Coder, labels: Named | None = None) -> None:
        return None

    use(ColorAutoencoder())
    refused(lambda: use(nn.Linear(1, 1)), "model is Linear", "Module with encode and decode", error=TypeError)
    refused(lambda: use(ColorAutoencoder(), Named(RGB)), "labels.labels is a tensor of float32")
