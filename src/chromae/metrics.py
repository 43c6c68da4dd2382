"""Measures of what a model learnt."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from chromae import settings


def circular_correlation(alpha: Float[Tensor, " n"], beta: Float[Tensor, " n"]) -> float:
    """Correlation of two angles in radians, in [-1, 1]: 1 if β turns with α from any offset, -1 if against it.

    The T-linear coefficient of Fisher and Lee, "A correlation coefficient for circular data", Biometrika 70
    (1983), p. 327, in its form without double sums. It needs no mean direction, so it also serves uniform angles.
    """
    a, b = alpha.double(), beta.double()
    n = len(a)
    parallel = (a.cos() * b.cos()).sum() * (a.sin() * b.sin()).sum()
    crossed = (a.cos() * b.sin()).sum() * (a.sin() * b.cos()).sum()
    spread_a = n**2 - (2 * a).cos().sum() ** 2 - (2 * a).sin().sum() ** 2
    spread_b = n**2 - (2 * b).cos().sum() ** 2 - (2 * b).sin().sum() ** 2
    return (4 * (parallel - crossed) / (spread_a * spread_b).sqrt()).item()


def explained_variance(inputs: Float[Tensor, "n d"], target: Float[Tensor, " n"]) -> float:
    """R²: the part of the target's variance that an affine function of the inputs explains, in [0, 1]."""
    x = inputs.double() - inputs.double().mean(0)
    y = target.double() - target.double().mean()
    fitted = x @ torch.linalg.lstsq(x, y[:, None]).solution
    return 1 - ((y - fitted[:, 0]).square().sum() / y.square().sum()).item()


@torch.no_grad()
def iwae(
    model: nn.Module,
    x: Float[Tensor, "n *shape"],
    likelihood: Callable[[Tensor, Tensor], Tensor],
    samples: int = 5000,
    rows: int = 4096,
    bf16: bool = False,
) -> Float[Tensor, " n"]:
    """Importance-weighted bound on log p(x) of every image, in nats: log of the mean over samples of p(x, z)/q(z|x).

    Burda, Grosse and Salakhutdinov (https://arxiv.org/abs/1509.00519, eq. 8). `model.posterior` is asked once,
    `model.decode` for about `rows` images at a time, which bounds the memory. With one sample it is a draw of the
    ELBO. `bf16` decodes in mixed precision where the hardware has bfloat16: twice as fast, and within a few
    hundredths of a nat. Raises ValueError for less than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}, expected 1 or more")
    chunk = max(1, rows // len(x))
    mean, log_variance = model.posterior(x)
    total = mean.new_full((len(x),), -torch.inf)
    for start in range(0, samples, chunk):
        noise = mean.new_empty(min(chunk, samples - start), *mean.shape).normal_()
        z = mean + torch.exp(log_variance / 2) * noise
        prior_over_posterior = (noise.square() - z.square() + log_variance).sum(-1) / 2
        repeated = x.expand(len(noise), *x.shape).flatten(0, 1)
        with settings.mixed_precision(x.device, bf16):
            decoded = model.decode(z.flatten(0, 1))
        log_likelihood = -likelihood(decoded, repeated).view(len(noise), len(x))
        total = torch.logaddexp(total, (log_likelihood + prior_over_posterior).logsumexp(0))
    return total - math.log(samples)


@torch.no_grad()
def active_units(model: nn.Module, x: Float[Tensor, "n *shape"], threshold: float = 0.01) -> int:
    """How many latents' posterior means vary over the data by more than `threshold` (Burda et al. 2015, app. C)."""
    return int((model.encode(x).var(0) > threshold).sum())


def psnr(mse: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error: 10 log₁₀(peak² / MSE). Global if the MSE is."""
    return 10 * math.log10(peak**2 / mse) if mse else math.inf


def colorfulness(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, " n"]:
    """How colourful each image in [0, 1] looks; 0 for greys, about 33 for an average photo, 109 for the most.

    Hasler and Süsstrunk, "Measuring colourfulness in natural images", 2003, eq. for M̂³, in levels of 255.
    """
    red, green, blue = (255 * images.double()).flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    spread, mean = opponents.var(-1, correction=0).sum(0).sqrt(), opponents.mean(-1).square().sum(0).sqrt()
    return (spread + 0.3 * mean).float()


@torch.no_grad()
def embed(model: nn.Module, images: UInt8[Tensor, "n *shape"], rows: int = 1000) -> Float[Tensor, "n d"]:
    """The codes of 8-bit images, `rows` at a time: what `model.encode` makes of them in [0, 1]."""
    return torch.cat([model.encode(part / 255) for part in images.split(rows)])


@torch.no_grad()
def nearest_mse(
    images: Float[Tensor, "n *shape"], others: Float[Tensor, "m *shape"], rows: int = 250
) -> Float[Tensor, " n"]:
    """MSE of every image to the nearest of the others: how far a sample is from all that was learnt from."""
    pool = others.flatten(1)
    parts = images.flatten(1).split(rows)
    return torch.cat([torch.cdist(part, pool).min(1).values.square() / pool.shape[1] for part in parts])


def knn(
    train: Float[Tensor, "n d"], train_labels: Int[Tensor, " n"], test: Float[Tensor, "m d"], k: int = 15
) -> Int[Tensor, " m"]:
    """The label that most of each test point's k nearest training points have (scikit-learn's classifier)."""
    from sklearn.neighbors import KNeighborsClassifier  # here, for it takes a second that most callers need not spend

    classifier = KNeighborsClassifier(k).fit(train.cpu().numpy(), train_labels.cpu().numpy())
    return torch.from_numpy(classifier.predict(test.cpu().numpy()))


def knn_accuracy(
    train: Float[Tensor, "n d"],
    train_labels: Int[Tensor, " n"],
    test: Float[Tensor, "m d"],
    test_labels: Int[Tensor, " m"],
    k: int = 15,
) -> float:
    """Part of the test points whose label `knn` finds, in [0, 1]."""
    return (knn(train, train_labels, test, k) == test_labels.cpu()).double().mean().item()


def neighbors(embeddings: Float[Tensor, "n d"], k: int = 5) -> Int[Tensor, "n k"]:
    """The k nearest of every embedding among the others, by cosine, nearest first (scikit-learn's search).

    Raises ValueError for fewer than k + 1 embeddings.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(embeddings) <= k:
        raise ValueError(f"embeddings has {len(embeddings)} rows, expected more than k = {k}")
    directions = torch.nn.functional.normalize(embeddings, dim=1).cpu().numpy()
    return torch.from_numpy(NearestNeighbors(n_neighbors=k).fit(directions).kneighbors(return_distance=False))


def retrieval(embeddings: Float[Tensor, "n d"], labels: Int[Tensor, " n"], k: int = 5) -> float:
    """Part of every embedding's k nearest `neighbors` that share its label, in [0, 1]: precision at k."""
    labels = labels.cpu()
    return (labels[neighbors(embeddings, k)] == labels[:, None]).double().mean().item()


def pca_errors(
    train: Float[Tensor, "n *shape"], test: Float[Tensor, "m *shape"], sizes: Sequence[int]
) -> dict[int, float]:
    """MSE on `test` of the best linear code of each size, fitted on `train`: the limit that a network should pass.

    Size 0 is the mean image. Beyond 4,096 numbers an example, the axes are those of `torch.svd_lowrank`, within a
    thousandth of the best. Raises ValueError for a size beyond the numbers of an example, or the examples.
    """
    fitted, held_out = train.flatten(1), test.flatten(1)
    if max(sizes) > min(fitted.shape):
        raise ValueError(
            f"sizes holds {max(sizes)}, expected at most {min(fitted.shape)}: "
            f"train has {fitted.shape[0]} examples of {fitted.shape[1]} numbers"
        )
    exact = fitted.shape[1] <= 4096
    if exact:
        fitted, held_out = fitted.double(), held_out.double()
    mean = fitted.mean(0)
    fitted, held_out = fitted - mean, held_out - mean
    if exact:
        axes = torch.linalg.eigh(fitted.T @ fitted).eigenvectors.flip(1)  # the widest axis first
    else:
        with torch.random.fork_rng():  # it starts from random directions: the same each time
            torch.manual_seed(0)
            axes = torch.svd_lowrank(fitted, q=min(max(sizes) + 32, *fitted.shape), niter=4)[2]
    kept = (held_out @ axes).square().mean(0).cumsum(0)
    total = held_out.square().mean(0).sum()
    return {size: ((total - (kept[size - 1] if size else 0)) / fitted.shape[1]).item() for size in sizes}
