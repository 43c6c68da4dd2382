"""Measures of what a model learnt."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Real, Shaped, UInt8
from torch import Tensor

from chromae import settings
from chromae.arguments import gave
from chromae.arguments.kinds import Count, Natural, Positive, Size
from chromae.arguments.networks import Encoder, Variational
from chromae.arguments.precision import check_finite, check_some, full, in_float32
from chromae.datasets.rows import Batch, length, take


def circular_correlation(alpha: Float[Tensor, " n"], beta: Float[Tensor, " n"]) -> float:
    """Correlation of two angles in radians, in [-1, 1]: 1 if β turns with α from any offset, -1 if against it.

    The T-linear coefficient of Fisher and Lee, "A correlation coefficient for circular data", Biometrika 70
    (1983), p. 327, in its form without double sums. It needs no mean direction, so it also serves uniform angles.
    Raises ValueError for angles that are all the same or opposite, which correlate with nothing.
    """
    check_finite(alpha=alpha, beta=beta)
    a, b = alpha.cpu().double(), beta.cpu().double()
    n = len(a)
    parallel = (a.cos() * b.cos()).sum() * (a.sin() * b.sin()).sum()
    crossed = (a.cos() * b.sin()).sum() * (a.sin() * b.cos()).sum()
    spread_a = n**2 - (2 * a).cos().sum() ** 2 - (2 * a).sin().sum() ** 2
    spread_b = n**2 - (2 * b).cos().sum() ** 2 - (2 * b).sin().sum() ** 2
    for name, spread in (("alpha", spread_a), ("beta", spread_b)):
        if spread <= 1e-12 * n**2:
            raise ValueError(f"{name} holds {n} angles of one line, expected several: what does not turn has no fellow")
    return (4 * (parallel - crossed) / (spread_a * spread_b).sqrt()).item()


def explained_variance(inputs: Float[Tensor, "n d"], target: Float[Tensor, " n"]) -> float:
    """R²: the part of the target's variance that an affine function of the inputs explains, in [0, 1].

    On the CPU, whose least squares take inputs that depend on each other. Raises ValueError for a target that is the
    same everywhere.
    """
    check_some(inputs=inputs, target=target)
    check_finite(inputs=inputs, target=target)
    if target.max() == target.min():
        raise ValueError(f"target is {target[0]:g} everywhere, expected one that varies")
    x, y = inputs.cpu().double(), target.cpu().double()
    x, y = x - x.mean(0), y - y.mean()
    fitted = x @ torch.linalg.lstsq(x, y[:, None]).solution
    return 1 - ((y - fitted[:, 0]).square().sum() / y.square().sum()).item()


@torch.no_grad()
def iwae(
    model: Variational,
    x: Float[Tensor, "n *shape"],
    likelihood: Callable[[Tensor, Tensor], Tensor],
    samples: int = 5000,
    rows: Count = 4096,
    bf16: bool = False,
) -> Float[Tensor, " n"]:
    """Importance-weighted bound on log p(x) of every image, in nats: log of the mean over samples of p(x, z)/q(z|x).

    Burda, Grosse and Salakhutdinov (https://arxiv.org/abs/1509.00519, eq. 8). `model.posterior` and `model.decode`
    are asked for at most `rows` images at a time, which bounds the memory. With one sample it is a draw of the ELBO.
    `bf16` decodes in mixed precision where the hardware has bfloat16: twice as fast, and within a few hundredths of a
    nat. Raises ValueError for less than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}, expected 1 or more")
    check_some(x=x)
    if len(x) > rows:
        return torch.cat([iwae(model, part, likelihood, samples, rows, bf16) for part in x.split(rows)])
    chunk = rows // len(x)
    posterior = tuple[Float[Tensor, "n latent"], Float[Tensor, "n latent"]]
    mean, log_variance = gave("model.posterior", model.posterior(x), posterior)
    total = mean.new_full((len(x),), -torch.inf)
    for start in range(0, samples, chunk):
        noise = mean.new_empty(min(chunk, samples - start), *mean.shape).normal_()
        z = mean + torch.exp(log_variance / 2) * noise
        prior_over_posterior = (noise.square() - z.square() + log_variance).sum(-1) / 2
        repeated = x.expand(len(noise), *x.shape).flatten(0, 1)
        with settings.mixed_precision(x.device, bf16):
            decoded = gave("model.decode", model.decode(z.flatten(0, 1)), Tensor)
        likelihoods = gave("likelihood", likelihood(decoded, repeated), Float[Tensor, f"{len(repeated)}"])
        log_likelihood = -likelihoods.view(len(noise), len(x))
        total = torch.logaddexp(total, (log_likelihood + prior_over_posterior).logsumexp(0))
    return total - math.log(samples)


@torch.no_grad()
def active_units(model: Encoder, x: Float[Tensor, "n *shape"], threshold: float = 0.01) -> int:
    """How many latents' posterior means vary over the data by more than `threshold` (Burda et al. 2015, app. C).

    Raises ValueError for fewer than two images.
    """
    if len(x) < 2:
        raise ValueError(f"x holds {len(x)} images, expected 2 or more: one does not vary")
    return int((gave("model.encode", model.encode(x), Float[Tensor, "n *code"]).var(0) > threshold).sum())


def psnr(mse: Size, peak: Positive = 1.0) -> float:
    """Peak signal-to-noise ratio in dB: 20 log₁₀(peak) − 10 log₁₀(MSE). Global if the MSE is."""
    return 20 * math.log10(peak) - 10 * math.log10(mse) if mse else math.inf


def colorfulness(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, " n"]:
    """How colourful each image in [0, 1] looks; 0 for greys, about 33 for an average photo, 109 for the most.

    Hasler and Süsstrunk, "Measuring colourfulness in natural images", 2003, eq. for M̂³, in levels of 255.
    """
    check_some(images=images)
    red, green, blue = (255 * _double(images)).flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    spread, mean = opponents.var(-1, correction=0).sum(0).sqrt(), opponents.mean(-1).square().sum(0).sqrt()
    return (spread + 0.3 * mean).float().to(images.device)


@torch.no_grad()
def batched(function: Callable[[Batch], Tensor], data: Batch, rows: Count = 1000) -> Shaped[Tensor, "_n *_shape"]:
    """What `function` makes of data, `rows` examples at a time, put together: without gradients, in little memory.

    `data` is a tensor, or a tuple of equally long ones, and the function gets the same rows of each; bytes are given
    to it as value / 255. Raises ValueError for tensors of several lengths, and for a function that gives no rows.
    """
    lengths = {length(tensor) for tensor in (data if isinstance(data, tuple) else (data,))}
    if len(lengths) != 1:
        raise ValueError(f"data holds tensors of {sorted(lengths)} examples, expected tensors of one length")
    starts = range(0, max(1, *lengths), rows)  # of no examples there is one part
    parts = (take(data, slice(start, start + rows)) for start in starts)
    return torch.cat([gave("function", function(part), Shaped[Tensor, "_ ..."]) for part in parts])


@torch.no_grad()
def embed(
    model: Encoder, images: UInt8[Tensor, "n *shape"] | Float[Tensor, "n *shape"], rows: Count = 1000
) -> Float[Tensor, "n *code"]:
    """The codes of images, 8-bit ones or floats in [0, 1], `rows` at a time: what `model.encode` makes of them."""
    return batched(lambda part: gave("model.encode", model.encode(part), Float[Tensor, "_ *code"]), images, rows)


@torch.no_grad()
@in_float32
def nearest_mse(
    images: Float[Tensor, "n *shape"], others: Float[Tensor, "m *shape"], rows: Count = 250
) -> Float[Tensor, " n"]:
    """MSE of every image to the nearest of the others: how far a sample is from all that was learnt from."""
    check_some(images=images, others=others)
    pool = others.flatten(1)
    parts = images.flatten(1).split(rows)
    return torch.cat([torch.cdist(part, pool).min(1).values.square() / pool.shape[1] for part in parts])


def knn(
    train: Float[Tensor, "n d"], train_labels: Int[Tensor, " n"], test: Float[Tensor, "m d"], k: Count = 15
) -> Int[Tensor, " m"]:
    """The label that most of each test point's k nearest training points have (scikit-learn's classifier).

    Raises ValueError for fewer than k training points, and for nan.
    """
    from sklearn.neighbors import KNeighborsClassifier  # here, for it takes a second that most callers need not spend

    check_some(train=train, test=test)
    check_finite(train=train, test=test)
    if k > len(train):
        raise ValueError(f"k is {k}, expected at most the {len(train)} points of train")

    classifier = KNeighborsClassifier(k).fit(full(train).cpu().numpy(), train_labels.cpu().numpy())
    return torch.from_numpy(classifier.predict(full(test).cpu().numpy()))


def knn_accuracy(
    train: Float[Tensor, "n d"],
    train_labels: Int[Tensor, " n"],
    test: Float[Tensor, "m d"],
    test_labels: Int[Tensor, " m"],
    k: Count = 15,
) -> float:
    """Part of the test points whose label `knn` finds, in [0, 1]."""
    return (knn(train, train_labels, test, k) == test_labels.cpu()).double().mean().item()


def neighbors(embeddings: Float[Tensor, "n d"], k: Count = 5) -> Int[Tensor, "n k"]:
    """The k nearest of every embedding among the others, by cosine, nearest first (scikit-learn's search).

    Raises ValueError for fewer than k + 1 embeddings, and for nan.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(embeddings) <= k:
        raise ValueError(f"embeddings has {len(embeddings)} rows, expected more than k = {k}")
    check_some(embeddings=embeddings)
    check_finite(embeddings=embeddings)
    directions = torch.nn.functional.normalize(full(embeddings), dim=1).cpu().numpy()
    return torch.from_numpy(NearestNeighbors(n_neighbors=k).fit(directions).kneighbors(return_distance=False))


def retrieval(embeddings: Float[Tensor, "n d"], labels: Int[Tensor, " n"], k: Count = 5) -> float:
    """Part of every embedding's k nearest `neighbors` that share its label, in [0, 1]: precision at k."""
    labels = labels.cpu()
    return (labels[neighbors(embeddings, k)] == labels[:, None]).double().mean().item()


@in_float32
def pca_errors(
    train: Float[Tensor, "n d *shape"], test: Float[Tensor, "m d *shape"], sizes: Sequence[Natural], rows: Count = 1000
) -> dict[int, float]:
    """MSE on `test` of the best linear code of each size, fitted on `train`: the limit that a network should pass.

    Size 0 is the mean image. It computes in float64, `rows` examples at a time, or all at once if they are fewer than
    an example's numbers; beyond 4,096 numbers in float32 and at once, the axes being those of `torch.svd_lowrank`,
    within a thousandth of the best.
    Raises ValueError for a size beyond the numbers of an example, or the examples.
    """
    check_some(train=train, test=test)
    check_finite(train=train, test=test)
    fitted, held_out = train.flatten(1), test.flatten(1)
    if max(sizes, default=0) > min(fitted.shape):
        raise ValueError(
            f"sizes holds {max(sizes)}, expected at most {min(fitted.shape)}: "
            f"train has {fitted.shape[0]} examples of {fitted.shape[1]} numbers"
        )
    if fitted.shape[0] < fitted.shape[1] <= 4096:  # few examples span few axes
        exact = _double(fitted)
        mean = exact.mean(0)
        axes = torch.linalg.svd(exact - mean, full_matrices=False).Vh.T
    elif fitted.shape[1] <= 4096:
        mean = sum(_double(part).sum(0) for part in fitted.split(rows)) / len(fitted)
        centered = (_double(part) - mean for part in fitted.split(rows))
        axes = torch.linalg.eigh(sum(part.T @ part for part in centered)).eigenvectors.flip(1)  # the widest axis first
    else:
        mean, rows = fitted.mean(0), len(held_out)
        with torch.random.fork_rng():  # it starts from random directions: the same each time
            torch.manual_seed(0)
            axes = torch.svd_lowrank(fitted - mean, q=min(max(sizes, default=0) + 32, *fitted.shape), niter=4)[2]
    kept, total = torch.zeros_like(axes[0]), torch.zeros_like(axes[0, 0])
    for part in held_out.split(rows):
        away, weight = part.to(mean) - mean, len(part) / len(held_out)
        kept += weight * (away @ axes).square().mean(0)
        total += weight * away.square().mean(0).sum()
    kept = kept.cumsum(0)
    return {size: ((total - (kept[size - 1] if size else 0)) / fitted.shape[1]).item() for size in sizes}


def _double(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """In float64, on the CPU if the device has none."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def distance_preservation(grid: Real[np.ndarray, "height width channels"], norm: Positive = 16) -> float:
    """How well a grid of colours, or of other vectors, keeps near what is alike: 1 at best, about 0.3 by chance.

    DPQ₁₆ of Barthel, Hezel, Jung and Schall, "Improved evaluation and generation of grid layouts using distance
    preservation quality and linear assignment sorting", 2023 (https://arxiv.org/abs/2205.04255), section 3, without
    wrapping: for every k, how much nearer than chance the k nearest cells' vectors are, against the k nearest vectors.
    Raises ValueError for a grid of less than two cells, or of cells that are all alike.
    """
    if not np.isfinite(grid).all():
        raise ValueError("grid holds nan or infinite values, expected numbers")
    if norm > 100:
        raise ValueError(f"norm is {norm:g}, expected at most 100, beyond which powers underflow")
    vectors = np.asarray(grid, float).reshape(math.prod(grid.shape[:2]), grid.shape[2])
    places = np.stack(np.indices(grid.shape[:2]), axis=-1).reshape(-1, 2)
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        raise ValueError(f"grid has {len(vectors)} cells, expected two or more that are not all alike")
    apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    between = np.square(places[:, None] - places).sum(2)
    rows = np.arange(len(vectors))[:, None]
    found = apart[rows, np.lexsort((apart, between))[:, 1:]]  # the nearest cells first; of equally near ones the likest
    best = np.sort(apart, axis=1)[:, 1:]
    counts = np.arange(1, len(vectors))

    def gain(sorted_distances: np.ndarray) -> np.ndarray:
        means = (sorted_distances.cumsum(1) / counts).mean(0)
        return np.clip(1 - means / best.mean(), 0, None)

    return float(np.linalg.norm(gain(found), norm) / np.linalg.norm(gain(best), norm))
