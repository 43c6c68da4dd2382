"""Measures against their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from chromae import metrics
from chromae.metrics import circular_correlation, explained_variance

ANGLES = st.floats(-10, 10)
PAIRS = st.lists(st.tuples(ANGLES, ANGLES), min_size=3, max_size=25)


def pairwise_correlation(alpha, beta):
    """Fisher and Lee's T-linear coefficient as they define it, over all pairs of examples."""
    a = np.sin(np.subtract.outer(alpha, alpha))
    b = np.sin(np.subtract.outer(beta, beta))
    return (a * b).sum() / math.sqrt((a**2).sum() * (b**2).sum())


def spread(angles):
    """Mean squared sine of the differences; the correlation is undefined where it is 0."""
    return np.mean(np.sin(np.subtract.outer(angles, angles)) ** 2)


def tensors(pairs):
    alpha, beta = torch.tensor(pairs, dtype=torch.float64).T
    assume(spread(alpha.numpy()) > 1e-3)
    assume(spread(beta.numpy()) > 1e-3)
    return alpha, beta


@given(PAIRS)
def test_circular_correlation_equals_its_definition(pairs):
    alpha, beta = tensors(pairs)
    value = circular_correlation(alpha, beta)
    assert value == pytest.approx(pairwise_correlation(alpha.numpy(), beta.numpy()), abs=1e-8)
    assert -1 - 1e-8 <= value <= 1 + 1e-8


@given(PAIRS, ANGLES, ANGLES)
def test_circular_correlation_ignores_rotations(pairs, turn_a, turn_b):
    alpha, beta = tensors(pairs)
    turned = circular_correlation(alpha + turn_a, beta + turn_b)
    assert turned == pytest.approx(circular_correlation(alpha, beta), abs=1e-8)


@given(PAIRS, ANGLES)
def test_circular_correlation_of_a_turned_and_a_mirrored_angle(pairs, turn):
    alpha, _ = tensors(pairs)
    assert circular_correlation(alpha, alpha + turn) == pytest.approx(1, abs=1e-8)
    assert circular_correlation(alpha, turn - alpha) == pytest.approx(-1, abs=1e-8)


def test_circular_correlation_of_independent_angles_is_small():
    alpha, beta = 2 * math.pi * torch.rand(2, 20_000, generator=torch.Generator().manual_seed(0))
    assert abs(circular_correlation(alpha, beta)) < 0.02


@given(st.integers(6, 40), st.integers(1, 4), st.floats(0, 2), st.integers(0, 10_000))
def test_explained_variance_equals_numpy(n, d, noise, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d)) + 3
    y = x @ random.normal(size=d) + noise * random.normal(size=n) - 5
    design = np.column_stack([x, np.ones(n)])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    expected = 1 - residual @ residual / ((y - y.mean()) @ (y - y.mean()))
    value = explained_variance(torch.from_numpy(x), torch.from_numpy(y))
    assert value == pytest.approx(expected, abs=1e-9)
    assert -1e-9 <= value <= 1 + 1e-9


def test_explained_variance_of_an_affine_and_an_unrelated_target():
    x = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
    assert explained_variance(x, 3 * x[:, 0] - x[:, 1] + 7) == pytest.approx(1, abs=1e-9)
    assert explained_variance(x, (x[:, 0] - 0.5).abs()) < 0.02


def test_knn_reads_labels_off_their_neighbours():
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(50)
    points = 10 * torch.eye(3)[labels] + torch.randn(150, 3, generator=random)
    assert torch.equal(metrics.knn(points[:120], labels[:120], points[120:], k=5), labels[120:])
    assert metrics.knn_accuracy(points[:120], labels[:120], points[120:], labels[120:], k=5) == 1
    wrong = (labels[120:] + 1) % 3
    assert metrics.knn_accuracy(points[:120], labels[:120], points[120:], wrong, k=5) == 0


@given(st.integers(5, 30), st.integers(0, 1000))
def test_pca_errors_equal_scikit_learn(n, seed):
    from sklearn.decomposition import PCA

    random = np.random.default_rng(seed)
    train, test = random.normal(size=(n, 2, 3)) * [3, 2, 1], random.normal(size=(7, 2, 3))
    found = metrics.pca_errors(torch.from_numpy(train), torch.from_numpy(test), [0, 2, 4])
    flat, held_out = train.reshape(n, 6), test.reshape(7, 6)
    assert found[0] == pytest.approx(np.square(held_out - flat.mean(0)).mean())
    for size in (2, 4):
        pca = PCA(size, svd_solver="full").fit(flat)
        rebuilt = pca.inverse_transform(pca.transform(held_out))
        assert found[size] == pytest.approx(np.square(held_out - rebuilt).mean())


def test_pca_errors_of_few_examples_equal_scikit_learn():
    from sklearn.decomposition import PCA

    random = np.random.default_rng(0)
    train, test = random.normal(size=(10, 48)), random.normal(size=(7, 48))
    found = metrics.pca_errors(torch.from_numpy(train), torch.from_numpy(test), [0, 3, 8])
    assert found[0] == pytest.approx(np.square(test - train.mean(0)).mean())
    for size in (3, 8):
        pca = PCA(size, svd_solver="full").fit(train)
        assert found[size] == pytest.approx(np.square(test - pca.inverse_transform(pca.transform(test))).mean())


def test_pca_errors_wants_no_more_numbers_than_pixels():
    with pytest.raises(ValueError, match="sizes holds 7, expected at most 6: train has 9 examples of 6 numbers"):
        metrics.pca_errors(torch.rand(9, 6), torch.rand(9, 6), [7])


def test_pca_errors_of_large_images_are_those_of_an_exact_svd():
    random = torch.Generator().manual_seed(0)
    axes, scales = torch.randn(40, 5000, generator=random), torch.arange(1.0, 41).flip(0)
    train, test = ((torch.randn(n, 40, generator=random) * scales) @ axes for n in (200, 50))
    found = metrics.pca_errors(train, test, [0, 3, 10])
    exact = torch.linalg.svd(train - train.mean(0), full_matrices=False).Vh
    for size in (0, 3, 10):
        left = (test - train.mean(0)) - (test - train.mean(0)) @ exact[:size].T @ exact[:size]
        assert found[size] == pytest.approx(left.square().mean().item(), rel=1e-3)
    assert metrics.pca_errors(train, test, [0, 3, 10]) == found


@given(st.integers(4, 12), st.integers(1, 3), st.integers(0, 1000))
def test_retrieval_counts_neighbours_of_the_same_label(n, k, seed):
    random = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(n, 4, generator=random)
    labels = torch.randint(3, (n,), generator=random)
    cosines = torch.nn.functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=2)
    nearest = cosines.fill_diagonal_(-2).topk(k).indices
    assert torch.equal(metrics.neighbors(embeddings, k), nearest)
    expected = (labels[nearest] == labels[:, None]).double().mean().item()
    assert metrics.retrieval(embeddings, labels, k) == expected
    assert metrics.retrieval(7 * embeddings, torch.zeros_like(labels), k) == 1  # lengths do not matter


def test_neighbors_wants_more_embeddings_than_neighbors():
    with pytest.raises(ValueError, match="embeddings has 5 rows, expected more than k = 5"):
        metrics.neighbors(torch.rand(5, 2))


class Halves(torch.nn.Module):
    """Codes that are half of every pixel."""

    def encode(self, x):
        assert len(x) <= 4
        return x.flatten(1) / 2


def test_embed_reads_bytes_as_parts_of_255_a_few_rows_at_a_time():
    images = torch.arange(22, dtype=torch.uint8).view(11, 1, 1, 2)
    assert torch.equal(metrics.embed(Halves(), images, rows=4), images.flatten(1) / 255 / 2)


@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_batched_is_what_the_function_makes_of_everything_at_once(n):
    """A few rows at a time, bytes as parts of 255, and nothing to go backward through."""
    images = torch.randint(256, (n, 2, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    scale, lengths = torch.tensor(3.0, requires_grad=True), []

    def function(part):
        lengths.append(len(part))
        return scale * part.sum(2)

    made = metrics.batched(function, images, rows=4)
    assert torch.equal(made, (scale * (images / 255).sum(2)).detach())
    assert not made.requires_grad
    assert lengths == {0: [0], 1: [1], 4: [4], 9: [4, 4, 1]}[n]


def test_batched_gives_a_function_the_same_rows_of_several_tensors():
    images, labels = torch.rand(7, 3), torch.arange(7)
    made = metrics.batched(lambda batch: batch[0] * batch[1][:, None], (images, labels), rows=3)
    assert torch.equal(made, images * labels[:, None])


def test_batched_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"data holds tensors of \[3, 4\] examples, expected tensors of one length"):
        metrics.batched(lambda batch: batch[0], (torch.rand(3), torch.rand(4)))
    with pytest.raises(ValueError, match=r"function gave a tensor of float32 of shape \(\), expected "):
        metrics.batched(torch.sum, torch.rand(4, 2))


def test_embed_takes_floats_as_they_are():
    images = torch.rand(11, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(metrics.embed(Halves(), images, rows=4), images.flatten(1) / 2)


def test_embed_keeps_the_shape_of_codes():
    class Same(torch.nn.Module):
        def encode(self, x):
            return x

    assert metrics.embed(Same(), torch.rand(5, 2, 3, 3), rows=2).shape == (5, 2, 3, 3)


def test_codes_of_mixed_precision_have_neighbours():
    random = torch.Generator().manual_seed(0)
    codes, labels = torch.randn(40, 4, generator=random).bfloat16(), torch.arange(40) % 3
    assert torch.equal(metrics.knn(codes, labels, codes, k=3), metrics.knn(codes.float(), labels, codes.float(), k=3))
    assert torch.equal(metrics.neighbors(codes, 3), metrics.neighbors(codes.float(), 3))


def test_mixed_precision_does_not_change_measures():
    random = torch.Generator().manual_seed(0)
    images, wide = torch.rand(20, 3, 4, 4, generator=random), torch.rand(9, 5000, generator=random)
    plain = metrics.nearest_mse(images, images.flip(0) + 0.1), metrics.pca_errors(wide, wide, [2])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = metrics.nearest_mse(images, images.flip(0) + 0.1), metrics.pca_errors(wide, wide, [2])
        halves = metrics.nearest_mse(images.bfloat16(), images)
    assert torch.equal(mixed[0], plain[0])
    assert mixed[1] == plain[1]
    assert halves.dtype == torch.float32


class Largest(TorchDispatchMode):
    """The most numbers of float64 that any tensor made in the block holds."""

    def __enter__(self):
        self.numbers = 0
        return super().__enter__()

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        made = operation(*arguments, **(named or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
                self.numbers = max(self.numbers, tensor.numel())
        return made


def test_pca_errors_never_holds_all_examples_in_float64():
    random = torch.Generator().manual_seed(0)
    train, test = (torch.rand(n, 3, 2, 2, generator=random) for n in (500, 301))
    with Largest() as largest:
        found = metrics.pca_errors(train, test, [0, 2, 12], rows=40)
    assert largest.numbers <= 40 * 12
    assert found == pytest.approx(metrics.pca_errors(train, test, [0, 2, 12]), abs=1e-12)
    assert found[12] == pytest.approx(0, abs=1e-12)


@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 1000))
def test_nearest_mse_equals_its_definition(n, m, seed):
    random = torch.Generator().manual_seed(seed)
    images, others = (torch.rand(size, 1, 3, 2, generator=random, dtype=torch.float64) for size in (n, m))
    errors = (images[:, None] - others).square().mean((2, 3, 4))
    assert torch.allclose(metrics.nearest_mse(images, others, rows=4), errors.min(1).values)


def test_psnr_in_decibels():
    assert metrics.psnr(0.01) == pytest.approx(20)
    assert metrics.psnr(0.000225) == pytest.approx(36.48, abs=0.005)
    assert metrics.psnr(0) == math.inf
    assert metrics.psnr(255**2 / 100, peak=255) == pytest.approx(20)


@given(st.integers(0, 1000))
def test_colorfulness_equals_its_definition(seed):
    images = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(seed))
    for image, value in zip(images.double().numpy() * 255, metrics.colorfulness(images), strict=True):
        rg, yb = image[0] - image[1], 0.5 * (image[0] + image[1]) - image[2]
        expected = math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean())
        assert value.item() == pytest.approx(expected, rel=1e-5)


def test_greys_have_no_color():
    assert metrics.colorfulness(torch.rand(3, 1, 8, 8).expand(-1, 3, -1, -1)).tolist() == pytest.approx(
        [0] * 3, abs=1e-4
    )
