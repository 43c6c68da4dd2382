"""Resuming: training ends with the bits it would have had. (Kills are in test_faults.)"""

import os
import pickle
import re
import runpy
import subprocess
import sys
from functools import partial, wraps
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from chromae.datasets import color_triplets, colors, drawn
from chromae.losses import mse, reconstruction
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.training import Adam, cosine, fit, one_cycle
from chromae.training.checkpoints import describe


def make():
    torch.manual_seed(7)
    return ColorAutoencoder()


def weights(model):
    return parameters_to_vector(model.parameters()).detach().clone()


def data():
    return colors(10, torch.Generator().manual_seed(0))


def load(path):
    return torch.load(path, weights_only=True)


def check_same(a, b):
    """The same nest of dictionaries and lists, its tensors bit for bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for name in a:
            check_same(a[name], b[name])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            check_same(x, y)
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    else:
        assert a == b


def stop_after(last, error=RuntimeError):
    """A callback that ends the run after an epoch, as a crash would."""

    def callback(epoch, model, history):
        if epoch == last:
            raise error

    return callback


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_same_bits_after_a_stop_at_any_epoch(tmp_path, error):
    options = {"epochs": 4, "batch_size": 4, "lr": 0.05, "schedule": one_cycle, "optimizer": torch.optim.RMSprop}
    whole = make()
    history = fit(whole, data(), reconstruction, **options)
    for last in (1, 2, 3, 4):
        path, model = tmp_path / f"{last}.pt", make()
        with pytest.raises(error):
            fit(model, data(), reconstruction, checkpoint=path, callback=stop_after(last, error), **options)
        resumed = ColorAutoencoder()  # whose first weights do not matter
        assert fit(resumed, data(), reconstruction, checkpoint=path, **options) == history
        assert torch.equal(weights(resumed), weights(whole))


def test_same_bits_after_a_nan(tmp_path):
    path, whole, calls = tmp_path / "run.pt", make(), []
    fit(whole, data(), reconstruction, epochs=3)

    def breaks(model, batch):
        calls.append(batch)
        terms = reconstruction(model, batch)
        return {"loss": terms["loss"] * (torch.nan if len(calls) == 3 else 1)}

    with pytest.raises(FloatingPointError, match="epoch 3"):
        fit(make(), data(), breaks, epochs=3, checkpoint=path)
    resumed = make()
    fit(resumed, data(), breaks, epochs=3, checkpoint=path)  # whose calls go on beyond the third
    assert torch.equal(weights(resumed), weights(whole))


def test_a_checkpoint_changes_no_bit(tmp_path):
    plain, kept = make(), make()
    history = fit(plain, data(), reconstruction, epochs=3)
    assert fit(kept, data(), reconstruction, epochs=3, checkpoint=tmp_path / "new" / "folder" / "run.pt") == history
    assert torch.equal(weights(plain), weights(kept))
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == ["run.pt"]


def test_a_half_written_file_never_replaces_the_checkpoint(tmp_path, monkeypatch):
    path, whole = tmp_path / "run.pt", make()
    fit(whole, data(), reconstruction, epochs=5)
    with pytest.raises(RuntimeError):
        fit(make(), data(), reconstruction, epochs=5, checkpoint=path, callback=stop_after(2))
    kept = path.read_bytes()

    def write_half(saved, file):
        Path(file).write_bytes(kept[: len(kept) // 2])
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", write_half)
        with pytest.raises(OSError, match="no space left"):
            fit(make(), data(), reconstruction, epochs=5, checkpoint=path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == kept

    resumed = make()
    fit(resumed, data(), reconstruction, epochs=5, checkpoint=path)
    assert torch.equal(weights(resumed), weights(whole))
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_run_returns_at_once(tmp_path):
    path, whole, epochs, calls = tmp_path / "run.pt", make(), [], []

    def counted(model, batch):
        calls.append(len(batch))
        return reconstruction(model, batch)

    history = fit(whole, data(), counted, epochs=3, checkpoint=path)
    kept, steps = path.read_bytes(), len(calls)
    again = make()
    call = {"callback": lambda epoch, model, history: epochs.append(epoch)}
    assert fit(again, data(), counted, epochs=3, checkpoint=path, **call) == history
    assert len(calls) == steps
    assert torch.equal(weights(again), weights(whole))
    assert path.read_bytes() == kept
    assert epochs == [3]


def test_the_callback_of_the_checkpointed_epoch_is_called_again(tmp_path):
    path, calls = tmp_path / "run.pt", []

    def look(epoch, model, history):
        calls.append((epoch, len(history["loss"]), model.training, torch.is_grad_enabled(), weights(model)))
        if len(calls) == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fit(make(), data(), reconstruction, epochs=4, checkpoint=path, callback=look)
    fit(make(), data(), reconstruction, epochs=4, checkpoint=path, callback=look)
    assert [call[:4] for call in calls] == [(epoch, epoch, False, False) for epoch in (1, 2, 2, 3, 4)]
    assert torch.equal(calls[1][4], calls[2][4])


def test_resumed_model_must_train_on(tmp_path):
    """The resumed epochs move the weights: equality above is not that of a run that stands still."""
    path, at = tmp_path / "run.pt", []
    options = {"epochs": 3, "lr": 0.1, "checkpoint": path}
    with pytest.raises(RuntimeError):
        fit(make(), data(), reconstruction, callback=stop_after(1), **options)
    fit(make(), data(), reconstruction, callback=lambda epoch, model, history: at.append(weights(model)), **options)
    assert len(at) == 3
    assert not torch.equal(at[0], at[1])
    assert not torch.equal(at[1], at[2])
    assert mse(at[0], at[2]) > 1e-4


def three_times(loss):
    return lambda model, batch: {"loss": loss * mse(model(batch), batch)}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("schedule", partial(one_cycle, warmup=0.1), partial(one_cycle, warmup=0.2)),
        ("schedule", partial(one_cycle, warmup=0.1), partial(cosine)),
        ("schedule", lambda progress: 1.0, lambda progress: 0.5),
        ("optimizer", partial(torch.optim.SGD, momentum=0.9), partial(torch.optim.SGD)),
        ("optimizer", partial(torch.optim.SGD), partial(Adam)),
        ("objective", three_times(1), three_times(100)),
        ("objective", reconstruction, lambda model, batch: {"loss": 100 * mse(model(batch), batch)}),
        ("data", data(), 1 - data()),
        ("data", partial(color_triplets, nudge=0.1), partial(color_triplets, nudge=0.2)),
        ("data", drawn(data()), drawn(data(), mirror=True)),
        ("data", drawn(data()), drawn(1 - data())),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, name, before, after):
    path, given = tmp_path / "run.pt", {"data": data(), "objective": reconstruction, "schedule": one_cycle}
    objective = {"objective": lambda model, batch: {"loss": model(batch).square().mean()}} if name == "data" else {}

    def train(value, model):
        arguments = given | objective | {name: value}
        size = {"epoch_size": 10} if callable(arguments["data"]) else {}
        return fit(model, epochs=2, checkpoint=path, **size, **arguments)

    train(before, make())
    kept, fresh = path.read_bytes(), make()
    with pytest.raises(ValueError, match=rf"^{name} is .*, but the checkpoint .* was made with [^\n]*$"):
        train(after, fresh)
    assert torch.equal(weights(fresh), weights(make()))
    assert path.read_bytes() == kept
    assert len(train(before, make())["loss"]) == 2  # the same once more is no other


FORMATS = (torch.channels_last, torch.contiguous_format)


@pytest.mark.parametrize(("first", "second"), [FORMATS, FORMATS[::-1]])
def test_a_run_goes_on_in_another_memory_format(tmp_path, first, second):
    """Fused kernels walk through raw memory: moments must lie as their parameters do."""
    images = torch.rand(12, 4, 6, 6, generator=torch.Generator().manual_seed(0))

    def convolutions(layout):
        torch.manual_seed(3)
        layers = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.Conv2d(8, 4, 3, padding=1))
        return layers.to(memory_format=layout)

    options = {"epochs": 4, "batch_size": 6, "lr": 0.01}
    expected = fit(convolutions(second), images, reconstruction, **options)
    path = tmp_path / "run.pt"
    with pytest.raises(RuntimeError):
        fit(convolutions(first), images, reconstruction, checkpoint=path, callback=stop_after(2), **options)
    history = fit(convolutions(second), images, reconstruction, checkpoint=path, **options)
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def weighted(factor):
    def wrap(function):
        @wraps(function)
        def wrapper(model, batch):
            return {"loss": factor * function(model, batch)["loss"]}

        return wrapper

    return wrap


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def objective(self, model, batch):
        return {"loss": self.factor * mse(model(batch), batch)}


def test_what_trains_otherwise_is_described_otherwise():
    pairs = [
        (weighted(2)(reconstruction), weighted(200)(reconstruction)),
        (weighted(2)(reconstruction), reconstruction),
        (Scaled(1).objective, Scaled(2).objective),
        (lambda model, batch, w=1: w, lambda model, batch, w=100: w),
        (partial(mse, np.float32(0.5)), partial(mse, np.float32(0.25))),
    ]
    for one, other in pairs:
        assert describe(one) == describe(one)
        assert describe(one) != describe(other)


def test_descriptions_end():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    def early():
        return late

    described = describe(early)
    late = described
    assert describe(even).startswith("test_descriptions_end.<locals>.even")
    assert described.startswith("test_descriptions_end.<locals>.early")


def test_descriptions_are_those_of_every_process(tmp_path):
    """A set's order, for one, is another in each."""
    script = tmp_path / "say.py"
    script.write_text(
        "from chromae.training.checkpoints import describe\n"
        "def objective(model, batch):\n    return {} if 'a' in {'mse', 'kl', 'a', 'b'} else None\n"
        "print(describe(objective))\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    run = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == describe(runpy.run_path(str(script))["objective"])


def test_a_checkpoint_of_another_precision_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    fit(make(), data(), reconstruction, epochs=2, checkpoint=path)
    with pytest.raises(ValueError, match="model of other parameters"):
        fit(make().double(), data(), reconstruction, epochs=2, checkpoint=path)


def test_flipped_bits_and_cut_files_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "run.pt"
    fit(make(), data(), reconstruction, epochs=2, checkpoint=path)
    whole, state = path.read_bytes(), torch.load(path)
    generator = torch.Generator().manual_seed(0)
    for place in torch.randint(len(whole), (60,), generator=generator).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        fresh, error = make(), None
        try:
            fit(fresh, data(), reconstruction, epochs=2, checkpoint=path)
        except ValueError as refused:
            error = f"{refused}"
        if error is None:  # a bit between the entries of the archive, which nobody reads
            check_same(fresh.state_dict(), state["model"])
        else:
            assert re.fullmatch(
                rf"{re.escape(f'{path} is broken, or no checkpoint (')}[^\n]+\): remove it[^\n]*", error
            )
            assert torch.equal(weights(fresh), weights(make()))
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"is broken, or no checkpoint"):
            fit(make(), data(), reconstruction, epochs=2, checkpoint=path)
        assert path.stat().st_size == length


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_checkpoint_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"recipe": {}, "epoch": 1, "history": {}, "model": Malicious(), "optimizer": {}}, "run.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Malicious()))
    for path in ("run.pt", "plain.pt"):
        with pytest.raises(ValueError, match=rf"^{path} is broken, or no checkpoint \([^\n]+\)[^\n]+$"):
            fit(make(), data(), reconstruction, epochs=2, checkpoint=path)
    assert not Path("touched").exists()
