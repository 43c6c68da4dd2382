"""`fit`: what it computes, what it logs, and how it stops."""

import contextlib
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn.utils import parameters_to_vector
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm import tqdm

from chromae import settings
from chromae.arguments import check
from chromae.datasets import colors
from chromae.losses import mse, reconstruction
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.training import cosine, fit, one_cycle, progress

FREEZING = 1e-30  # a learning rate that moves no weight


def make(**sizes) -> ColorAutoencoder:
    torch.manual_seed(7)
    return ColorAutoencoder(**sizes)


def weights(model):
    return parameters_to_vector(model.parameters()).detach().clone()


def some_colors(n=10, seed=0):
    return colors(n, torch.Generator().manual_seed(seed))


def recorder(seen, objective=reconstruction):
    """An objective that also keeps every batch."""

    def record(model, batch):
        seen.append(batch)
        return objective(model, batch)

    return record


def spy(look, base=torch.optim.SGD):
    """An optimiser class that calls `look(optimizer)` before every step."""

    class Spy(base):
        def step(self):
            look(self)
            super().step()

    return Spy


def breaks(at, how, error=None):
    """A reconstruction objective that goes wrong at its call number `at`."""
    calls = 0

    def objective(model, batch):
        nonlocal calls
        calls += 1
        terms = reconstruction(model, batch)
        if calls == at and how == "loss":
            terms["loss"] = terms["loss"] * math.nan
        if calls == at and how == "weight":  # adds 0 to the loss and infinity to a gradient
            weight = model.decoder.weight
            terms["loss"] = terms["loss"] + (weight - weight.detach())[0, 0].sqrt()
        if calls == at and how == "raise":
            raise error
        return terms

    return objective


# Bits


@pytest.mark.parametrize("sizes", [{}, {"hidden": (128, 128)}], ids=["tiny", "large"])
@pytest.mark.parametrize("data", [some_colors(50), colors], ids=["tensor", "sample"])
def test_same_seed_same_bits(sizes, data):
    runs = []
    for seed in (3, 3, 4):
        model = make(**sizes)
        history = fit(model, data, reconstruction, epochs=2, batch_size=20, epoch_size=50, seed=seed)
        runs.append((weights(model), history))
    assert torch.equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not torch.equal(runs[0][0], runs[2][0])


def test_same_seed_same_bits_with_a_random_objective():
    def noisy(model, batch):
        return {"loss": mse(model(batch + 0.1 * torch.randn_like(batch)), batch)}

    models = [make(), make()]
    for model in models:
        torch.randn(3)  # what was drawn before does not matter
        fit(model, some_colors(), noisy, epochs=2, batch_size=4)
    assert torch.equal(weights(models[0]), weights(models[1]))


@pytest.mark.parametrize(("steps", "sizes"), [(125, {}), (10, {"hidden": (128, 128)})], ids=["tiny", "large"])
def test_parity_with_a_bare_loop(steps, sizes):
    model, bare, batches = make(**sizes), make(**sizes), []
    fit(model, some_colors(2 * steps), recorder(batches), epochs=2, batch_size=2, lr=0.01)
    assert len(batches) == 2 * steps
    optimizer = torch.optim.Adam(bare.parameters(), lr=0.01, fused=True)
    for batch in batches:
        optimizer.zero_grad()
        nn.functional.mse_loss(bare(batch), batch).backward()
        optimizer.step()
    assert torch.equal(weights(model), weights(bare))


def test_least_squares_reaches_its_closed_form():
    x = some_colors(40).double()
    y = (x @ torch.tensor([0.2, 0.5, 0.1]).double() + 0.1 * some_colors(40, seed=1)[:, 0]).clamp(0, 1)[:, None]
    design = torch.cat([x, torch.ones(40, 1).double()], dim=1)
    exact = torch.linalg.lstsq(design, y).solution[:, 0]
    model = nn.Linear(3, 1).double()
    momentum = partial(torch.optim.SGD, momentum=0.9)
    fit(model, (x, y), lambda m, b: {"loss": mse(m(b[0]), b[1])}, epochs=800, batch_size=40, lr=0.3, optimizer=momentum)
    assert torch.allclose(torch.cat([model.weight[0], model.bias]), exact, atol=1e-9, rtol=0)


# Data


def test_each_epoch_sees_every_example_once_in_a_new_order():
    data, batches = some_colors(10), []
    fit(make(), data, recorder(batches), epochs=2, batch_size=4)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 2
    epochs = [torch.cat(batches[:3]), torch.cat(batches[3:])]
    assert not torch.equal(*epochs)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == sorted(data.tolist())


def test_bytes_are_read_as_fractions():
    data = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    batches = []
    fit(make(), data, recorder(batches), epochs=1)
    assert batches[0].dtype == torch.float32
    assert torch.equal(batches[0], torch.tensor([[0, 0.2, 1]]))


def test_tuples_stay_paired():
    images = torch.arange(30, dtype=torch.uint8).view(10, 3)
    labels = torch.arange(0, 30, 3)
    batches = []

    def objective(model, batch):
        batches.append(batch)
        return reconstruction(model, batch[0])

    fit(make(), (images, labels), objective, epochs=1, batch_size=4)
    assert sorted(torch.cat([label for _, label in batches]).tolist()) == labels.tolist()
    for image, label in batches:
        assert label.dtype == torch.int64
        assert torch.equal((image[:, 0] * 255).round().long(), label)


def test_sample_functions_make_an_epoch_of_examples():
    batches = []
    fit(make(), colors, recorder(batches), epochs=2, batch_size=4, epoch_size=10)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 2
    made = torch.cat(batches)
    assert len(made.unique(dim=0)) == 20


# History


def test_history_is_the_mean_over_examples():
    data, validation = some_colors(10), some_colors(7, seed=1)

    def objective(model, batch):
        return reconstruction(model, batch) | {"red": batch[:, 0].mean(), "channels": batch.mean(0)}

    model = make()
    before = weights(model)
    options = {"optimizer": torch.optim.SGD, "lr": FREEZING, "batch_size": 4}
    history = fit(model, data, objective, epochs=2, validation=validation, **options)
    assert torch.equal(weights(model), before)
    assert set(history) == {"loss", "red", "channels", "val_loss", "val_red", "val_channels"}
    for prefix, examples in (("", data), ("val_", validation)):
        loss = (model(examples) - examples).double().square().mean().item()
        assert history[prefix + "loss"] == pytest.approx([loss] * 2, abs=1e-7)
        assert history[prefix + "red"] == pytest.approx([examples[:, 0].double().mean().item()] * 2, abs=1e-7)
        assert history[prefix + "channels"][1] == pytest.approx(examples.double().mean(0).tolist(), abs=1e-7)


def test_validation_is_that_of_the_epochs_last_weights():
    validation, expected = some_colors(6, seed=1), []

    def look(epoch, model, history):
        expected.append(mse(model(validation), validation).item())

    options = {"epochs": 3, "lr": 0.1, "batch_size": 3, "callback": look}
    history = fit(make(), some_colors(), reconstruction, validation=validation, **options)
    assert len(set(expected)) == 3
    assert history["val_loss"] == pytest.approx(expected, abs=1e-7)


def test_validation_runs_in_eval_mode_and_changes_no_weight():
    modes = []

    def objective(model, batch):
        modes.append((len(batch), model.training, torch.is_grad_enabled()))
        return reconstruction(model, batch)

    model, plain = make(), make()
    fit(model, some_colors(4), objective, epochs=2, validation=some_colors(3))
    fit(plain, some_colors(4), reconstruction, epochs=2)
    assert modes == [(4, True, True), (3, False, False)] * 2
    assert torch.equal(weights(model), weights(plain))


# Learning rate, clipping, precision


def test_schedule_sets_the_learning_rate_of_every_step():
    rates, progress = [], []

    def schedule(now):
        progress.append(now)
        return 1 - now / 2

    look = spy(lambda optimizer: rates.append(optimizer.param_groups[0]["lr"]))
    fit(make(), some_colors(10), reconstruction, epochs=2, batch_size=4, lr=0.1, optimizer=look, schedule=schedule)
    assert progress == pytest.approx([0, 0.2, 0.4, 0.5, 0.7, 0.9])
    assert rates == [0.1 * (1 - now / 2) for now in progress]


@given(st.floats(0, 1), st.floats(0, 1))
def test_cosine_falls_from_one_to_zero(a, b):
    assert 0 <= cosine(a) <= 1
    assert cosine(min(a, b)) >= cosine(max(a, b))
    assert (cosine(0), cosine(0.5), cosine(1)) == pytest.approx((1, 0.5, 0))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 1))
def test_one_cycle_rises_to_one_and_falls(a, b, warmup, start, end):
    def factor(progress):
        return one_cycle(progress, warmup, start, end)

    assert (factor(0), factor(warmup), factor(1)) == pytest.approx((start, 1, end))
    first, second = sorted((a, b))
    assert -1e-12 <= factor(first) <= 1 + 1e-12
    if second < warmup:
        assert factor(first) <= factor(second) + 1e-12
    if first >= warmup:
        assert factor(first) >= factor(second) - 1e-12


def test_one_cycle_defaults():
    assert (one_cycle(0), one_cycle(0.3), one_cycle(1)) == pytest.approx((0.04, 1, 1e-4))


def test_clip_limits_the_gradient_norm():
    def norms(clip):
        seen = []
        look = spy(lambda optimizer: seen.append(torch.cat([p.grad.flatten() for p in parameters]).norm().item()))
        model = make()
        parameters = list(model.parameters())
        fit(model, some_colors(), reconstruction, epochs=2, batch_size=4, lr=FREEZING, optimizer=look, clip=clip)
        return seen

    free = norms(None)
    limit = sorted(free)[2]
    assert norms(limit) == pytest.approx([min(norm, limit) for norm in free], rel=1e-4)


def check_mixed_precision(is_mixed):
    dtypes, losses = set(), []
    for bf16 in (False, True):

        def objective(model, batch):
            dtypes.add((bf16, model.training, model.encoder[0](batch).dtype))  # noqa: B023
            return reconstruction(model, batch)

        model = make(hidden=(32,))
        options = {"epochs": 20, "batch_size": 64, "lr": 0.01, "bf16": bf16, "validation": some_colors(9)}
        losses.append(fit(model, some_colors(256), objective, **options)["loss"])
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    kinds = {False: torch.float32, True: torch.bfloat16 if is_mixed else torch.float32}
    assert dtypes == {(bf16, training, kind) for bf16, kind in kinds.items() for training in (True, False)}
    assert losses[1][-1] < 0.7 * losses[1][0]
    assert losses[1] == pytest.approx(losses[0], rel=0.05) if is_mixed else losses[1] == losses[0]


@pytest.mark.parametrize("is_mixed", [True, False])
def test_bf16_trains_like_float32(monkeypatch, is_mixed):
    monkeypatch.setattr(settings, "has_bf16", lambda device: is_mixed)
    check_mixed_precision(is_mixed)


def test_bf16_on_this_machine():
    check_mixed_precision(settings.has_bf16("cpu"))


def test_threads_are_as_before():
    before = torch.get_num_threads()
    seen = []
    fit(make(), some_colors(), lambda m, b: seen.append(torch.get_num_threads()) or reconstruction(m, b), epochs=1)
    assert seen == [1]
    assert torch.get_num_threads() == before


# Callbacks


def test_callback_after_every_epoch_in_eval_mode_without_gradients():
    calls = []

    def look(epoch, model, history):
        assert len(history["loss"]) == epoch
        calls.append((epoch, model.training, torch.is_grad_enabled()))

    model, trains = make(), []
    fit(model, some_colors(), lambda m, b: trains.append(m.training) or reconstruction(m, b), epochs=3, callback=look)
    assert calls == [(1, False, False), (2, False, False), (3, False, False)]
    assert trains == [True] * 3
    assert not model.training


def test_callback_error_names_the_epoch_and_keeps_the_weights():
    def fail(epoch, model, history):
        if epoch == 2:
            raise RuntimeError("full disk")

    model, shorter = make(), make()
    with pytest.raises(RuntimeError, match="full disk") as error:
        fit(model, some_colors(), reconstruction, epochs=4, callback=fail)
    assert any("epoch 2" in note for note in error.value.__notes__)
    fit(shorter, some_colors(), reconstruction, epochs=2)
    assert torch.equal(weights(model), weights(shorter))
    assert not model.training


# Stops


def test_no_epochs():
    model = make()
    before = weights(model)
    assert fit(model, some_colors(), reconstruction, epochs=0) == {}
    assert torch.equal(weights(model), before)


def test_ctrl_c_in_an_epoch_keeps_what_was_learnt(capsys):
    model, at_stop = make(), []
    interrupted = breaks(at=8, how="raise", error=KeyboardInterrupt)  # step 2 of epoch 3

    def objective(model, batch):
        at_stop.append(weights(model))
        return interrupted(model, batch)

    history = fit(model, some_colors(10), objective, epochs=5, batch_size=4)
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "2 of 5 epochs" in out
    assert err == ""
    assert history == fit(make(), some_colors(10), reconstruction, epochs=2, batch_size=4)
    assert len(at_stop) == 8
    assert torch.equal(weights(model), at_stop[-1])
    assert not torch.equal(at_stop[-1], at_stop[-2])
    assert not model.training


def interrupt_at(last):
    def callback(epoch, model, history):
        if epoch == last:
            raise KeyboardInterrupt

    return callback


def test_ctrl_c_in_the_callback_keeps_the_epoch(capsys):
    model, shorter = make(), make()
    history = fit(model, some_colors(), reconstruction, epochs=5, callback=interrupt_at(2))
    assert capsys.readouterr().out.count("\n") == 1
    assert history == fit(shorter, some_colors(), reconstruction, epochs=2)
    assert torch.equal(weights(model), weights(shorter))


def test_ctrl_c_in_the_last_callback_names_no_epoch_beyond_the_last(capsys):
    history = fit(make(), some_colors(), reconstruction, epochs=3, callback=interrupt_at(3))
    assert len(history["loss"]) == 3
    assert "epoch 4 of 3" not in capsys.readouterr().out


def test_ctrl_c_in_the_validation_leaves_terms_of_equal_length():
    interrupted = breaks(at=4, how="raise", error=KeyboardInterrupt)  # train, validate, train, validate
    history = fit(make(), some_colors(), interrupted, epochs=3, validation=some_colors())
    assert len(history["loss"]) == len(history["val_loss"])


LONG = progress.LOOK_EVERY + 30


@pytest.mark.parametrize(
    ("how", "steps", "epoch", "broken", "named"),
    [
        ("loss", 5, 1, 1, 1),
        ("loss", 5, 3, 4, 4),
        ("loss", LONG, 2, progress.LOOK_EVERY, progress.LOOK_EVERY),
        ("loss", LONG, 2, progress.LOOK_EVERY + 17, progress.LOOK_EVERY + 17),
        ("weight", 5, 2, 3, 4),  # the weights after step 3 are what breaks the loss of step 4
        ("weight", 5, 2, 5, 5),  # no later step shows it
        ("weight", LONG, 2, LONG, LONG),
    ],
)
def test_nan_names_the_step_and_goes_back_an_epoch(how, steps, epoch, broken, named):
    model, shorter, data = make(), make(), some_colors(4 * steps)
    objective = breaks(at=(epoch - 1) * steps + broken, how=how)
    with pytest.raises(FloatingPointError, match=rf"step {named} of epoch {epoch};") as error:
        fit(model, data, objective, epochs=4, batch_size=4)
    assert "\n" not in str(error.value)
    fit(shorter, data, reconstruction, epochs=epoch - 1, batch_size=4)
    assert torch.equal(weights(model), weights(shorter))
    assert not model.training


@pytest.mark.parametrize("draw", [torch.rand_like, torch.randn_like])
@pytest.mark.parametrize("data", [colors, some_colors(2000)], ids=["sample", "tensor"])
def test_what_an_objective_draws_is_not_what_the_data_were_drawn_from(draw, data):
    drawn, made = [], []

    def noted(model, batch):
        drawn.append(draw(batch))
        made.append(batch)
        return reconstruction(model, batch)

    size = {"epoch_size": 2000} if callable(data) else {}
    fit(ColorAutoencoder(), data, noted, epochs=2, batch_size=200, **size)
    assert not any(torch.equal(a, b) for a, b in zip(drawn, made, strict=True))
    flat = torch.stack([torch.cat(drawn).flatten(), torch.cat(made).flatten()])
    assert abs(torch.corrcoef(flat)[0, 1]) < 4 / flat.shape[1] ** 0.5  # four standard errors of independent numbers


def test_the_global_random_state_is_left_as_it_was():
    model = ColorAutoencoder()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = torch.rand(1)
    fit(model, colors, reconstruction, epochs=2, epoch_size=20)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_numpy_numbers_are_numbers(tmp_path):
    path, numbers = tmp_path / "run.pt", {"lr": np.float64(0.01), "seed": np.int64(3), "batch_size": np.int32(4)}
    plain = {name: value.item() for name, value in numbers.items()}
    history = fit(make(), some_colors(10), reconstruction, epochs=2, **plain)
    assert fit(make(), some_colors(10), reconstruction, epochs=np.int64(2), checkpoint=path, **numbers) == history
    assert fit(make(), some_colors(10), reconstruction, epochs=2, checkpoint=path, **plain) == history  # and resumes


def test_a_bare_loss_and_terms_that_are_plain_numbers():
    expected = fit(make(), some_colors(10), reconstruction, epochs=2, batch_size=4)
    bare = fit(make(), some_colors(10), lambda model, batch: mse(model(batch), batch), epochs=2, batch_size=4)
    assert bare == expected

    def counted(model, batch):
        return reconstruction(model, batch) | {"examples": len(batch), "half": 0.5}

    history = fit(make(), some_colors(10), counted, epochs=2, batch_size=4)
    assert history["loss"] == expected["loss"]
    assert history["half"] == pytest.approx([0.5, 0.5])
    assert history["examples"] == pytest.approx([3.6, 3.6])  # of batches of 4, 4 and 2, by examples


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (torch.nn.ReLU(), {}, "model is a ReLU without parameters"),
        (make(), {"objective": lambda model, batch: {"mse": mse(model(batch), batch)}}, "returned mse, expected"),
        (make(), {"objective": lambda model, batch: batch.mean()}, "does not depend on model's parameters"),
        (make(), {"epoch_size": 5}, "epoch_size is 5, expected None"),
    ],
    ids=["no parameters", "no loss", "no gradient", "epoch size"],
)
def test_what_cannot_be_trained_is_said_in_one_sentence(model, options, said):
    options = {"objective": reconstruction, "epochs": 1} | options
    with pytest.raises(ValueError, match=rf"^[^\n]*{said}[^\n]*$"):
        fit(model, some_colors(10), **options)


@pytest.mark.parametrize("guarded", ["checkpoint", "study", "neither"])
def test_an_interrupt_goes_on_where_a_half_trained_model_would_be_taken_for_a_trained_one(tmp_path, guarded):
    def interrupt(epoch, model, history):
        if epoch == 2:
            raise KeyboardInterrupt

    def train(**options):
        return fit(make(), some_colors(10), reconstruction, epochs=5, callback=interrupt, **options)

    if guarded == "neither":
        assert len(train()["loss"]) == 2
        return
    before = settings.in_study.set(guarded == "study")
    try:
        with pytest.raises(KeyboardInterrupt):
            train(**({"checkpoint": tmp_path / "run.pt"} if guarded == "checkpoint" else {}))
    finally:
        settings.in_study.reset(before)


def test_the_first_step_checks_signatures_and_the_others_do_not():
    """A wrong shape is named at the first step; what the others cost is the plain call."""
    checks = []

    def noted(model, batch):
        checks.append(not check._paused)
        return reconstruction(model, batch)

    fit(make(), some_colors(10), noted, epochs=2, batch_size=4)
    assert checks == [True] + [False] * 5
    assert not check._paused
    with pytest.raises(ValueError, match=r"^losses.mse: target is a tensor of float32 of shape \(4, 1\)[^\n]*$"):
        fit(make(), some_colors(10), lambda model, x: {"loss": mse(model(x), x[:, :1])}, epochs=1, batch_size=4)
    assert not check._paused


def test_a_look_is_one_transfer():
    """However many terms and weights there are: each transfer waits for the device."""
    copies = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten._to_copy.default and (kwargs or {}).get("device") == torch.device("cpu"):
                copies.append(function)
            return function(*args, **(kwargs or {}))

    with FakeTensorMode(), Counting():
        parameters = [nn.Parameter(torch.rand(3, 3, device="cuda")) for _ in range(5)]
        steps = [{name: torch.rand(2, device="cuda") for name in "abc"} for _ in range(4)]
        with contextlib.suppress(DataDependentOutputException):  # whether all weights are finite: it has no data
            progress.fetch(steps, parameters)
    assert len(copies) == 1


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_loss_of_several_elements_is_no_ensemble(where):
    """One element that is not finite ends training, be it at the very last step."""
    calls = []

    def several(model, batch):
        calls.append(batch)
        broken = len(calls) == (1 if where == "first" else 6)
        return (model(batch) - batch).square().mean(0) * torch.tensor([1.0, torch.nan if broken else 1.0, 1.0])

    model = make()
    with pytest.raises(FloatingPointError, match=f"epoch {1 if where == 'first' else 2}"):
        fit(model, some_colors(6), several, epochs=2, batch_size=2)
    assert weights(model).isfinite().all()


def test_a_bar_is_shown_unless_it_is_switched_off(monkeypatch, capsys):
    for switch, shown in ({}, True), ({"disable": True}, False):
        monkeypatch.setattr(progress, "tqdm", partial(tqdm, **switch) if switch else partial(tqdm, disable=False))
        fit(make(), some_colors(6), reconstruction, epochs=1)
        assert ("epoch 1/1" in capsys.readouterr().err) == shown


def test_errors_of_what_fit_calls_are_their_own():
    def objective(model, batch):
        raise RuntimeError("CUDA out of memory on this device")

    with pytest.raises(RuntimeError, match=r"^CUDA out of memory"):
        fit(torch.nn.Linear(3, 3), (some_colors(4), some_colors(4).double()), objective, epochs=1)
