"""Wrong arguments: one sentence that names the argument and its value, and a model left as it was."""

import math
from functools import partial

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from chromae.datasets import colors
from chromae.losses import mse, reconstruction, reconstruction_and_triplet
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.training import cosine, fit

GOOD = torch.full((6, 3), 0.5)


def weights(model):
    return parameters_to_vector(model.parameters()).detach().clone()


def check_refusal(call, model, *parts):
    """`call()` raises TypeError or ValueError, in one line that holds every one of `parts`, and changes no weight."""
    before = weights(model)
    with pytest.raises((TypeError, ValueError), match=r"^[^\n]+$") as error:
        call()
    for part in parts:
        assert part in str(error.value)
    assert torch.equal(weights(model), before)


def refuse(*parts, data=GOOD, objective=reconstruction, **options):
    model = ColorAutoencoder()
    check_refusal(partial(fit, model, data, objective, **({"epochs": 1} | options)), model, *parts)


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("batch_size", -3), ("epochs", -1), ("lr", 0), ("lr", -0.1), ("lr", math.nan)],
)
def test_numbers_out_of_range(name, value):
    refuse(f"{name} is {value}", **{name: value})


@pytest.mark.parametrize("name", ["data", "validation"])
@pytest.mark.parametrize(
    ("tensors", "parts"),
    [
        (torch.zeros(0, 3), ["(0, 3)"]),
        (torch.tensor(0.5), ["()"]),
        (torch.tensor([[0.5, 1.5, 0.0]]), ["1.5", "[0, 1]"]),
        (torch.tensor([[-0.25, 0.5, 0.0]]), ["-0.25", "[0, 1]"]),
        (torch.tensor([[math.nan, 0.5, 0.0]]), ["nan", "[0, 1]"]),
        (torch.tensor([[math.inf, 0.5, 0.0]]), ["inf", "[0, 1]"]),
        ([[0.5, 0.5, 0.5]], ["list"]),
        ((GOOD, [1, 2, 3, 4, 5, 6]), ["list"]),
        ((GOOD, torch.arange(5)), ["6", "5"]),
        (GOOD.to("meta"), ["meta", "cpu"]),
    ],
    ids=["empty", "scalar", "above", "below", "nan", "inf", "list", "list inside", "unequal", "device"],
)
def test_unfit_tensors(name, tensors, parts):
    refuse(name, *parts, **{name: tensors})


def test_empty_tuple():
    refuse("data", data=())


@pytest.mark.parametrize("value", [None, 0, -1])
def test_sample_function_without_epoch_size(value):
    refuse(f"epoch_size is {value}", data=colors, epoch_size=value)


def test_colors_of_four_channels():
    refuse("rgb", "(6, 4)", data=torch.full((6, 4), 0.5))


def test_plain_colors_for_triplets():
    refuse("batch", "(6, 3)", "n 3 d", objective=reconstruction_and_triplet)


def test_triplets_of_two():
    refuse("batch", "(6, 2, 3)", data=torch.full((6, 2, 3), 0.5), objective=reconstruction_and_triplet)


def test_prediction_of_another_shape():
    refuse("prediction", "(6, 3)", "(6, 1)", objective=lambda model, batch: {"loss": mse(model(batch), batch[:, :1])})


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 3), ("batch_size", 5), ("size", 4), ("lr", 0.5), ("clip", 1.0), ("seed", 9)]
)
def test_checkpoint_of_another_recipe(tmp_path, name, value):
    path = tmp_path / "run.pt"
    fit(ColorAutoencoder(), GOOD, reconstruction, epochs=2, checkpoint=path, schedule=cosine)
    kept = path.read_bytes()
    data, changed = (GOOD[:value], {}) if name == "size" else (GOOD, {name: value})
    same = {"epochs": 2, "schedule": cosine}
    refuse(f"{name} is {value}", str(path), data=data, checkpoint=path, **(same | changed))
    assert path.read_bytes() == kept
