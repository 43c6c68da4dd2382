"""Does a GPU compute what the CPU does, how fast, and how near to what it can? `make gpu-check`, about ten minutes.

Five cases, on noise of the data's size: nothing is fetched. Writes results/gpu.json; with `--device cpu`, to try it
out, build/gpu.json, and in the preset "fast", which measures next to nothing, a file in a temp folder.
"""

import argparse
import copy
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ["TQDM_DISABLE"] = "1"

import torch
from ceilings import bandwidth, matrix_product, settled, work
from side_by_side import seconds
from torch import Generator, Tensor, nn

from chromae import datasets, losses, settings, training
from chromae.models import conv, convex, dense, photos, vae
from chromae.models.autoencoder import Autoencoder, clamp
from chromae.models.color_autoencoder import ColorAutoencoder
from chromae.records import results

DIGIT, PHOTO = (1, 28, 28), (3, 32, 32)
CPU = torch.device("cpu")
GRADIENTS, LOSSES = 1e-3, 1e-2  # how far a GPU may be from the CPU, as a part of what the CPU has


class Case(NamedTuple):
    """A model and what it trains on: `sample(n, generator)`, drawn for every batch if `drawn`, else kept in memory."""

    make: Callable[[], nn.Module]
    sample: datasets.Sample
    objective: Callable
    batch: int
    drawn: bool = False
    bf16: bool = False
    quiet: Callable | None = None  # the objective without noise, which every device draws otherwise


class Size(NamedTuple):
    """How much is measured: steps of a run, runs, steps beside the CPU, width of a matrix, MB of a copy."""

    steps: int
    rounds: int
    beside: int
    matrix: int
    megabytes: int


def noise(*shape: int) -> datasets.Sample:
    return lambda n, generator: torch.randint(
        256, (n, *shape), dtype=torch.uint8, generator=generator, device=generator.device
    )


def means(model: vae.VAE, x: Tensor) -> dict[str, Tensor]:
    """The objective of a VAE whose codes are its posteriors' means."""
    mean, log_variance = model.posterior(x)
    return {"loss": (losses.bernoulli(model.decode(mean), x) + losses.kl(mean, log_variance).sum(1)).mean()}


def dense_vae() -> nn.Module:
    return vae.VAE(dense.encoder(DIGIT, [500, 500], 40), dense.decoder(20, [500, 500], DIGIT))


def conv_vae() -> nn.Module:
    return vae.VAE(conv.shallow_encoder(40), conv.shallow_decoder(20))


def shapes_model() -> nn.Module:
    return Autoencoder(conv.shapes_encoder(128), convex.ConvexDecoder(128), clamp)


elbo = vae.elbo_objective(losses.bernoulli)
CASES = {
    "colors": Case(ColorAutoencoder, datasets.colors, losses.reconstruction, 64, drawn=True),
    "digits_dense": Case(dense_vae, noise(*DIGIT), elbo, 128, quiet=means),
    "digits_conv": Case(conv_vae, noise(*DIGIT), elbo, 128, bf16=True, quiet=means),
    "photos": Case(lambda: photos.small((32, 64), 16), noise(*PHOTO), losses.reconstruction, 128, bf16=True),
    "shapes": Case(
        shapes_model, datasets.shape_images(), convex.sparse_reconstruction_objective(), 32, drawn=True, bf16=True
    ),
}


def parity(case: Case, device: torch.device, steps: int) -> tuple[float, float]:
    """How far the gradients of a batch, and the loss after these steps of `fit`, are from the CPU's, both in float32.

    Parts of the norm and of the loss that the CPU has, from the same weights, examples and order of them.
    """
    torch.manual_seed(0)
    start, objective = case.make(), case.quiet or case.objective
    data = case.sample(case.batch * steps, Generator().manual_seed(0))
    gradients, ends = [], []
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for where in (CPU, device):
            model, batch = copy.deepcopy(start).to(where), data[: case.batch].to(where)
            torch.manual_seed(0)
            objective(model, batch / 255 if batch.dtype == torch.uint8 else batch)["loss"].backward()
            gradients.append(torch.cat([one.grad.flatten().cpu().double() for one in model.parameters()]))
            history = training.fit(model, data, objective, epochs=1, batch_size=case.batch)
            ends.append(history["loss"][-1])
    error = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    return error.item(), abs(ends[1] / ends[0] - 1)


def rate(case: Case, device: torch.device, size: Size) -> float:
    """Images a second of `fit`, median of several runs."""
    count = case.batch * size.steps
    model = case.make().to(device, memory_format=torch.channels_last)
    data = case.sample if case.drawn else case.sample(count, Generator(device).manual_seed(0))

    def run() -> None:
        training.fit(
            model, data, case.objective, epochs=1, batch_size=case.batch, bf16=case.bf16,
            epoch_size=count if case.drawn else None,
        )  # fmt: skip
        settled(device)

    run()
    return count / statistics.median(seconds(run) for _ in range(size.rounds))


def ceilings(device: torch.device, size: Size) -> dict[str, float]:
    """GFLOP/s of matrix products by precision: "tf32" is float32 as tensor cores round it."""
    found = {"float32": matrix_product(device, torch.float32, size.matrix)}
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        found["tf32"] = matrix_product(device, torch.float32, size.matrix)
        torch.set_float32_matmul_precision("highest")
    if settings.has_bf16(device):
        found["bfloat16"] = matrix_product(device, torch.bfloat16, size.matrix)
    return found


def measure(name: str, device: torch.device, size: Size, peaks: dict[str, float], copied: float) -> dict[str, dict]:
    """All metrics of a case. Those in float32 are measured with TF32 as well, where there is such a thing."""
    case = CASES[name]
    gradients, ends = parity(case, device, size.beside)
    made = {
        f"gradient_error_{name}": results.metric(gradients, "of the norm on the CPU, float32"),
        f"loss_error_{name}": results.metric(ends, f"of the loss on the CPU after {size.beside} steps, float32"),
    }
    model = case.make().to(device, memory_format=torch.channels_last)
    batch = case.sample(case.batch, Generator(device).manual_seed(0))
    x = batch / 255 if batch.dtype == torch.uint8 else batch
    with settings.mixed_precision(device, case.bf16):
        asked = work(lambda: case.objective(model, x)["loss"].backward())
    half = case.bf16 and "bfloat16" in peaks
    for precision in ["bfloat16"] if half else [one for one in ("float32", "tf32") if one in peaks]:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        found, end = rate(case, device, size), "_tf32" if precision == "tf32" else ""
        steps = found / case.batch
        made |= {
            f"images_per_second_{name}{end}": results.metric(found, f"a second, {precision}, median of {size.rounds}"),
            f"matmul_share_{name}{end}": results.metric(
                asked.flops * steps / 1e9 / peaks[precision], f"of the GFLOP/s measured in a {precision} matrix product"
            ),
            f"bandwidth_share_{name}{end}": results.metric(
                asked.bytes * steps / 1e9 / copied, "of the GB/s measured in a copy, as if nothing were cached"
            ),
        }
    torch.set_float32_matmul_precision("highest")
    return made


def check(device: torch.device, size: Size) -> dict[str, dict]:
    """All metrics: the device's ceilings, then every case."""
    copied, peaks = bandwidth(device, size.megabytes), ceilings(device, size)
    made = {"copy_gb_per_second": results.metric(copied, "GB/s, read and written")}
    made |= {f"matmul_gflops_{name}": results.metric(peak, "GFLOP/s") for name, peak in peaks.items()}
    for name in CASES:
        found = measure(name, device, size, peaks, copied)
        for key, one in found.items():
            print(f"{key:34} {one['value']:14,.6g}  {one['unit']}", flush=True)
        made |= found
    return made


def too_far(metrics: dict[str, dict]) -> list[str]:
    """The metrics of parity that are not within what a GPU may differ by."""
    limits = {"gradient_error_": GRADIENTS, "loss_error_": LOSSES}
    return [name for start, limit in limits.items() for name, one in metrics.items()
            if name.startswith(start) and not one["value"] <= limit]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="instead of the GPU that PyTorch finds, such as cuda:1")
    chosen = parser.parse_args().device
    try:
        device = torch.device(chosen) if chosen else torch.accelerator.current_accelerator(check_available=True)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        sys.exit(f"--device is {chosen}, which PyTorch cannot use ({f'{error}'.splitlines()[0]})")
    if device is None:
        sys.exit("PyTorch sees no GPU on this machine: gpu-check needs one")
    started = time.perf_counter()
    size = Size(2, 1, 2, 128, 4) if settings.preset() == "fast" else Size(200, 5, 20, 8192, 1024)
    metrics = check(device, size)
    folder = settings.ROOT / ("build" if device.type == "cpu" else "results")
    if settings.preset() == "fast":
        folder = Path(tempfile.mkdtemp())
    path = results.write(
        folder, "gpu", data="noise, drawn shapes", device=device, seconds=time.perf_counter() - started, metrics=metrics
    )
    print(f"wrote {path}")
    if far := too_far(metrics):
        sys.exit(f"{settings.device_name(device)} does not compute what the CPU does: see {', '.join(far)}")


if __name__ == "__main__":
    main()
