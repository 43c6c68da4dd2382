"""An ensemble's members against the same models alone."""

from functools import partial

import pytest
import torch

from chromae import settings
from chromae.datasets import color_triplets, colors
from chromae.losses import reconstruction, reconstruction_and_triplet
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.training import Adam, Ensemble, fit

SEEDS = (5, 0, 11)


def alone(seed, make=ColorAutoencoder):
    settings.seed_everything(seed)
    return make()


def some_colors(*shape):
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(0))


def same_weights(a, b, **tolerance):
    pairs = zip(a.named_parameters(), b.named_parameters(), strict=True)
    return all(n == m and torch.allclose(p, q, **tolerance) for (n, p), (m, q) in pairs)


@pytest.mark.parametrize("hidden", [(), (4, 3)])
def test_members_start_as_the_models_of_their_seeds(hidden):
    make = partial(ColorAutoencoder, hidden=hidden)
    ensemble = Ensemble(make, SEEDS)
    assert ensemble.size == 3
    for index, seed in enumerate(SEEDS):
        assert same_weights(ensemble.member(index), alone(seed, make), rtol=0, atol=0)
    assert not same_weights(ensemble.member(0), ensemble.member(1))


def test_a_member_is_a_copy():
    ensemble = Ensemble(ColorAutoencoder, SEEDS)
    with torch.no_grad():
        ensemble.member(1).encoder.weight.zero_()
    assert same_weights(ensemble.member(1), alone(SEEDS[1]), rtol=0, atol=0)


def test_map_gives_every_member_its_own_inputs():
    ensemble, inputs = Ensemble(ColorAutoencoder, SEEDS), some_colors(3, 8)
    mapped = ensemble.map(lambda model, rgb: model(rgb), inputs)
    expected = torch.stack([ensemble.member(i)(inputs[i]) for i in range(3)])
    assert torch.allclose(mapped, expected, atol=1e-6)


def test_map_shares_inputs():
    ensemble, inputs = Ensemble(ColorAutoencoder, SEEDS), some_colors(3)
    mapped = ensemble.map(lambda model, rgb: model.encode(rgb), inputs, shared=True)
    expected = torch.stack([ensemble.member(i).encode(inputs) for i in range(3)])
    assert mapped.shape == (3, 3, 2)
    assert torch.allclose(mapped, expected, atol=1e-6)


@pytest.mark.parametrize("sample", [colors, color_triplets])
def test_sample_hands_every_member_its_own_examples(sample):
    ensemble = Ensemble(ColorAutoencoder, SEEDS)
    batch = ensemble.sample(sample)(5, torch.Generator().manual_seed(0))
    flat = sample(15, torch.Generator().manual_seed(0))
    assert batch.shape == (3, 5, *flat.shape[1:])
    assert torch.equal(batch.flatten(0, 1), flat)


def test_objective_has_one_value_per_member():
    ensemble = Ensemble(ColorAutoencoder, SEEDS)
    batch = ensemble.sample(color_triplets)(6, torch.Generator().manual_seed(0))
    terms = ensemble.objective(reconstruction_and_triplet)(ensemble, batch)
    assert set(terms) == {"loss", "mse", "triplet"}
    for index in range(3):
        own = reconstruction_and_triplet(ensemble.member(index), batch[index])
        for name, value in own.items():
            assert terms[name].shape == (3,)
            assert terms[name][index].item() == pytest.approx(value.item(), abs=1e-6)


@pytest.mark.parametrize("optimizer", [Adam, torch.optim.SGD, torch.optim.RMSprop])
@pytest.mark.parametrize(
    ("objective", "sample"), [(reconstruction, colors), (reconstruction_and_triplet, color_triplets)]
)
def test_members_train_as_they_would_alone(optimizer, objective, sample):
    ensemble, batches = Ensemble(ColorAutoencoder, SEEDS), []

    def record(ensemble, batch):
        batches.append(batch)
        return ensemble.objective(objective)(ensemble, batch)

    options = {"epochs": 2, "epoch_size": 20, "batch_size": 8, "lr": 0.01, "optimizer": optimizer}
    history = fit(ensemble, ensemble.sample(sample), record, **options)
    assert len(batches) == 6
    for index, seed in enumerate(SEEDS):
        model, losses = alone(seed), []
        single = optimizer(model.parameters(), lr=0.01)
        for batch in batches:
            terms = objective(model, batch[index])
            single.zero_grad()
            terms["loss"].backward()
            single.step()
            losses.append(terms["loss"].item())
        assert same_weights(ensemble.member(index), model, atol=1e-6)
        assert not same_weights(model, alone(seed), atol=1e-4)
        for epoch in range(2):
            mean = sum(n * loss for n, loss in zip((8, 8, 4), losses[3 * epoch : 3 * epoch + 3], strict=True)) / 20
            assert history["loss"][epoch][index] == pytest.approx(mean, abs=1e-6)


def test_fit_logs_one_value_per_member():
    ensemble = Ensemble(ColorAutoencoder, SEEDS)
    objective, sample = ensemble.objective(reconstruction_and_triplet), ensemble.sample(color_triplets)
    history = fit(ensemble, sample, objective, epochs=2, epoch_size=10, batch_size=4)
    assert set(history) == {"loss", "mse", "triplet"}
    assert all(len(epochs) == 2 and len(epochs[0]) == len(epochs[1]) == 3 for epochs in history.values())


def test_every_member_draws_random_numbers_of_its_own():
    ensemble = Ensemble(lambda: torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5)), SEEDS)
    dropped = ensemble.train().map(lambda model, x: model(x) == 0, some_colors(40), shared=True)
    assert not torch.equal(dropped[0], dropped[1])

    def noisy(model, batch):
        return {"loss": (model(batch + 0.1 * torch.randn_like(batch)) - batch).square().mean()}

    models = Ensemble(ColorAutoencoder, SEEDS)
    history = fit(models, models.sample(colors), models.objective(noisy), epochs=2, epoch_size=20)
    assert torch.tensor(history["loss"]).isfinite().all()


def test_the_others_go_on_when_a_member_diverges(capsys):
    def train(broken):
        models = Ensemble(ColorAutoencoder, SEEDS)
        with torch.no_grad():
            models.stacked.encoder.weight[broken] = torch.nan
        options = {"epochs": 2, "epoch_size": 20, "batch_size": 5, "lr": 0.01}
        return models, fit(models, models.sample(colors), models.objective(reconstruction), **options)

    whole, expected = train([])
    assert capsys.readouterr().out == ""
    models, history = train([1])
    assert capsys.readouterr().out == "Of 3 members, 1 diverged in epoch 1: their history is nan from here.\n"
    for member in (0, 2):
        assert same_weights(models.member(member), whole.member(member), rtol=0, atol=0)
        assert [epoch[member] for epoch in history["loss"]] == [epoch[member] for epoch in expected["loss"]]
    assert all(epoch[1] != epoch[1] for epoch in history["loss"])
    with pytest.raises(FloatingPointError, match="step 1 of epoch 1"):
        train([0, 1, 2])
