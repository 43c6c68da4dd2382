"""Pictures of pen strokes: Bézier curves that learn where to run, and which pen draws them, or none.

diffvg's problem (Li et al., "Differentiable Vector Graphics Rasterization for Editing and Learning", 2020) with a few
pens of one width in place of free colours. A stroke is a chain of points, but for sharp bends closer than most
pens are wide. What a pen leaves
around a point is a small Gaussian, so that a picture is one sum; where the sum is that of a line at half the pen's
width, the ink ends.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from chromae import color
from chromae.arguments.kinds import Count, Positive, Size
from chromae.arguments.precision import check_finite, check_some

SIGMA = 0.8  # of a point's Gaussian, in pixels: narrow enough that two lines that cross hardly add up
SPACING = 2 * SIGMA  # of points on a stroke, at most: their sum is then even to 1.5 %
TIP = 2 * SIGMA  # of line that is laid on either end more, in one point, which makes it round, as pens' tips are
HOT, COLD = 1.0, 0.05  # temperatures of the choice of a pen, at the beginning and at the end
PIECES = 8  # that a curve is cut into, to measure its length


class Strokes(nn.Module):
    """A picture of `count` strokes on white paper, each by one of the pens or by none.

    Strokes are Bézier curves of `degree`, at first nearly straight, `length` of the picture's longer side long, and
    spread around its middle with a standard deviation of `spread`. `pens` are colours in [0, 1], drawn one over
    another from the lightest to the darkest; `width` is that of all pens, in pixels. The odds of pens are a softmax at
    a temperature that falls with `progress`, which whoever trains sets from 0 to 1. Without a `generator` torch's own
    random numbers are taken.
    Raises ValueError for colours outside [0, 1], for no pens, and for pens of less than a pixel or more than six σ.
    """

    def __init__(
        self,
        count: Count,
        height: Count,
        width: Count,
        pens: Float[Tensor, "pens 3"],
        generator: Generator | None = None,
        pen_width: Positive = 2.5,
        degree: Count = 3,
        length: Positive = 0.08,
        spread: Size = 0.25,
    ):
        super().__init__()
        check_some(pens=pens)
        color.check(pens=pens)
        if not 1 <= pen_width <= 6 * SIGMA:
            raise ValueError(f"pen_width is {pen_width:g}, expected 1 to {6 * SIGMA:g} pixels")
        self.height, self.width, self.pen_width = height, width, pen_width
        middle = torch.tensor([width, height]) / max(height, width) / 2
        middles = middle + 2 * middle * spread * torch.randn(count, 1, 2, generator=generator)
        angles = 2 * math.pi * torch.rand(count, 1, 1, generator=generator)
        straight = length * torch.linspace(-0.5, 0.5, degree + 1)[:, None] * torch.cat([angles.cos(), angles.sin()], -1)
        bent = 0.02 * torch.randn(count, degree + 1, 2, generator=generator)
        self.points = nn.Parameter(middles + straight + bent)  # x and y, in units of the longer side
        self.choices = nn.Parameter(torch.randn(count, len(pens) + 1, generator=generator) / 2)  # the last is no pen
        lightness = color.rgb_to_oklab(pens)[:, 0]
        self.register_buffer("pens", pens[lightness.argsort(descending=True)])
        self.register_buffer("progress", torch.tensor(0.0))

    def logits(self) -> Float[Tensor, "choices count"]:
        """Of the pens, in their order, and of no pen."""
        return self.choices.T

    def odds(self) -> Float[Tensor, "choices count"]:
        """Of the pens, in their order, and of no pen, at the temperature of now."""
        return (self.logits() / (HOT * (COLD / HOT) ** self.progress)).softmax(0)

    def relaxed(self) -> Float[Tensor, "3 height width"]:
        """The picture that learns, in [0, 1]."""
        points, lengths, stroke = chains(max(self.height, self.width) * self.points)
        weights = self.odds()[:-1, stroke] * lengths / (math.sqrt(2 * math.pi) * SIGMA)
        image = torch.ones(3, self.height, self.width, device=points.device)
        covers = coverage(points, weights, self.height, self.width, self.pen_width)
        for covered, pen in zip(covers, self.pens, strict=True):
            image = torch.lerp(image, pen[:, None, None].expand_as(image), covered)
        return image

    def drawn(self, points: Count = 33) -> tuple[Float[Tensor, "strokes points 2"], Int[Tensor, " strokes"]]:
        """Strokes that have a pen, as points in units of the longer side, and their pens: what a plotter draws."""
        pens = self.logits().argmax(0)
        kept = pens < len(self.pens)
        return curve(self.points[kept, None], torch.linspace(0, 1, points).to(self.points)), pens[kept]


def curve(points: Float[Tensor, "*#many controls 2"], t: Float[Tensor, "*#many"]) -> Float[Tensor, "*#many 2"]:
    """Places on Bézier curves, from t = 0 at the first of the control points to t = 1 at the last.

    Σₖ C(d, k) tᵏ (1 − t)ᵈ⁻ᵏ pₖ, Bernstein's polynomials of degree d, one less than there are control points.
    """
    degree = points.shape[-2] - 1
    k = torch.arange(degree + 1, device=points.device)
    times = torch.tensor([math.comb(degree, each) for each in range(degree + 1)]).to(points)
    return torch.einsum("...k,...kc->...c", times * t[..., None] ** k * (1 - t[..., None]) ** (degree - k), points)


def chains(
    controls: Float[Tensor, "strokes controls 2"], spacing: Positive = SPACING, tip: Size = TIP
) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"], Int[Tensor, " points"]]:
    """Points along Bézier curves, evenly and at most `spacing` apart; of each its length and whose it is.

    Both as measured over `PIECES` straight pieces: in a sharp bend two points may lie farther apart, in most cubics no
    more than 2.5 times, of higher degrees more. How many a curve has follows from its length; after all of them come
    the beginnings of all curves, and their ends, each for `tip` of line. Gradients run through the points' places, not
    through their number or lengths.
    """
    with torch.no_grad():
        t = torch.linspace(0, 1, PIECES + 1).to(controls)
        pieces = curve(controls[:, None], t.expand(len(controls), -1)).diff(dim=1).norm(dim=-1)
        ends = F.pad(pieces.cumsum(1), (1, 0))
        counts = (ends[:, -1] / spacing).ceil().clamp_min(1).long()
        every = torch.arange(len(counts), device=counts.device)
        stroke = every.repeat_interleave(counts)
        place = torch.arange(len(stroke), device=counts.device) - (counts.cumsum(0) - counts)[stroke] + 0.5
        apart = (ends[:, -1] / counts)[stroke]
        far = place * apart
        piece = (ends[stroke, 1:-1] <= far[:, None]).sum(1)
        t = (piece + (far - ends[stroke, piece]) / pieces[stroke, piece].clamp_min(1e-9)) / PIECES
    points = torch.cat([curve(controls[stroke], t.clamp(0, 1)), controls[:, 0], controls[:, -1]])
    return points, torch.cat([apart, apart.new_full((2 * len(counts),), tip)]), torch.cat([stroke, every, every])


def ink(
    points: Float[Tensor, "points 2"], weights: Float[Tensor, "pens points"], height: Count, width: Count
) -> Float[Tensor, "pens height width"]:
    """The sum over points, x and y in pixels from the upper left corner, of a Gaussian of σ = SIGMA times a weight.

    At the middles of pixels, for all pens; cut off four σ and more from a point. What lies off the picture counts only
    as far as it reaches into it.
    """
    check_finite(points=points)
    reach = math.ceil(4 * SIGMA)
    margin = 2 * reach + 1  # around the picture, where those lie that do not reach into it
    corner = points.detach().floor().clamp_min(-reach - 1).minimum(points.new_tensor([width, height]) + reach).long()
    pixels = corner[:, None] + torch.arange(-reach, reach + 1, device=points.device)[:, None]  # points × places × 2
    bells = torch.exp((pixels + 0.5 - points[:, None]).square() / (-2 * SIGMA**2))
    patches = bells[:, :, None, 1] * bells[:, None, :, 0]
    wide = width + 2 * margin
    places = (pixels[:, :, None, 1] + margin) * wide + pixels[:, None, :, 0] + margin
    sums = weights.new_zeros(len(weights), (height + 2 * margin) * wide)
    sums = sums.index_add(1, places.flatten(), (weights[:, :, None, None] * patches).flatten(1))
    return sums.view(len(weights), -1, wide)[:, margin:-margin, margin:-margin]


def coverage(
    points: Float[Tensor, "points 2"],
    weights: Float[Tensor, "pens points"],
    height: Count,
    width: Count,
    pen_width: Positive,
) -> Float[Tensor, "pens height width"]:
    """How far pens of this width, in pixels, cover every pixel, in [0, 1], if `weights` are spacings / (√2π SIGMA).

    The ink of a straight line at distance d is then exp(−d² / 2σ²). A logistic function of its logarithm is a half
    where d is half the pen's width, r, and falls there by one a pixel; on the axis of one line it is 1 − 1 / (1 +
    exp(2r)), 0.92 for a pen of 2.5 pixels. Ink of one pen adds up: where two lines cross, the corners between them are
    rounded by about a third of a pixel, and n lines in one place are as wide as one of r² + 2σ² ln n in place of r².
    """
    radius = pen_width / 2
    over = ink(points, weights, height, width).clamp_min(1e-12).log() + radius**2 / (2 * SIGMA**2)
    return torch.sigmoid(4 * SIGMA**2 / radius * over)
