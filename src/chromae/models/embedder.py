"""Convolutional embeddings of shapes, for contrastive learning."""

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from chromae.arguments import gave
from chromae.arguments.kinds import Count
from chromae.arguments.precision import full

Pairs = Float[Tensor, "n 2 3 height width"]
LabelledPairs = tuple[Pairs, Float[Tensor, "n k"]]


class Embedder(nn.Module):
    """Seven convolutions, four of them strided, then the mean over what is left: n × 3 × h × w → n × `dimensions`.

    No fully connected layer at the end. Batch norm keeps the embeddings of different images apart from the first
    step on; without it a fresh deep net maps all images to one direction, from which InfoNCE hardly finds a way
    (`norm=False` shows it).
    """

    def __init__(
        self, dimensions: Count = 128, widths: tuple[Count, ...] = (16, 32, 32, 64, 64, 128), norm: bool = True
    ):
        super().__init__()
        if not widths:
            raise ValueError("widths is empty, expected one convolution's or more")
        layers = []
        for index, (inside, out) in enumerate(pairwise([3, *widths])):
            layers.append(nn.Conv2d(inside, out, 3, stride=2 if index < 4 else 1, padding=1))
            if norm:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], dimensions, 3, padding=1))

    def encode(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n dimensions"]:
        return self.layers(images - 0.5).mean((2, 3))

    def forward(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n dimensions"]:
        return self.encode(images)


def contrastive_objective(
    loss: Callable[..., Tensor],
) -> Callable[[nn.Module, Pairs | LabelledPairs], dict[str, Tensor]]:
    """Objective of an embedder on pairs: `loss(anchor, positive)` of their embeddings.

    If a batch is (pairs, labels), `loss(anchor, positive, labels)`, a label belonging to anchor and positive.
    """

    def objective(model: nn.Module, batch: Pairs | LabelledPairs) -> dict[str, Tensor]:
        pairs, *labels = batch if isinstance(batch, tuple) else (batch,)
        anchor, positive = (
            full(gave("model.encode", model.encode(pairs.flatten(0, 1)), Float[Tensor, "_ d"]))
            .unflatten(0, (-1, 2))
            .unbind(1)
        )
        return {"loss": gave("loss", loss(anchor, positive, *labels), Float[Tensor, ""])}

    return objective
