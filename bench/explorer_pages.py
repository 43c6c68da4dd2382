"""The explorer in a browser: how exact, how fast, how large. Writes results/explorer.json; run by `make bench`."""

import base64
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import pytest
import torch
from browser import chromium, executable

from chromae import settings
from chromae.explorer import exhibits, export, page
from chromae.models import conv, convex, dense
from chromae.models.autoencoder import Autoencoder, clamp
from chromae.models.vae import VAE
from chromae.records import results, weights

ROUNDS, MILLISECONDS = 9, 700
MADE = """([exported, weights]) => {
  const bytes = Uint8Array.from(atob(weights), (c) => c.charCodeAt(0)).buffer;
  window.made = network(exported, bytes);
}"""
DECODE = "(codes) => codes.map((z) => Array.from(made.run(Float64Array.from(z))))"
TIMED = """([z, milliseconds]) => {
  const code = Float64Array.from(z), start = performance.now();
  let count = 0;
  for (; performance.now() - start < milliseconds; count++) made.run(code);
  return (1000 * count) / (performance.now() - start);
}"""
LAB = """(epochs) => {
  const made = trainer(DEFAULTS), start = performance.now();
  for (let n = 0; n < epochs; n++) { made.epoch(); made.error(); }
  return [(1000 * epochs) / (performance.now() - start), made.error()];
}"""


def loaded(opened, exported):
    told = {"layers": exported.layers, "inputs": exported.inputs, "outputs": exported.outputs}
    opened.evaluate(MADE, [told, base64.b64encode(exported.weights).decode()])


def pixel_error(opened) -> float:
    """The worst pixel of all published decoders, of 255."""
    worst = 0.0
    images = {"di": (1, 28, 28), "ph": (3, 32, 32), "sh": (3, 128, 128), "co": (3,)}
    for name in weights.names():
        model = weights.pretrained(name)
        model = model[-1] if isinstance(model, torch.nn.ModuleList) else model
        if not hasattr(model, "decode") or not hasattr(model, "encode"):
            continue
        with torch.no_grad():
            x = torch.rand(3, *images[name[:2]], generator=torch.Generator().manual_seed(0))
            codes = model.encode(x)
            expected = model.decode(codes)
            expected = torch.sigmoid(expected) if isinstance(model, VAE) else expected.clamp(0, 1)
        loaded(opened, export.decoder(model, tuple(codes.shape[1:])))
        found = torch.tensor(opened.evaluate(DECODE, codes.flatten(1).tolist()))
        expected = expected.movedim(1, -1).flatten(1)
        worst = max(worst, 255 * (found - expected).abs().max().item())
    return worst


def speeds(opened) -> dict[str, float]:
    """Decodes a second, each the median of nine."""
    torch.manual_seed(0)
    shape = [1, 28, 28]
    made = {
        "conv": (Autoencoder(conv.shallow_encoder(2), conv.shallow_decoder(2)), 2),
        "dense": (Autoencoder(dense.encoder(shape, [500, 500], 2), dense.decoder(2, [500, 500], shape)), 2),
        "convex": (Autoencoder(conv.shapes_encoder(128), convex.ConvexDecoder(128), clamp), 128),
    }
    found = {}
    for name, (model, latent) in made.items():
        loaded(opened, export.decoder(model, [latent]))
        z = torch.randn(latent).tolist()
        found[name] = statistics.median(opened.evaluate(TIMED, [z, MILLISECONDS]) for _ in range(ROUNDS))
    return found


def sizes() -> dict[str, int]:
    """Bytes of the gallery's pages."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for one in exhibits.EXHIBITS:
            name = one.file.removesuffix(".html")
            if name in ("colors", "digits", "shapes", "photos"):
                found[name] = one.write(Path(folder) / one.file).stat().st_size
    return found


if __name__ == "__main__":
    try:
        executable()
    except (pytest.skip.Exception, pytest.fail.Exception) as reason:
        sys.exit(f"{reason}")
    started = time.perf_counter()
    with chromium() as browser:
        opened = browser.new_page()
        opened.set_content(f"<script>{page.bundle('layers', 'train')}</script>")
        worst, decodes = pixel_error(opened), speeds(opened)
        epochs = statistics.median(opened.evaluate(LAB, 30)[0] for _ in range(ROUNDS))
        mse = opened.evaluate(LAB, 120)[1]
        name = f"Chromium {browser.version}"
    per_second = f"a second, median of {ROUNDS}"
    metrics = {"pixel_error_worst": results.metric(worst, "1/255, all published decoders")}
    metrics |= {f"decodes_per_second_{key}": results.metric(it, per_second) for key, it in decodes.items()}
    metrics |= {
        "lab_epochs_per_second": results.metric(epochs, f"{per_second}, 10,000 colours each, with the test error"),
        "lab_mse_120": results.metric(mse, "MSE on [0,1], epoch 120, seed 0, zeroed every step"),
    }
    metrics |= {f"bytes_{key}": results.metric(float(it), "bytes") for key, it in sizes().items()}
    record = {
        "notebook": "explorer", "preset": settings.preset(), "device": f"{settings.device_name('cpu')}, {name}",
        "data": "published weights, fresh networks, the gallery's pages", "versions": results.versions(),
        "seconds": round(time.perf_counter() - started), "metrics": metrics,
    }  # fmt: skip
    for key, it in metrics.items():
        print(f"{key:28} {it['value']:12,.5f}  {it['unit']}")
    print(f"wrote {results.write_json(settings.ROOT / 'results' / 'explorer.json', record).relative_to(settings.ROOT)}")
