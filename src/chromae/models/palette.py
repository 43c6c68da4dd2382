"""Pictures of few colours: logits say which of N colours a pixel has, softly while they learn and strictly at the end.

After "Learning a color quantization for neural excitation" (2021): softmax(class matrix) times sigmoid(colours).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from chromae import color
from chromae.arguments import gave
from chromae.arguments.kinds import Count, Natural, Size
from chromae.arguments.precision import check_some

RELAXATIONS = ("plain", "sharpened", "annealed", "straight-through", "gumbel")
HOT, COLD = 1.0, 0.05  # temperatures of "annealed", at the beginning and at the end


class PaletteImage(nn.Module):
    """A picture whose pixels choose among N colours.

    `logits()` and `colors()` are modules that give n × height × width logits and n × 3 colours in [0, 1], such as
    `Pixels` or `Fourier`, and `Palette`. `relaxation` says how undecided pixels are drawn while they learn: "plain"
    mixes colours by their odds, "sharpened" by three times the logits, "annealed" at a temperature that falls,
    "straight-through" draws them decided but learns as "plain" (Bengio et al., https://arxiv.org/abs/1308.3432), and
    "gumbel" decides at random (Jang et al., https://arxiv.org/abs/1611.01144).
    Raises ValueError for an unknown relaxation, and for logits and colours of different numbers.
    """

    def __init__(self, logits: nn.Module, colors: nn.Module, relaxation: str = "annealed"):
        super().__init__()
        if relaxation not in RELAXATIONS:
            raise ValueError(f"relaxation is {relaxation!r}, expected one of {', '.join(RELAXATIONS)}")
        gave("logits", logits(), Float[Tensor, "n height width"])
        gave("colors", colors(), Float[Tensor, "_ 3"])
        if len(logits()) != len(colors()):
            raise ValueError(f"logits choose among {len(logits())} colours, colors holds {len(colors())}")
        self.logits, self.colors, self.relaxation = logits, colors, relaxation
        self.register_buffer("progress", torch.tensor(0.0))  # of the learning, in [0, 1]: it cools "annealed" down

    def odds(self) -> Float[Tensor, "n height width"]:
        """How much of every colour a pixel is drawn with while it learns."""
        logits = self.logits()
        match self.relaxation:
            case "sharpened":
                return (3 * logits).softmax(0)
            case "annealed":
                return (logits / (HOT * (COLD / HOT) ** self.progress)).softmax(0)
            case "straight-through":
                soft = logits.softmax(0)
                return one_hot(logits) + soft - soft.detach()
            case "gumbel":
                return F.gumbel_softmax(logits, hard=True, dim=0)
        return logits.softmax(0)

    def relaxed(self) -> Float[Tensor, "3 height width"]:
        """The picture that learns, in [0, 1]."""
        return torch.einsum("nyx,nc->cyx", self.odds(), self.colors())

    def labels(self) -> Int[Tensor, "height width"]:
        """The colour that every pixel likes best."""
        return self.logits().argmax(0)

    def strict(self) -> Float[Tensor, "3 height width"]:
        """The picture of the palette's colours alone, in [0, 1]."""
        return self.colors()[self.labels()].movedim(-1, 0)

    def palette(self) -> Float[Tensor, "n 3"]:
        """The colours, RGB in [0, 1]."""
        return self.colors().detach()


def one_hot(logits: Float[Tensor, "n height width"]) -> Float[Tensor, "n height width"]:
    check_some(logits=logits)
    return F.one_hot(logits.argmax(0), len(logits)).movedim(-1, 0).to(logits.dtype)


class Palette(nn.Module):
    """Colours that are learnt, as sigmoids; or are given, as those of pens; or the given ones and then the learnt.

    Raises ValueError for fewer than two colours in all, and for given ones outside [0, 1].
    """

    def __init__(self, learned: Natural, generator: Generator, given: Float[Tensor, "m 3"] | None = None):
        super().__init__()
        given = torch.empty(0, 3) if given is None else given
        if len(given) + learned < 2:
            raise ValueError(f"a palette has {len(given) + learned} colours, expected 2 or more")
        color.check(given=given)
        self.register_buffer("given", given)
        self.learned = nn.Parameter(torch.randn(learned, 3, generator=generator))

    def forward(self) -> Float[Tensor, "n 3"]:
        return torch.cat([self.given, self.learned.sigmoid()])


class Pixels(nn.Module):
    """Logits of every pixel for itself, or, with `coarse` above 1, of fewer, enlarged smoothly."""

    def __init__(self, n: Count, height: Count, width: Count, generator: Generator, coarse: Count = 1):
        super().__init__()
        self.size = (height, width)
        self.values = nn.Parameter(torch.randn(n, -(-height // coarse), -(-width // coarse), generator=generator))

    def forward(self) -> Float[Tensor, "n height width"]:
        if self.values.shape[1:] == self.size:
            return self.values
        return F.interpolate(self.values[None], self.size, mode="bilinear", align_corners=False)[0]


class Fourier(nn.Module):
    """Logits as waves, the finer the weaker: weight 1 / frequency^`decay`, and blurred by σ = `blur` pixels.

    What Olah, Mordvintsev and Schubert call a decorrelated space ("Feature Visualization", Distill 2017). Every step
    then moves whole regions, not single pixels, and regions are what pens can draw.
    """

    def __init__(
        self, n: Count, height: Count, width: Count, generator: Generator, decay: Size = 1.0, blur: Size = 0.0
    ):
        super().__init__()
        self.size = (height, width)
        up, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
        frequency = (up.square() + across.square()).sqrt()
        weight = frequency.clamp_min(1 / max(height, width)) ** -decay
        weight *= torch.exp(-2 * (torch.pi * blur * frequency).square())
        weight[weight < 1e-12 * weight.max()] = 0  # nothing to see, but on the way to denormal numbers, which are slow
        self.values = nn.Parameter(torch.randn(n, *weight.shape, 2, generator=generator))
        self.register_buffer("weight", weight)
        with torch.no_grad():
            self.weight /= self().std()  # logits begin with a standard deviation of 1, as those of `Pixels`

    def forward(self) -> Float[Tensor, "n height width"]:
        return torch.fft.irfft2(torch.view_as_complex(self.values) * self.weight, s=self.size)
