"""Speed as ratios. `make bench` runs every pair, `bench/run.py NAME…` some of them, without writing.

Writes results/bench.json: a ratio above 1 says how many times faster ours is, or, in a name that ends in `_cost`,
how many times the other side's time ours takes.
"""

import os
import sys

os.environ["TQDM_DISABLE"] = "1"

import colors
import digits
import shapes_drawing

from chromae import results, settings

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
