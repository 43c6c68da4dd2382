"""The explorer as one self-contained page."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Num
from torch import Tensor, nn

from chromae.explorer import page, scene


def save_html(
    model: nn.Module | Sequence[tuple[str, nn.Module]],
    data: Num[Tensor, "n *shape"],
    labels: Num[Tensor, " n"] | None = None,
    path: str | Path = "explorer.html",
    **options: object,
) -> Path:
    """Write a page that opens from disk and asks no network: the latent space of a model, or of two, under a finger.

    `options` are those of `scene.make`, which says what everything is and what it raises. Returns the path.
    """
    page.check_path(path)
    made, blob = scene.make(model, data, labels, **options)
    return page.save(path, "explore", made, blob, title=str(made["title"]))
