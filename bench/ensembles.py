"""What 32 seeds of the colour autoencoder cost together."""

import statistics

from side_by_side import agree, compare

from chromae import datasets, losses, settings, training
from chromae.models.color_autoencoder import ColorAutoencoder

MEMBERS, EPOCHS, COLORS, BATCH = 32, 5, 10_000, 64


def ensemble_32_cost() -> dict:
    """Five epochs of 10,000 colours each, batch 64: 32 seeds as one ensemble against one seed alone."""
    return compare(lambda: _together(MEMBERS), lambda: _alone(0), rounds=21, cost=True)


def ensemble_32_vs_in_turn() -> dict:
    """The same 32 seeds as one ensemble against 32 runs in turn, at equal losses."""
    found = {}

    def ours() -> None:
        found["ours"] = statistics.mean(_together(MEMBERS))

    def theirs() -> None:
        found["theirs"] = statistics.mean(_alone(seed) for seed in range(MEMBERS))

    measured = compare(ours, theirs, rounds=7)
    agree(found, within=0.03)
    return measured


def _together(members: int) -> list[float]:
    ensemble = training.Ensemble(ColorAutoencoder, range(members))
    objective, data = ensemble.objective(losses.reconstruction), ensemble.sample(datasets.colors)
    return training.fit(ensemble, data, objective, epochs=EPOCHS, batch_size=BATCH, epoch_size=COLORS)["loss"][-1]


def _alone(seed: int) -> float:
    settings.seed_everything(seed)
    options = {"epochs": EPOCHS, "batch_size": BATCH, "epoch_size": COLORS, "seed": seed}
    return training.fit(ColorAutoencoder(), datasets.colors, losses.reconstruction, **options)["loss"][-1]
