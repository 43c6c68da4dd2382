"""Speed as ratios. `make bench` runs every pair, `bench/run.py NAME…` some of them.

Writes results/bench.json, or renews these pairs in it if the others come from the same device and versions. A ratio
above 1 says how many times faster ours is, or, in a name that ends in `_cost`, how many times the other side's time
ours takes.
"""

import json
import os
import sys

os.environ["TQDM_DISABLE"] = "1"

import colors
import digits
import excitation_steps
import photo_training
import shapes_drawing

from chromae import settings
from chromae.records import results

PAIRS = {
    "color_epoch": colors.color_epoch,
    "fit_overhead_cost": colors.fit_overhead_cost,
    "cb_log_density": digits.cb_log_density,
    "iwae_5000": digits.iwae_5000,
    "vae_mlp_train": digits.vae_mlp_train,
    "vae_conv_train": digits.vae_conv_train,
    "shapes_render": shapes_drawing.shapes_render,
    "shapes_render_vs_rgb4x": shapes_drawing.shapes_render_vs_rgb4x,
    "shapes_data_cost": shapes_drawing.shapes_data_cost,
    "photos_train": photo_training.photos_train,
    "palette_step": excitation_steps.palette_step,
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
            "{name:20} {ratio:8.3f} ×  (95 %: {bound:.3f}; from {low:.3f} to {high:.3f} over {n} rounds)".format(
                name=name, **measured[name]
            )
        )
    made = {"device": settings.device_name("cpu"), "versions": results.versions()}
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = made.items() <= earlier.items()
    if same or chosen == list(PAIRS):
        pairs = (earlier["pairs"] if same else {}) | measured
        record = made | {"pairs": {name: pairs[name] for name in PAIRS if name in pairs}}
        print(f"wrote {results.write_json(path, record).relative_to(settings.ROOT)}")
