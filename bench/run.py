"""Speed as ratios, and memory. `make bench` runs every pair, `bench/run.py NAME…` some of them.

Writes results/bench.json, or renews these pairs in it if the others come from the same device and versions. A ratio
above 1 says how many times faster ours is, or, in a name that ends in `_cost`, how many times the other side's time
ours takes. `peak_mb_ours` and `peak_mb_theirs` are what each side takes in a process of its own, beyond what that
holds once it is ready: Python, PyTorch and the data. A pair that fails costs none of the others.
"""

import json
import os
import subprocess
import sys

os.environ["TQDM_DISABLE"] = "1"

import animation
import colors
import digits
import ensembles
import excitation_steps
import kept_memory
import loaders
import photo_training
import shapes_drawing
import side_by_side
import vae_pairs

from chromae import settings
from chromae.records import results

PAIRS = {
    "color_epoch": colors.color_epoch,
    "fit_overhead_cost": colors.fit_overhead_cost,
    "ensemble_32_cost": ensembles.ensemble_32_cost,
    "ensemble_32_vs_in_turn": ensembles.ensemble_32_vs_in_turn,
    "cb_log_density": digits.cb_log_density,
    "iwae_5000": digits.iwae_5000,
    "vae_mlp_train": digits.vae_mlp_train,
    "vae_conv_train": digits.vae_conv_train,
    "vae_mlp_vs_pythae": vae_pairs.vae_mlp_vs_pythae,
    "vae_conv_vs_pythae": vae_pairs.vae_conv_vs_pythae,
    "digits_loader": loaders.digits_loader,
    "photos_loader": loaders.photos_loader,
    "shapes_render": shapes_drawing.shapes_render,
    "shapes_render_vs_rgb4x": shapes_drawing.shapes_render_vs_rgb4x,
    "shapes_data_cost": shapes_drawing.shapes_data_cost,
    "photos_train": photo_training.photos_train,
    "palette_step": excitation_steps.palette_step,
    "kept_memory": kept_memory.kept_memory,
    "animation_vs_matplotlib": animation.animation_vs_matplotlib,
}
SIDES = ("ours", "theirs")
ALONE = "--peak="  # with a side: how much memory it takes in this pair


def peaks(name: str) -> dict[str, float]:
    """MB that each side of a pair takes, in a process of its own. Raises RuntimeError if one ends badly."""
    found = {}
    for side in SIDES:
        done = subprocess.run([sys.executable, __file__, ALONE + side, name], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"the memory of {side} was not measured")
        found[f"peak_mb_{side}"] = float(done.stdout.split()[-1])
    return found


def peak(side: str, name: str) -> float:
    """MB that a side of a pair takes in this process."""
    side_by_side.alone = side
    try:
        PAIRS[name]()
    except side_by_side.Peak as peak:
        return peak.args[0]
    finally:
        side_by_side.alone = None


def main(arguments: list[str]) -> None:
    if len(arguments) > 1 and arguments[0].startswith(ALONE):
        print(peak(arguments[0].removeprefix(ALONE), arguments[1]))
        return
    chosen = arguments or list(PAIRS)
    if unknown := set(chosen) - set(PAIRS):
        sys.exit(f"unknown pair {', '.join(sorted(unknown))}, expected some of: {', '.join(PAIRS)}")
    path = settings.ROOT / "results" / "bench.json"
    measured, failed = {}, []
    for name in chosen:
        try:
            measured[name] = PAIRS[name]() | peaks(name)
        except side_by_side.Skipped as reason:
            print(f"{name:24} skipped: {reason}")
            continue
        except Exception as error:  # the pairs before and after it took their time, too
            print(f"{name:24} failed: {type(error).__name__}: {error}")
            failed.append(name)
            continue
        print(
            "{name:24} {ratio:8.3f} ×  (95 %: {bound:.3f}; from {low:.3f} to {high:.3f} over {n} rounds; at most "
            "{peak_mb_ours:,.0f} MB against {peak_mb_theirs:,.0f})".format(name=name, **measured[name])
        )
    made = {"device": settings.device_name("cpu"), "versions": results.versions()}
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = made.items() <= earlier.items()
    if same or (chosen == list(PAIRS) and not (failed and earlier)):
        pairs = (earlier["pairs"] if same else {}) | measured
        record = made | {"pairs": {name: pairs[name] for name in PAIRS if name in pairs}}
        print(f"wrote {results.write_json(path, record).relative_to(settings.ROOT)}")
    else:
        print(f"{path.relative_to(settings.ROOT)} stays: it is of another machine or other versions; measure all")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
