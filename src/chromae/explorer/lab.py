"""The colour lab: a page in which the autoencoder of notebook 01 trains live, and flickers if you tell it to."""

import math
from pathlib import Path

from chromae.explorer import page

OPTIONS = {  # each switch in words, and what it can be set to, in words
    "slip": ["zero the gradients", [["step", "every step"], ["epoch", "once an epoch (the slip)"]]],
    "loss": ["loss", [["mse", "MSE"], ["triplet", "MSE + triplet, margin 1"]]],
    "lr": ["learning rate", [["0.0001", "0.0001"], ["0.001", "0.001"], ["0.003", "0.003"], ["0.01", "0.01"]]],
    "batch": ["batch", [["16", "16"], ["64", "64"], ["256", "256"], ["1000", "1,000"]]],
    "hidden": ["hidden layers", [["", "none: 17 numbers"], ["16", "16"], ["16-16", "16, 16"], ["64-64", "64, 64"]]],
    "seed": ["seed", [["0", "0"], ["1", "1"], ["2", "2"], ["3", "3"], ["4", "4"]]],
    "pace": ["pace", [["watch", "every epoch, three a second"],
                      ["fast", "as fast as it trains, seen three times a second"]]],
}  # fmt: skip
STATE = {
    "slip": "step", "loss": "mse", "lr": "0.001", "batch": "64", "hidden": "", "seed": "0", "pace": "watch",
    "turn": 0.1,
}  # fmt: skip
SCENE = {
    "title": "The colour lab",
    "intro": [
        "Every colour is squeezed through two numbers and decoded again, by a network of 17 numbers that learns here, "
        "in this page, from 10,000 fresh random colours an epoch. Its decoder alone is the picture: every point of the "
        "plane is a pair of numbers, in the colour that they are decoded to.",
        "Press Run. Then let it zero its gradients only once an epoch, which is what a published loop did by one "
        "misplaced line: the switch acts from the next epoch on. The plane starts to flicker, and the curve of its "
        "changes jumps tenfold. Move it back, and it calms down.",
    ],
    "note": "Blue: gradients zeroed every step, orange: once an epoch. The address of this page holds the settings, "
    "and the same settings give the same run. Notebook 01 tells the story, with 32 seeds for every claim.",
    "options": OPTIONS,
    "state": STATE,
}


def check(name: str, value: object) -> str | float:
    """A setting of the lab's, as the page wants it. Raises ValueError for what its switches do not have."""
    if name not in OPTIONS:
        fits, wanted = isinstance(value, int | float) and math.isfinite(value), "a finite number"
    else:
        values = [it for it, _ in OPTIONS[name][1]]
        fits, wanted = value in values, f"one of {', '.join(map(repr, values))}"
    if not fits:
        raise ValueError(f"{name} is {value!r}, expected {wanted}")
    return value if name in OPTIONS else float(value)


def save_lab(path: str | Path) -> Path:
    """Write the lab as one page that opens from disk and asks no network; returns the path.

    Raises ValueError if its folder is not there, or if it is a folder itself.
    """
    page.check_path(path)
    return page.save(path, "lab", SCENE, title=f"{SCENE['title']} · Chromae")
