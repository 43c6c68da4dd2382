"""Training a VAE on digits: `fit` against pythae's trainer."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from ceilings import matrix_product, work
from side_by_side import agree, compare

from chromae import datasets, losses, settings, training
from chromae.models import conv, dense, vae

BATCH, SHAPE = 128, (1, 28, 28)


class Kind(NamedTuple):
    make: Callable[[], vae.VAE]
    digits: int


KINDS = {
    "mlp": Kind(lambda: vae.VAE(dense.encoder(SHAPE, [400], 40), dense.decoder(20, [400], SHAPE)), 12_800),
    "conv": Kind(lambda: vae.VAE(conv.shallow_encoder(40), conv.shallow_decoder(20)), 2_560),
}


def vae_mlp_vs_pythae() -> dict:
    """An epoch of 12,800 digits, batch 128, through a VAE of 784-400-20: `fit` against pythae's trainer, at one loss.

    The same layers, start, data and PyTorch. Ours: bytes in memory, logits, fused Adam, bfloat16 where the hardware
    has it. Theirs, in a process and an environment of its own: as it comes, with what it does beside, a copy of the
    best weights and the model saved. GFLOP/s count matrix products, beside what the machine reaches in one of 2048².
    """
    return _against_pythae("mlp")


def vae_conv_vs_pythae() -> dict:
    """The same for the shallow convolutional VAE and 2,560 digits."""
    return _against_pythae("conv")


def _against_pythae(name: str, rounds: int = 11) -> dict:
    from pythae_environment import trainer  # here, for pythae's own process imports this module, too

    kind, objective = KINDS[name], vae.elbo_objective(losses.bernoulli)
    images, found = datasets.digits()[0].images[: kind.digits], {}

    def ours() -> None:
        torch.manual_seed(0)
        model = kind.make().to(memory_format=torch.channels_last)
        found["ours"] = training.fit(model, images, objective, epochs=1, batch_size=BATCH, bf16=True)["loss"][-1]

    with trainer(name, kind.digits) as train:

        def theirs() -> None:
            found["theirs"] = train()

        measured = compare(ours, theirs, rounds)
    agree(found, within=0.03)
    model, x = kind.make(), images[:BATCH] / 255
    flops = work(lambda: objective(model, x)["loss"].backward()).flops * kind.digits / BATCH
    cpu, half = torch.device("cpu"), {"bfloat16": torch.bfloat16} if settings.has_bf16("cpu") else {}
    peaks = {name: matrix_product(cpu, dtype) for name, dtype in ({"float32": torch.float32} | half).items()}
    return (
        measured
        | {f"gflops_{side}": flops / measured[f"seconds_{side}"] / 1e9 for side in ("ours", "theirs")}
        | {f"gflops_peak_{name}": peak for name, peak in peaks.items()}
    )
