"""The colour autoencoder's pairs."""

import tempfile
from pathlib import Path

import torch
from published_color_loop import PublishedLoop
from side_by_side import compare

from chromae import datasets, losses, settings, training
from chromae.arguments import unchecked
from chromae.figures import frames, pages
from chromae.models.color_autoencoder import ColorAutoencoder, color_map
from chromae.training import Adam

LIMIT = 1 / 36


def color_epoch() -> dict:
    """One epoch of 10,000 colours in batches of 64, an evaluation and a frame: ours against the published loop."""
    published, model = PublishedLoop(), ColorAutoencoder()
    test = datasets.colors(10_000, torch.Generator().manual_seed(1))
    axes = pages.Axes("test MSE", 120, 0.02, 0.08, LIMIT, "linear limit 1/36")
    errors = []

    def evaluate_and_draw(epoch: int, model: ColorAutoencoder, history: dict) -> None:
        errors.append(losses.mse(model(test), test).item())
        picture = pages.frame({"latent plane": color_map(model).numpy()}, [errors], axes, zoom=1)
        frames.save(picture, folder, epoch)

    def ours() -> None:
        training.fit(
            model, datasets.colors, losses.reconstruction,
            epochs=5, batch_size=64, epoch_size=10_000, callback=evaluate_and_draw,
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        return compare(ours, lambda: published.epoch(folder / "published.png"), rounds=21, ours_count=5)


def fit_overhead_cost() -> dict:
    """`fit` against the shortest loop one would write by hand: same model, data, optimiser and threads, five epochs."""

    def bare() -> None:
        model = ColorAutoencoder()
        optimizer = Adam(model.parameters(), lr=1e-3)
        generator = torch.Generator().manual_seed(0)
        with settings.one_thread(), unchecked():  # as `fit` does for so small a model
            for _ in range(5):
                total = 0.0
                for start in range(0, 10_000, 64):
                    colors = datasets.colors(min(64, 10_000 - start), generator)
                    optimizer.zero_grad()
                    loss = losses.mse(model(colors), colors)
                    loss.backward()
                    optimizer.step()
                    total = total + loss.detach()
                total.item()

    def ours() -> None:
        model = ColorAutoencoder()
        training.fit(model, datasets.colors, losses.reconstruction, epochs=5, batch_size=64, epoch_size=10_000)

    return compare(ours, bare, rounds=101, cost=True)
