"""The bytes beside a scene: numbers, networks and pictures, one after the other, found by where they begin."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from chromae.explorer import export


class Blob:
    """Bytes that grow; what is added is found by `{"at", "length"}`."""

    def __init__(self):
        self.parts: list[bytes] = []
        self.length = 0

    def add(self, data: bytes) -> dict[str, object]:
        """Where these bytes lie now."""
        at = self.length
        self.parts.append(data)
        self.length += len(data)
        return {"at": at, "length": len(data)}

    def numbers(self, values: Float[Tensor, "n d"]) -> dict[str, object]:
        """Where these numbers lie: two bytes each where there are many and half precision holds them, else four."""
        lost = (values.half().float() - values).abs().amax(0)  # infinite beyond what half precision holds
        half = values.shape[1] > 4 and bool((lost <= 1e-2 * values.std(0, correction=0)).all())
        kind = torch.float16 if half else torch.float32
        return self.add(values.to(kind).numpy().tobytes()) | {"type": "half" if half else "float"}

    def networks(self, epochs: Sequence[export.Exported]) -> dict[str, object]:
        """A network of several epochs: its layers once if all have the same, its weights one after the other.

        `weights` are one place for each epoch or, where all are of one length, the first, after which the others lie.
        """
        layers = [one.layers for one in epochs]
        weights = [self.add(one.weights) for one in epochs]
        return {
            "layers": layers[:1] if all(one == layers[0] for one in layers) else layers,
            "weights": weights[:1] if len({len(one.weights) for one in epochs}) == 1 else weights,
            "epochs": len(epochs),
            "inputs": list(epochs[0].inputs),
            "outputs": list(epochs[0].outputs),
        }

    def bytes(self) -> bytes:
        """All of them."""
        return b"".join(self.parts)
