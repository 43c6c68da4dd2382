"""What an explorer shows, in Python: codes decoded, places on its map, paths at an even speed, and a picture of it."""

import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Num, UInt8
from PIL import Image
from torch import Tensor, nn

from chromae import losses
from chromae.arguments.kinds import Count
from chromae.explorer.export import Likelihood
from chromae.models.vae import VAE

SMALL = 256  # colours of the picture that stands in for a widget


@torch.no_grad()
def decoded(
    network: nn.Module, codes: Float[Tensor, "n d"], shape: Sequence[int], likelihood: Likelihood = "bernoulli"
) -> UInt8[np.ndarray, "n height width channels"]:
    """What a network makes of codes, from 0 to 255: of a VAE, the means of its likelihood; colours as single pixels.

    `shape` is that of a code as the network has it.
    """
    return pixels(means(network, codes, shape, likelihood))


def means(
    network: nn.Module, codes: Float[Tensor, "n d"], shape: Sequence[int], likelihood: Likelihood = "bernoulli"
) -> Float[Tensor, "n *shape"]:
    """The same as numbers, from 0 to 1 or about."""
    device = next((it.device for it in network.parameters()), codes.device)
    found = network.eval().decode(codes.view(len(codes), *shape).to(device)).float().cpu()
    if isinstance(network, VAE) and type(network).decode is VAE.decode and likelihood != "gaussian":
        found = torch.sigmoid(found) if likelihood == "bernoulli" else losses.continuous_bernoulli_mean(found)
    return found


def pixels(images: Float[Tensor, "n *shape"]) -> UInt8[np.ndarray, "n height width channels"]:
    """Images, or colours as single pixels, cut to [0, 1], from 0 to 255, their channels last."""
    images = images.view(*images.shape, 1, 1) if images.ndim == 2 else images
    return (255 * images.clamp(0, 1)).round().to(torch.uint8).movedim(1, -1).numpy()


def plane(
    space: Mapping[str, object], axes: str, dims: Sequence[int], three: Float[Tensor, "3 d"]
) -> tuple[Float[Tensor, " d"], Float[Tensor, "2 d"]]:
    """The map's plane through a latent space: its origin, and two directions of length 1 at right angles."""
    size, eye = space["size"], torch.eye(space["size"])
    if axes == "dims" or size == 2:
        return torch.zeros(size), eye[[0, 1] if size == 2 else list(dims)]
    if axes == "three":
        found = []
        for given in (three[1] - three[0], three[2] - three[0], *eye[:3]):  # axes, where the images are on one line
            rest = given - sum((given @ it) * it for it in found)
            if len(found) < 2 and rest.norm() > 1e-6 * given.norm():
                found.append(rest / rest.norm())
        return three[0], torch.stack(found)
    return torch.tensor(space["center"]), torch.tensor(space["axes"][:2])


def strongest(decode: Callable[[Tensor], Tensor], z: Float[Tensor, " d"]) -> Float[Tensor, "2 d"]:
    """The two directions in which what `decode` makes of z changes most, each pointing where directions.js has it."""
    jacobian = torch.autograd.functional.jacobian(decode, z).flatten(0, -2)
    found = torch.linalg.svd(jacobian, full_matrices=False).Vh[:2]
    starts = torch.eye(len(z))[:2] + 0.1 * torch.cos(1 + torch.arange(len(z)))
    return found * (found * starts).sum(1, keepdim=True).sign()


def even(pictures: UInt8[np.ndarray, "n *shape"], count: Count) -> list[int]:
    """`count` of these pictures, from the first to the last, that are about equally far apart: their numbers."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    passed = np.concatenate([[0.0], np.linalg.norm(np.diff(flat, axis=0), axis=1).cumsum()])
    return np.searchsorted(passed, np.linspace(0, passed[-1], count)).clip(0, len(pictures) - 1).tolist()


def enlarged(
    picture: UInt8[np.ndarray, "height width channels"], side: Count = 320
) -> UInt8[np.ndarray, "high wide 3"]:
    """A small picture as a frame of a film: every pixel a square, grey as RGB."""
    times = max(1, side // max(picture.shape[:2]))
    return np.broadcast_to(picture, (*picture.shape[:2], 3)).repeat(times, 0).repeat(times, 1)


def png(
    places: Float[Tensor, "n 2"],
    colors: Num[np.ndarray, "n 3"],
    here: Sequence[float],
    picture: UInt8[np.ndarray, "height width _"],
    titles: tuple[str, str],
) -> bytes:
    """The map with its dots and the finger, and beside it a picture, as a PNG of few colours."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.6), width_ratios=(1.6, 1))
    left.scatter(*places.T, s=4, c=colors, linewidths=0)
    left.plot(*here, "o", markersize=11, markerfacecolor="none", markeredgecolor="black", markeredgewidth=2)
    left.set(xticks=[], yticks=[], title=titles[0])
    right.imshow(np.broadcast_to(picture, (*picture.shape[:2], 3)))
    right.set(title=titles[1])
    right.axis("off")
    return saved(figure)


def saved(figure: plt.Figure) -> bytes:
    """A figure as a PNG of 256 colours, and the figure closed."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    plt.close(figure)
    Image.open(buffer).convert("RGB").quantize(SMALL).save(small, format="png", optimize=True)
    return small.getvalue()
