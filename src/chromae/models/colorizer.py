"""Colour for grey photos: from luma to the two chroma channels, as one guess or as odds for every colour.

Everything is in BT.601's YCbCr, each channel in [0, 1] and grey at Cb = Cr = ½ (`color.rgb_to_ycbcr`).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from chromae import color, losses
from chromae.arguments import gave
from chromae.arguments.kinds import Count, Natural, Part, Positive
from chromae.arguments.precision import check_some, in_float32
from chromae.models import photos

GAMMAS = (0.1, 0.5, 1.5, 3.0)


def split(rgb: Float[Tensor, "n 3 height width"]) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 2 h w"]]:
    """Luma and chroma of RGB photos in [0, 1]. Raises ValueError for none."""
    check_some(rgb=rgb)
    ycbcr = color.rgb_to_ycbcr(rgb.movedim(1, -1)).movedim(-1, 1)
    return ycbcr[:, :1], ycbcr[:, 1:]


def join(luma: Float[Tensor, "n 1 h w"], chroma: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n 3 h w"]:
    """`split` undone, cut to [0, 1]: a guessed chroma may lie outside of what RGB holds at this luma."""
    return color.ycbcr_to_rgb(torch.cat([luma, chroma], dim=1).movedim(1, -1)).movedim(-1, 1).clamp(0, 1)


def gammas(luma: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 4 h w"]:
    """The grey photo four times, darkened and brightened: luma^0.1, ^0.5, ^1.5, ^3, not rounded to bytes between."""
    return torch.cat([luma**gamma for gamma in GAMMAS], dim=1)


class Published(nn.Module):
    """luma → four greys, or luma as it is → `network` → chroma."""

    def __init__(self, network: nn.Module, four_greys: bool = True):
        super().__init__()
        self.network, self.four_greys = network, four_greys

    def forward(self, luma: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n 2 height width"]:
        return self.network(gammas(luma) if self.four_greys else luma).float()


def base(double: bool = False, four_greys: bool = True) -> Published:
    """Roelofs and Gu's first (2020): their photo autoencoder, four greys in, two chromas out, or twice as wide.

    Without `four_greys`, which they did not try, luma goes in.
    """
    channels, latent = ((16, 24), 32) if double else ((8, 12), 16)
    return Published(photos.small(channels, latent, inside=4 if four_greys else 1, outside=2), four_greys)


def custom() -> Published:
    """Their custom network. As printed, one stride and two doublings do not close; we give 16 → 32 a stride, too."""
    layers: list[nn.Module] = []
    for before, after, stride in ((4, 16, 1), (16, 16, 1), (16, 16, 2), (16, 32, 2), (32, 32, 1)):
        layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.LeakyReLU()]
    for before, after, double in ((32, 32, True), (32, 16, False), (16, 8, True), (8, 2, False)):
        if double:
            layers.append(nn.Upsample(scale_factor=2))
        layers += [nn.ConvTranspose2d(before, after, 3, padding=1), nn.LeakyReLU()]
    return Published(nn.Sequential(*layers[:-1], nn.Sigmoid()))


def residual(width: Count) -> nn.Module:
    """The basic block of He et al. (https://arxiv.org/abs/1512.03385), which begins as ReLU(x)."""
    block = BasicBlock(width, width)
    nn.init.zeros_(block.bn2.weight)
    return block


class UNet(nn.Module):
    """Residual blocks at 1/2, 1/4 and 1/8 of the width, with the mean of the whole picture added at the bottom.

    Nothing of the input is dropped: its pixels come in as 2 × 2 blocks, and what goes down is added on the way up
    (Ronneberger et al., https://arxiv.org/abs/1505.04597, which concatenates). Blocks are those of a residual network,
    batch norms and all; without norms it learns the mean tint and little more. `classes` gives it a label a picture to
    go by, `features` maps with so many channels at each of the three widths, from elsewhere.
    """

    def __init__(
        self, inside: Count = 1, outside: Count = 2, width: Count = 48, depth: Natural = 1, classes: Natural = 0,
        half: bool = False, features: Sequence[Count] = (), dropout: Part = 0.0,
    ):  # fmt: skip
        """`half`: the output has half the width of the input. `dropout`: the part of `features`' maps left out."""
        super().__init__()
        self.dropout = dropout
        widths = [width, 2 * width, 4 * width]
        self.first = nn.Conv2d(4 * inside, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths[:-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[:-1])
        self.down_blocks, self.up_blocks = (
            nn.ModuleList(nn.Sequential(*(residual(w) for _ in range(depth))) for w in part)
            for part in (widths, widths[:-1])
        )
        self.from_features = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, w, 1))
            for channels, w in zip(features, widths, strict=False)
        )
        self.global_context = nn.Sequential(
            nn.Linear(widths[-1], widths[-1]), nn.SiLU(), nn.Linear(widths[-1], widths[-1])
        )
        self.class_embedding = nn.Embedding(classes, widths[-1]) if classes else None
        last = nn.Conv2d(width, outside if half else 4 * outside, 3, padding=1)
        self.last = nn.Sequential(last, nn.Identity() if half else nn.PixelShuffle(2))

    def forward(
        self,
        x: Float[Tensor, "n inside height width"],
        labels: Int[Tensor, " n"] | None = None,
        features: Sequence[Float[Tensor, "n _ _ _"]] = (),
    ) -> Float[Tensor, "n outside rows columns"]:
        x = F.pixel_unshuffle(4 * x - 2, 2)
        kept = []
        for level, (down, blocks) in enumerate(zip([self.first, *self.down], self.down_blocks, strict=True)):
            x = down(x)
            if self.from_features:
                x = x + self.from_features[level](F.dropout2d(features[level], self.dropout, self.training))
            x = blocks(x)
            kept.append(x)
        context = self.global_context(x.mean((2, 3)))
        if self.class_embedding is not None:
            context = context + self.class_embedding(labels)
        x = kept.pop() + context[:, :, None, None]
        for up, blocks in zip(reversed(self.up), reversed(self.up_blocks), strict=True):
            x = blocks(up(x) + kept.pop())
        return self.last(x)


FeatureExtractor = Callable[[Float[Tensor, "n 3 height width"]], Sequence[Float[Tensor, "n _ _ _"]]]
STAGES = {"blocks.2": 40, "blocks.4": 112, "blocks.6": 320}  # of EfficientNet-Lite0, at 1/8, 1/16, 1/32 of its input


@torch.no_grad()
def features_of(
    feature_extractor: FeatureExtractor | None, luma: Float[Tensor, "n 1 height width"]
) -> Sequence[Tensor]:
    """What a trained network gives, at the widths of `UNet`, for a grey photo, shown to it four times as large."""
    if feature_extractor is None:
        return ()
    check_some(luma=luma)
    large = F.interpolate(luma, scale_factor=4, mode="bilinear").expand(-1, 3, -1, -1)
    seen = feature_extractor(large.contiguous(memory_format=torch.channels_last))
    return gave("feature_extractor", seen, Sequence[Float[Tensor, "n _ _ _"]])


class Guess(nn.Module):
    """The one chroma with the least expected error, from a U-Net: greyish wherever several are likely."""

    def __init__(
        self, four_greys: bool = False, classes: Natural = 0, width: Count = 48,
        feature_extractor: FeatureExtractor | None = None, dropout: Part = 0.0,
    ):  # fmt: skip
        """`four_greys`: sees the luma under all `gammas`, as the published networks do. `feature_extractor`: a frozen
        network that gives `STAGES`' maps, by which the model sees what is in the photo.

        `dropout`: the part of those maps that is left out in training, as a whole, so that none is relied on.
        """
        super().__init__()
        self.four_greys, self.feature_extractor = four_greys, feature_extractor
        features = tuple(STAGES.values()) if feature_extractor else ()
        inside = 4 if four_greys else 1
        self.network = UNet(inside, width=width, classes=classes, features=features, dropout=dropout)

    def forward(
        self, luma: Float[Tensor, "n 1 height width"], labels: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n 2 height width"]:
        seen = gammas(luma) if self.four_greys else luma
        return 0.5 + self.network(seen, labels, features_of(self.feature_extractor, luma)).float() / 8


class Odds(nn.Module):
    """Odds for every one of some chromas, at half the width: Zhang, Isola and Efros (https://arxiv.org/abs/1603.08511).

    `bins` are the chromas, `rarity` how much more a rare one counts in training, both from `chroma_bins`.
    """

    def __init__(
        self,
        bins: Float[Tensor, "q 2"],
        rarity: Float[Tensor, " q"],
        width: Count = 48,
        feature_extractor: FeatureExtractor | None = None,
        dropout: Part = 0.0,
    ):
        """`feature_extractor` and `dropout` as those of `Guess`."""
        super().__init__()
        self.feature_extractor = feature_extractor
        self.register_buffer("bins", bins)
        self.register_buffer("rarity", rarity)
        features = tuple(STAGES.values()) if feature_extractor else ()
        self.network = UNet(outside=len(bins), width=width, half=True, features=features, dropout=dropout)

    def logits(self, luma: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n q rows columns"]:
        return self.network(luma, features=features_of(self.feature_extractor, luma)).float()

    def forward(
        self, luma: Float[Tensor, "n 1 height width"], temperature: Positive = 0.4
    ) -> Float[Tensor, "n 2 height width"]:
        return self.annealed_mean(self.logits(luma), temperature)

    @in_float32
    def annealed_mean(
        self, logits: Float[Tensor, "n q rows columns"], temperature: Positive
    ) -> Float[Tensor, "n 2 height width"]:
        """Their eq. 5: the likeliest chroma at temperature 0, the mean of all at 1."""
        odds = torch.softmax(logits / temperature, dim=1)
        half = torch.einsum("nqyx,qc->ncyx", odds, self.bins)
        return F.interpolate(half, scale_factor=2, mode="bilinear")


def chroma_bins(
    rgb: Float[Tensor, "n 3 height width"], step: Positive = 0.04, rarest: Part = 1e-5, mix: Part = 0.5
) -> tuple[Float[Tensor, "q 2"], Float[Tensor, " q"]]:
    """The chromas on a grid of this step that these photos hold, and the weight of each in training.

    A weight is one over the chroma's frequency mixed with a uniform one, with mean 1 over the photos' pixels (Zhang
    et al. 2016, eq. 4, with λ = `mix`: 0 makes up for all of the rarity, 1 for none). Chromas of a smaller part than
    `rarest` are left out.
    """
    chroma = F.avg_pool2d(split(rgb)[1], 2).movedim(1, -1).flatten(0, 2)
    cells, counts = ((chroma - 0.5) / step).round().long().unique(dim=0, return_counts=True)
    frequency = counts / counts.sum()
    cells, frequency = cells[frequency >= rarest], frequency[frequency >= rarest]
    if len(cells) == 0:
        raise ValueError(f"rarest is {rarest:g}, expected less: every chroma of these photos is rarer")
    weight = 1 / ((1 - mix) * frequency + mix / len(frequency))
    return 0.5 + step * cells, weight / (frequency * weight).sum()


def regression(model: nn.Module, rgb: Float[Tensor, "n 3 height width"]) -> dict[str, Tensor]:
    """Objective: MSE of the chroma that a model makes of the luma of these photos."""
    luma, chroma = split(rgb)
    return {"loss": losses.mse(model(luma), chroma)}


def conditional_regression(
    model: nn.Module, batch: tuple[Float[Tensor, "n 3 height width"], Int[Tensor, " n"]]
) -> dict[str, Tensor]:
    """`regression` of a model that is told what is in every photo: a batch of photos and labels."""
    check_some(batch=batch[0])
    luma, chroma = split(batch[0])
    return {"loss": losses.mse(model(luma, batch[1]), chroma)}


def classification(model: Odds, rgb: Float[Tensor, "n 3 height width"]) -> dict[str, Tensor]:
    """Objective: cross-entropy of the nearest bin to the chroma of every 2 × 2 pixels, rare ones counting more."""
    luma, chroma = split(rgb)
    half = F.avg_pool2d(chroma, 2).movedim(1, -1)
    nearest = torch.cdist(half.flatten(0, 2), model.bins).argmin(1).view(half.shape[:-1])
    return {"loss": F.cross_entropy(model.logits(luma), nearest, weight=model.rarity)}
