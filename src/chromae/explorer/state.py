"""The state of an explorer: what the reader changes there, and Python may, and what of it a scene has."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from chromae.arguments.kinds import Count

CHOICES = ("model", "epoch", "dims", "three", "ground", "axes", "hide", "show", "path", "at", "dots", "holes")


def begin(scene: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """What the reader may change, as it is at the beginning: as usual, but for what is given. Raises as `check`."""
    first, grounds, count = scene["models"][0], scene["offers"]["ground"], scene["count"]
    usual = {
        "z": first["start"], "model": 0, "epoch": len(scene["epochs"]) - 1,
        "ground": "plane" if first["decoder"] is not None else "pictures" if "pictures" in grounds else "plain",
        "dots": True, "holes": True, "axes": "pca" if first["size"] > 2 else "dims", "dims": [0, 1],
        "three": [index * (count - 1) // 2 for index in range(3)], "at": [], "hide": [], "path": [], "show": [0, 1, 2],
    }  # fmt: skip
    if unknown := sorted(set(given) - set(usual)):
        raise ValueError(f"state has {unknown[0]!r}, expected some of {', '.join(usual)}")
    state = usual | {name: it.tolist() if isinstance(it, Tensor) else it for name, it in given.items()}
    for name in CHOICES:
        check(name, state[name], scene)
    state["z"] = code(state["z"], scene["models"][state["model"]]["size"]) if "z" in given else usual["z"]
    return state


def check(name: str, value: object, scene: Mapping[str, object]) -> object:
    """One of CHOICES; it comes back. Raises ValueError for what the scene does not have."""
    sizes = [it["size"] for it in scene["models"]]
    of = {  # below which its numbers are to be
        "model": len(sizes), "epoch": len(scene["epochs"]), "dims": min(sizes), "three": scene["count"],
        "hide": len(scene["classes"]), "show": 3,
    }.get(name)  # fmt: skip
    numbers = [value] if name in ("model", "epoch") else value if isinstance(value, list | tuple) else None
    below = numbers is not None and of is not None and all(type(it) is int and 0 <= it < of for it in numbers)
    match name:
        case "ground" | "axes":
            fits, wanted = value in scene["offers"][name], f"one of {', '.join(scene['offers'][name])}"
        case "dots" | "holes":
            fits, wanted = isinstance(value, bool), "True or False"
        case "path" | "at":
            fits = numbers is not None and all(isinstance(it, int | float) and math.isfinite(it) for it in numbers)
            fits = fits and (len(numbers) % 2 == 0 if name == "path" else len(numbers) in (0, *sizes))
            wanted = "finite numbers, " + ("two a point" if name == "path" else "as many as a code has, or none")
        case "model" | "epoch":
            fits, wanted = below, f"0 to {of - 1}"
        case "dims":
            fits, wanted = below and len(numbers) == 2 == len(set(numbers)), f"two different of 0 to {of - 1}"
        case "three":
            fits, wanted = below and len(numbers) == 3, f"three of 0 to {of - 1}"
        case "hide" | "show":
            fits, wanted = below, f"some of 0 to {of - 1}" if of else "an empty list, for there are no classes"
    if not fits:
        raise ValueError(f"{name} is {value}, expected {wanted}")
    return value


def code(z: Sequence[float], size: Count) -> list[float]:
    """A code as plain numbers. Raises ValueError unless it is so many, all of them finite."""
    numbers = [float(it) for it in z]
    if len(numbers) != size or not all(map(math.isfinite, numbers)):
        raise ValueError(f"z holds {len(numbers)} numbers, expected {size}, all of them finite")
    return numbers
