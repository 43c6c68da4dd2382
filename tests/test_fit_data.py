"""What `fit` reads besides tensors and functions, and how it ends: steps without data, loaders, groups, early stops."""

import itertools

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, TensorDataset

from chromae import losses
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.training import StopTraining, checkpoints, cosine, fit

COLORS = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))


class Point(nn.Module):
    """Two numbers, drawn to a target that they are shown with noise."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2))


def noisy(model, generator):
    shown = 1 + 0.1 * torch.randn(2, generator=generator) + 0.1 * torch.randn(2)  # of the generator, and of torch's own
    return {"loss": (model.place - shown).square().sum(), "first": model.place[0]}


def test_steps_without_data_have_an_entry_each():
    model = Point()
    history = fit(model, None, noisy, steps=250, lr=0.05)
    assert len(history["loss"]) == len(history["first"]) == 250
    assert history["first"][0] == 0
    assert history["loss"][-1] < 0.2 < history["loss"][0]


@pytest.mark.parametrize("how", ["callback", "checkpoint"])
def test_a_step_that_somebody_looks_on_after_is_the_same(tmp_path, how):
    alone, watched, seen = Point(), Point(), []
    options = (
        {"callback": lambda step, *_: seen.append(step)} if how == "callback" else {"checkpoint": tmp_path / "a.pt"}
    )
    schedule = cosine
    histories = [
        fit(model, None, noisy, steps=7, lr=0.1, schedule=schedule, seed=3, **more)
        for model, more in ((alone, {}), (watched, options))
    ]
    assert histories[0] == histories[1]
    assert torch.equal(alone.place, watched.place)
    assert seen == (list(range(1, 8)) if how == "callback" else [])


def test_steps_go_on_from_a_checkpoint(tmp_path):
    whole, cut = Point(), Point()

    def stop(step, *_):
        if step == 4:
            raise KeyboardInterrupt

    expected = fit(whole, None, noisy, steps=9, seed=1)
    with pytest.raises(KeyboardInterrupt):
        fit(cut, None, noisy, steps=9, seed=1, checkpoint=tmp_path / "a.pt", callback=stop)
    cut = Point()
    assert fit(cut, None, noisy, steps=9, seed=1, checkpoint=tmp_path / "a.pt") == expected
    assert torch.equal(cut.place, whole.place)


def test_ctrl_c_keeps_the_steps_that_were_made(capsys):
    calls = itertools.count(1)

    def objective(model, generator):
        if next(calls) == 131:
            raise KeyboardInterrupt
        return noisy(model, generator)

    model = Point()
    history = fit(model, None, objective, steps=200)
    assert len(history["loss"]) == 130
    assert "Stopped after 130 of 200 steps" in capsys.readouterr().out
    assert model.place.abs().min() > 0


@pytest.mark.parametrize(
    ("data", "options", "told"),
    [
        (None, {"epochs": 3}, "epochs is 3 and steps is None, expected steps alone without data"),
        (None, {}, "expected steps alone without data"),
        (COLORS, {"steps": 3}, "expected epochs alone with data"),
        (COLORS, {"steps": 3, "epochs": 3}, "epochs is 3 and steps is 3, expected epochs alone with data"),
        (None, {"steps": -1}, "steps is -1, expected 0 or more"),
        (iter([COLORS]), {"epochs": 1}, "data is a list_iterator, which ends"),
        ([COLORS], {"epochs": 1}, "data is a list, expected a tensor, a tuple of tensors, a function"),
        ([[COLORS]], {"epochs": 1}, "data is a list, expected a tensor"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(data, options, told):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        fit(ColorAutoencoder(), data, losses.reconstruction, **options)
    assert told in str(error.value)


def test_a_loader_gives_the_batches():
    seen = []

    def objective(model, batch):
        rgb, labels = batch
        seen.append((len(rgb), rgb.dtype, labels.dtype))
        return {"loss": losses.mse(model(rgb), rgb), "label": labels.float().mean()}

    bytes_ = (255 * COLORS).round().to(torch.uint8)
    loader = DataLoader(TensorDataset(bytes_, torch.arange(50)), batch_size=20)
    history = fit(ColorAutoencoder(), loader, objective, epochs=2, schedule=cosine)
    assert seen == 2 * [
        (20, torch.float32, torch.int64),
        (20, torch.float32, torch.int64),
        (10, torch.float32, torch.int64),
    ]
    assert history["label"] == [24.5, 24.5], "the shorter batch counts for less"


def test_a_loader_trains_as_tensors_in_its_order():
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))  # that of the first epoch under seed 0
    models = []
    for data in (COLORS, DataLoader(COLORS[order], batch_size=16)):
        torch.manual_seed(0)
        models.append(ColorAutoencoder())
        fit(models[-1], data, losses.reconstruction, epochs=1, batch_size=16)
    assert all(torch.equal(*pair) for pair in zip(models[0].parameters(), models[1].parameters(), strict=True))


@pytest.mark.parametrize("batch", [{"rgb": COLORS}, "colors", [1, 2], None])
@pytest.mark.parametrize("first", [[], [COLORS]])
def test_a_loader_of_something_else_is_one_sentence(batch, first):
    class Loader:
        def __iter__(self):
            return iter([*first, batch])

    with pytest.raises(ValueError, match=r"^data gave a [^\n]+, expected a tensor[^\n]+$"):
        fit(ColorAutoencoder(), Loader(), losses.reconstruction, epochs=1)


def test_batches_that_are_ready_go_through_a_loader_as_they_are():
    ready, seen = [COLORS[:7], COLORS[7:]], []

    def objective(model, batch):
        seen.append(batch)
        return losses.reconstruction(model, batch)

    fit(ColorAutoencoder(), DataLoader(ready, batch_size=None), objective, epochs=1)
    assert all(torch.equal(*pair) for pair in zip(seen, ready, strict=True))


def test_a_loader_without_a_length_will_do():
    class Loader:
        def __iter__(self):
            return iter(COLORS.split(20))

    assert len(fit(ColorAutoencoder(), Loader(), losses.reconstruction, epochs=3)["loss"]) == 3


def test_targets_may_be_of_any_size():
    model = nn.Linear(3, 1)
    target = COLORS @ torch.tensor([[10.0], [-20.0], [30.0]]) - 7
    fit(
        model,
        (COLORS, target),
        lambda m, batch: {"loss": losses.mse(m(batch[0]), batch[1])},
        epochs=300,
        lr=2,
        schedule=cosine,
    )
    assert losses.mse(model(COLORS), target) < 1


@pytest.mark.parametrize("schedule", [None, cosine])
def test_groups_keep_their_own_learning_rates(schedule):
    model = ColorAutoencoder()

    def optimizer(parameters, lr):
        slow, *fast = parameters
        return torch.optim.SGD([{"params": [slow], "lr": 0.0}, {"params": fast}], lr=lr)

    before = [parameter.clone() for parameter in model.parameters()]
    fit(model, COLORS, losses.reconstruction, epochs=2, lr=0.1, optimizer=optimizer, schedule=schedule)
    moved = [not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True)]
    assert moved == [False, True, True, True]


def test_a_run_without_a_schedule_can_be_lengthened(tmp_path):
    def run(epochs, path, **options):
        torch.manual_seed(0)
        model = ColorAutoencoder()
        return fit(model, COLORS, losses.reconstruction, epochs=epochs, checkpoint=path, **options), model

    run(2, tmp_path / "a.pt")
    longer, model = run(5, tmp_path / "a.pt")
    expected, at_once = run(5, tmp_path / "b.pt")
    assert longer == expected
    assert torch.equal(model.encoder.weight, at_once.encoder.weight)
    with pytest.raises(ValueError, match="epochs is 3, but the checkpoint"):
        run(3, tmp_path / "a.pt")  # what was learnt is not unlearnt
    run(2, tmp_path / "c.pt", schedule=cosine)
    with pytest.raises(ValueError, match="epochs is 5, but the checkpoint"):
        run(5, tmp_path / "c.pt", schedule=cosine)  # which was bound to end at 2


@pytest.mark.parametrize("kept", [False, True])
def test_a_callback_ends_training_early(tmp_path, kept):
    seen = []

    def early(epoch, model, history):
        seen.append(epoch)
        if epoch == 3:
            raise StopTraining

    options = {"checkpoint": tmp_path / "a.pt"} if kept else {}
    model = ColorAutoencoder()
    history = fit(model, COLORS, losses.reconstruction, epochs=9, callback=early, **options)
    assert len(history["loss"]) == 3
    assert not model.training
    if kept:  # the same call ends where it ended
        assert fit(model, COLORS, losses.reconstruction, epochs=9, callback=early, **options) == history
        assert seen == [1, 2, 3, 3]


def test_torchs_own_random_numbers_go_on_as_if_nothing_had_been_drawn():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(Point(), None, noisy, steps=5)
    assert torch.equal(torch.rand(3), expected)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(COLORS)


@pytest.mark.parametrize("loader", [DataLoader(Stream(), batch_size=10), DataLoader(COLORS, batch_size=10)])
def test_a_schedule_goes_over_a_loader_as_far_as_its_length_is_known(loader):
    seen = []

    def schedule(progress):
        seen.append(progress)
        return 1 - progress

    fit(ColorAutoencoder(), loader, losses.reconstruction, epochs=2, schedule=schedule)
    known = not isinstance(loader.dataset, Stream)
    assert seen == pytest.approx([n / 10 for n in range(10)] if known else 5 * [0] + 5 * [0.5])


def test_a_loader_without_batches_trains_no_epoch(tmp_path):
    empty = DataLoader(COLORS, batch_size=64, drop_last=True)
    with pytest.raises(ValueError, match=r"^data gave no batch, expected one or more in every epoch$"):
        fit(ColorAutoencoder(), empty, losses.reconstruction, epochs=3, checkpoint=tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.parametrize("watched", [False, True])
def test_a_nan_without_data_costs_no_more_than_the_last_looks(watched):
    calls = itertools.count(1)

    def objective(model, generator):
        loss = model.place.sum()
        return {"loss": loss * (torch.nan if next(calls) == 350 else 1)}

    model = Point()
    options = {"callback": lambda *_: None} if watched else {}
    with pytest.raises(FloatingPointError) as error:
        fit(model, None, objective, steps=400, lr=0.01, optimizer=torch.optim.SGD, **options)
    kept = 349 if watched else 300
    assert model.place.tolist() == pytest.approx(2 * [-0.01 * kept], rel=1e-4)
    assert ("at step 350 of 400; the model is back at step 300" in str(error.value)) is not watched


def test_ctrl_c_before_the_first_step_is_an_interrupt(tmp_path):
    class Stopped(Point):
        def train(self, mode=True):
            if mode:
                raise KeyboardInterrupt
            return super().train(mode)

    assert fit(Stopped(), None, noisy, steps=3) == {}
    with pytest.raises(KeyboardInterrupt):
        fit(Stopped(), None, noisy, steps=3, checkpoint=tmp_path / "a.pt")


def test_an_earlier_checkpoint_goes_on(tmp_path):
    """Before, groups had no learning rate to begin with beside that of the step."""
    path = tmp_path / "a.pt"
    torch.manual_seed(0)
    whole = fit(ColorAutoencoder(), COLORS, losses.reconstruction, epochs=4, schedule=cosine, seed=1)

    def stop(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    model = ColorAutoencoder()
    with pytest.raises(KeyboardInterrupt):
        fit(model, COLORS, losses.reconstruction, epochs=4, schedule=cosine, seed=1, checkpoint=path, callback=stop)
    saved = torch.load(path, weights_only=True)
    del saved["digest"]
    for group in saved["optimizer"]["param_groups"]:
        del group["initial_lr"]
    torch.save(saved | {"digest": checkpoints.digest(saved)}, path)
    model = ColorAutoencoder()
    history = fit(model, COLORS, losses.reconstruction, epochs=4, schedule=cosine, seed=1, checkpoint=path)
    assert history == whole


class Sampler(torch.utils.data.Sampler):
    """Notes which epochs it is told of, as a DistributedSampler wants to be."""

    def __init__(self):
        self.epochs = []

    def __iter__(self):
        return iter(range(len(COLORS)))

    def __len__(self):
        return len(COLORS)

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


@pytest.mark.parametrize("batched", [False, True])
def test_a_sampler_is_told_of_every_epoch(batched):
    sampler = Sampler()
    options = {"batch_sampler": BatchSampler(sampler, 20, False)} if batched else {"sampler": sampler, "batch_size": 20}
    fit(ColorAutoencoder(), DataLoader(COLORS, **options), losses.reconstruction, epochs=3)
    assert len(set(sampler.epochs)) == len(sampler.epochs) == 3


def test_a_callback_that_is_repeated_on_resuming_draws_nothing_from_outside(tmp_path):
    def run():
        fit(Point(), None, noisy, steps=2, checkpoint=tmp_path / "a.pt", callback=lambda *_: torch.rand(3))

    run()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run()
    assert torch.equal(torch.rand(3), expected)


def test_ctrl_c_after_a_nan_that_no_look_has_seen_keeps_no_nan():
    calls = itertools.count(1)

    def objective(model, generator):
        if next(calls) == 20:
            raise KeyboardInterrupt
        return {"loss": model.place.sum() * torch.nan}

    model = Point()
    with pytest.raises(FloatingPointError, match="at step 1 of 50"):
        fit(model, None, objective, steps=50)
    assert model.place.tolist() == [0, 0]


def test_a_loader_takes_no_epoch_size():
    with pytest.raises(ValueError, match=r"^epoch_size is 5, expected None, for a loader"):
        fit(ColorAutoencoder(), DataLoader(COLORS, batch_size=10), losses.reconstruction, epochs=1, epoch_size=5)


def test_a_fit_on_the_cpu_seeds_no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("a card was seeded"))
    fit(Point(), None, noisy, steps=2)
    fit(ColorAutoencoder(), COLORS, losses.reconstruction, epochs=1)


@pytest.mark.parametrize("options", [{"validation": COLORS}, {"epoch_size": 4}])
def test_what_is_of_data_is_refused_without(options):
    with pytest.raises(ValueError, match=r"^(validation|epoch_size) is [^\n]*expected None without data$"):
        fit(Point(), None, noisy, steps=2, **options)
