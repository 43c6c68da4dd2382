"""The colour lab: a page in which the autoencoder of notebook 01 trains live, and flickers if you tell it to."""

from pathlib import Path

from chromae.explorer import page

STATE = {
    "slip": "step", "loss": "mse", "lr": "0.001", "batch": "64", "hidden": "", "seed": "0", "pace": "watch",
    "turn": 0.1,
}  # fmt: skip
CHOICES = {  # of all switches, as lab.js names them
    "slip": ["step", "epoch"], "loss": ["mse", "triplet"], "lr": ["0.0001", "0.001", "0.003", "0.01"],
    "batch": ["16", "64", "256", "1000"], "hidden": ["", "16", "16-16", "64-64"], "seed": ["0", "1", "2", "3", "4"],
    "pace": ["watch", "fast"],
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
    "state": STATE,
}


def save_lab(path: str | Path) -> Path:
    """Write the lab as one page that opens from disk and asks no network; returns the path.

    Raises ValueError if its folder is not there.
    """
    if not Path(path).parent.is_dir():
        raise ValueError(f"path is {path}, but there is no folder {Path(path).parent}")
    return page.save(path, "lab", SCENE, title=f"{SCENE['title']} · Chromae")
