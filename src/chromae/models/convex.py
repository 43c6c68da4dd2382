"""A decoder that draws: convex cells cut out of the plane, each filled with a colour.

A transposed convolution has to paint an edge pixel by pixel. Here the latents say where the edge is, and every pixel
asks on which side it lies: at any resolution, and as cheap as the number of pixels asked.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from chromae import losses
from chromae.arguments.kinds import Count
from chromae.models.autoencoder import Autoencoder

ALL = slice(None)


class ConvexDecoder(nn.Module):
    """Latents → cells → image: ground + Σ cell · colour, a cell being the product of its cuts.

    A cut is σ(a x + b y + q (x² + y²) + c) with x and y in [-1, 1]: one side of a line, or the inside of a circle,
    with an edge as soft as its coefficients are small. All of a, b, q, c and the colours come from the latents
    through two hidden layers. After CvxNet (Deng et al. 2020, https://arxiv.org/abs/1909.05736), which lacks q.
    """

    def __init__(self, latent: Count, size: Count = 128, cells: Count = 4, cuts: Count = 6, hidden: Count = 256):
        super().__init__()
        self.cells, self.cuts = cells, cuts
        self.register_buffer("places", 2 * (torch.arange(size) + 0.5) / size - 1, persistent=False)
        self.hidden = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.coefficients = nn.Linear(hidden, 4 * cells * cuts)
        self.colors = nn.Linear(hidden, 3 * (cells + 1))
        self._start()

    def forward(
        self, z: Float[Tensor, "n latent"], rows: slice = ALL, columns: slice = ALL
    ) -> Float[Tensor, "n 3 height width"]:
        """The image's pixels in these rows and columns: RGB, about in [0, 1]. In float32, for edges are steep."""
        with torch.autocast(z.device.type, enabled=False):
            cells, ground, colors = self.cut_out(z.float(), rows, columns)
            return torch.einsum("ncyx,ncd->ndyx", cells, colors) + ground[:, :, None, None]

    def cut_out(
        self, z: Float[Tensor, "n latent"], rows: slice = ALL, columns: slice = ALL
    ) -> tuple[Float[Tensor, "n cells height width"], Float[Tensor, "n 3"], Float[Tensor, "n cells 3"]]:
        """The cells as masks in (0, 1), the ground's colour, and what each cell adds to it."""
        hidden = self.hidden(z)
        y, x = torch.meshgrid(self.places[rows], self.places[columns], indexing="ij")
        terms = 8 * torch.stack([x, y, x.square() + y.square(), torch.full_like(x, 0.25)], dim=-1).flatten(0, 1)
        cuts = terms.expand(len(z), -1, -1) @ self.coefficients(hidden).unflatten(1, (4, -1))
        cells = F.logsigmoid(cuts.unflatten(2, (self.cells, self.cuts))).sum(3).exp()
        colors = self.colors(hidden).unflatten(1, (-1, 3))
        return cells.transpose(1, 2).unflatten(2, x.shape), colors[:, 0], colors[:, 1:]

    @torch.no_grad()
    def _start(self) -> None:
        """Every cell starts as a soft blob in the middle, its cuts facing all ways, and moves with the latents."""
        self.coefficients.weight.mul_(4)
        turns = 2 * math.pi * torch.arange(self.cuts) / self.cuts
        bias = torch.stack([turns.cos(), turns.sin(), torch.zeros(self.cuts), torch.full((self.cuts,), 2.0)])
        bias = bias[:, None].expand(4, self.cells, self.cuts).flatten()
        self.coefficients.bias.copy_(bias + 0.1 * torch.randn_like(bias))


def sparse_reconstruction_objective(stride: Count = 4) -> Callable[[Autoencoder, Tensor], dict[str, Tensor]]:
    """Objective: MSE on every `stride`-th row and column in training, on the whole image when evaluated.

    Where the rows and columns begin changes from batch to batch, so that the expected gradient is that of the MSE
    on all pixels. They are drawn on the CPU: slices are Python's, and nothing waits for an accelerator. The encoder
    always sees the whole image.
    """

    def objective(model: Autoencoder, images: Float[Tensor, "n 3 size size"]) -> dict[str, Tensor]:
        z = model.encode(images)
        if not model.training:
            return {"loss": losses.mse(model.decode(z).float(), images)}
        rows, columns = (slice(int(start), None, stride) for start in torch.randint(stride, (2,)))
        return {"loss": losses.mse(model.decoder(z, rows, columns), images[:, :, rows, columns])}

    return objective
