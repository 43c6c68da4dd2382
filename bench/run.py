"""Speed as ratios: both sides of a pair run in turns, in one process, on one machine. `make bench` runs it.

Writes results/bench.json: a ratio above 1 says how many times faster ours is, or, in a name that ends in `_cost`,
how many times the other side's time ours takes.
"""

import functools
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"

import torch
from published_color_loop import PublishedLoop
from torch.distributions import ContinuousBernoulli, Normal

from chromae import datasets, drawing, frames, losses, metrics, results, settings, training
from chromae.models import dense, vae
from chromae.models.color import ColorAutoencoder, color_map
from chromae.optimizers import Adam

LIMIT = 1 / 36


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, *, ours_count: int = 1, cost: bool = False
) -> dict:
    """Run both in turns, first once each to warm up; the ratio of every round's times, its median and its range.

    `ours_count` says how many of their units of work one call of ours does.
    """
    ours(), theirs()
    ratios = []
    for turn in range(rounds):
        first, second = (ours, theirs) if turn % 2 else (theirs, ours)
        times = {first: seconds(first), second: seconds(second)}
        ratio = times[theirs] * ours_count / times[ours]
        ratios.append(1 / ratio if cost else ratio)
    return {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios), "n": rounds}


def color_epoch() -> dict:
    """One epoch of 10,000 colours in batches of 64, an evaluation and a frame: ours against the published loop."""
    folder = Path(tempfile.mkdtemp())
    published, model = PublishedLoop(), ColorAutoencoder()
    test = datasets.colors(10_000, torch.Generator().manual_seed(1))
    axes = drawing.Axes("test MSE", 120, 0.02, 0.08, LIMIT, "linear limit 1/36")
    errors = []

    def evaluate_and_draw(epoch: int, model: ColorAutoencoder, history: dict) -> None:
        errors.append(losses.mse(model(test), test).item())
        picture = drawing.frame({"latent plane": color_map(model)}, [errors], axes, zoom=1)
        frames.save(picture, folder, epoch)

    def ours() -> None:
        training.fit(
            model, datasets.colors, losses.reconstruction,
            epochs=5, batch_size=64, epoch_size=10_000, callback=evaluate_and_draw,
        )  # fmt: skip

    return compare(ours, lambda: published.epoch(folder / "published.png"), rounds=21, ours_count=5)


def fit_overhead_cost() -> dict:
    """`fit` against the shortest loop that one would write by hand, same model, data and optimiser, five epochs."""

    def bare() -> None:
        model = ColorAutoencoder()
        optimizer = Adam(model.parameters(), lr=1e-3)
        generator = torch.Generator().manual_seed(0)
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

    return compare(ours, bare, rounds=41, cost=True)


def cb_log_density() -> dict:
    """The continuous Bernoulli's log-density and its gradient, 128 digits: ours against torch.distributions."""
    x = torch.rand(128, 784, generator=torch.Generator().manual_seed(0))
    logits = (20 * torch.rand(128, 784, generator=torch.Generator().manual_seed(1)) - 10).requires_grad_()

    def ours() -> None:
        for _ in range(20):
            losses.continuous_bernoulli(logits, x).mean().backward()

    def theirs() -> None:
        for _ in range(20):
            (-ContinuousBernoulli(logits=logits).log_prob(x).sum(1)).mean().backward()

    return compare(ours, theirs, rounds=31)


def iwae_5000() -> dict:
    """IWAE with 5,000 samples of 32 digits: ours against encoding anew for every chunk, one image at a time."""
    torch.manual_seed(0)
    model = vae.VAE(dense.encoder((1, 28, 28), [500, 500], 40), dense.decoder(20, [500, 500], (1, 28, 28)))
    images = torch.rand(32, 1, 28, 28)

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        estimates = []
        for image in images.split(1):
            weights = []
            for _ in range(100):
                mean, log_variance = model.encoder(image.expand(50, -1, -1, -1)).chunk(2, dim=1)
                posterior = Normal(mean, torch.exp(log_variance / 2))
                z = posterior.sample()
                log_joint = Normal(0.0, 1.0).log_prob(z).sum(1) - losses.bernoulli(
                    model.decoder(z), image.expand(50, -1, -1, -1)
                )
                weights.append(log_joint - posterior.log_prob(z).sum(1))
            estimates.append(torch.cat(weights).logsumexp(0) - math.log(5000))
        return torch.stack(estimates)

    ours = functools.partial(metrics.iwae, model, images, losses.bernoulli, samples=5000)
    torch.testing.assert_close(ours().mean(), theirs().mean(), atol=2.0, rtol=0)  # the same estimate, drawn anew
    return compare(ours, theirs, rounds=5)


PAIRS = {
    "color_epoch": color_epoch,
    "fit_overhead_cost": fit_overhead_cost,
    "cb_log_density": cb_log_density,
    "iwae_5000": iwae_5000,
}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(PAIRS)
    if unknown := set(chosen) - set(PAIRS):
        sys.exit(f"unknown pair {', '.join(sorted(unknown))}, expected some of: {', '.join(PAIRS)}")
    path = settings.ROOT / "results" / "bench.json"
    measured = {}
    for name in chosen:
        measured[name] = PAIRS[name]()
        print(
            "{name:20} {ratio:8.3f} ×  (from {low:.3f} to {high:.3f} over {n} rounds)".format(
                name=name, **measured[name]
            )
        )
    if chosen == list(PAIRS):
        record = {"device": settings.device_name("cpu"), "versions": results.versions(), "pairs": measured}
        print(f"wrote {results.write_json(path, record).relative_to(settings.ROOT)}")
