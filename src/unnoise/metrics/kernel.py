"""The kernel distance: KID when the features are Inception's (Binkowski et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.statistics import Array, feature_pair

ROWS = 1024
TINY = 1e-300


@dataclass(frozen=True)
class PolynomialKernel:
    """k(x, y) = (gamma x.y + coef0)^degree; gamma defaults to 1 / D (Binkowski et al. 2018, section 4)."""

    degree: int = 3
    gamma: float | None = None
    coef0: float = 1.0

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        gamma = 1 / x.shape[1] if self.gamma is None else self.gamma
        return (x @ y.T).mul_(gamma).add_(self.coef0).pow_(self.degree)


@dataclass(frozen=True)
class SquaredMMD:
    """An unbiased estimate of the squared maximum mean discrepancy, and its standard error over repetitions.

    Unbiased means that it is below zero about half the time when the sets have one distribution. The error covers the
    draw of both sets. interval: holds the value of the distributions in 95 % of repetitions; it reaches further up than
    down, because the estimate's variance grows with the value.
    """

    value: float
    stderr: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class KernelDistance:
    """KID: mean and standard deviation (of the values, not of their mean) over random subsets, values (subsets,)."""

    mean: float
    std: float
    values: Tensor
    subset_size: int


def kernel_distance(
    features_1: Array,
    features_2: Array,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    kernel: PolynomialKernel | None = None,
    seed: int = 2020,
) -> KernelDistance:
    """The unbiased squared MMD over random subsets, as torch-fidelity 0.4 defines KID, its defaults and its subsets.

    features (N, D) and (M, D). The subsets depend on the order of the rows; `squared_mmd` takes all rows and does not.
    Raises UserError when a set is smaller than a subset, and for NaN and widths that differ.
    """
    if subset_size < 3 or subsets < 1:
        raise UserError(f"need subsets >= 1 and subset_size >= 3, got {subsets} and {subset_size}")
    x, y = feature_pair(features_1, features_2, ("samples", "references"))
    if min(len(x), len(y)) < subset_size:
        raise UserError(
            f"subsets of {subset_size} need as many images in each set, got {len(x)} and {len(y)}; "
            "give a smaller subset_size"
        )
    draws = np.random.RandomState(seed)
    values = [
        _squared_mmd(_subset(x, subset_size, draws), _subset(y, subset_size, draws), kernel).value
        for _ in range(subsets)
    ]
    taken = torch.tensor(values, dtype=torch.float64)
    return KernelDistance(float(taken.mean()), float(taken.std(correction=0)), taken, subset_size)


def squared_mmd(features_1: Array, features_2: Array, kernel: PolynomialKernel | None = None) -> SquaredMMD:
    """sum_{i != j} k(x_i, x_j) / (N (N - 1)) + the same for y - 2 sum_{i, j} k(x_i, y_j) / (N M), over all rows.

    features (N, D) and (M, D), at least three rows each; kernel: `PolynomialKernel()` by default. The same for every
    order of the rows. Source: Gretton et al. 2012, equation 3; the error is a jackknife over the rows of both sets,
    from which the variance that it counts twice is subtracted once (Efron & Stein 1981).
    """
    return _squared_mmd(*feature_pair(features_1, features_2, ("samples", "references"), at_least=3), kernel)


def _subset(x: Tensor, size: int, draws: np.random.RandomState) -> Tensor:
    return x[torch.from_numpy(draws.choice(len(x), size, replace=False))]


def _squared_mmd(x: Tensor, y: Tensor, kernel: PolynomialKernel | None) -> SquaredMMD:
    kernel = PolynomialKernel() if kernel is None else kernel
    x, y = x.double(), y.double()
    within_x, within_y = _sums_within(x, kernel), _sums_within(y, kernel)
    across_x, across_y = _sums_across(x, y, kernel)
    n, m = len(x), len(y)
    mean_x, mean_y = within_x.sum() / (n * (n - 1)), within_y.sum() / (m * (m - 1))
    across = across_x.sum() / (n * m)
    # The jackknife counts the variance that comes from pairs twice; near equality that is all of it.
    of_pairs = _variance_within(x, within_x, kernel) + _variance_within(y, within_y, kernel)
    of_pairs += _variance_across(x, y, across_x, across_y, kernel)
    # What remains when row i is left out: its pairs go, twice within its own set and once across.
    without_x = (within_x.sum() - 2 * within_x) / ((n - 1) * (n - 2)) - 2 * (across_x.sum() - across_x) / ((n - 1) * m)
    without_y = (within_y.sum() - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (across_y.sum() - across_y) / (n * (m - 1))
    jackknife = float(sum((len(z) - 1) * z.var(correction=0) for z in (without_x, without_y)))
    variance = max(jackknife - of_pairs, jackknife / 2)
    value = float(mean_x + mean_y - 2 * across)
    bias = float((_mean_of_same(x, kernel) - mean_x) / n + (_mean_of_same(y, kernel) - mean_y) / m)
    return SquaredMMD(value, variance**0.5, _interval(value, variance, jackknife / max(value + bias, TINY)))


def _interval(value: float, variance: float, growth: float) -> tuple[float, float]:
    """The mu with (value - mu)^2 <= z^2 (variance + growth (mu - value)).

    In the kernel's eigenbasis the squared distance is sum_k lambda_k d_k^2, and d_k is observed with the variance
    s = 1/N + 1/M. The estimate then has the variance sum_k lambda_k^2 (2 s^2 + 4 s d_k^2), which grows by 4 s lambda
    with the value. The jackknife is 4 s sum_k lambda_k^2 d_k^2 of the observed d_k, and the biased estimate is
    sum_k lambda_k d_k^2 of them: `growth` is their ratio.
    """
    z = float(norm.ppf(0.975))
    middle, reach = z**2 * growth / 2, (z**4 * growth**2 / 4 + z**2 * variance) ** 0.5
    return value + middle - reach, value + middle + reach


def _mean_of_same(x: Tensor, kernel: PolynomialKernel) -> Tensor:
    """The mean of k(x_i, x_i)."""
    return torch.stack([kernel(row[None], row[None]).squeeze() for row in x]).mean()


def _variance_within(x: Tensor, sums: Tensor, kernel: PolynomialKernel) -> float:
    """2 / (n (n - 1)) times the variance of k(x_i, x_j) that no function of a single row explains."""
    n = len(x)
    if n < 4:
        return 0.0
    squares = 0.0
    for start, block in _blocks(x, x, kernel):
        squares += float(block.square().sum() - block.diagonal(start).square().sum())
    mean = float(sums.sum()) / (n * (n - 1))
    rows = float((sums / (n - 1) - mean).square().sum())
    residual = squares - n * (n - 1) * mean**2 - 2 * (n - 1) ** 2 / (n - 2) * rows
    return 2 / (n * (n - 1)) * max(0.0, residual) / (n * (n - 3))


def _variance_across(x: Tensor, y: Tensor, sums_x: Tensor, sums_y: Tensor, kernel: PolynomialKernel) -> float:
    """4 / (n m) times the variance of k(x_i, y_j) that no function of a single row explains."""
    n, m = len(x), len(y)
    squares = sum(float(block.square().sum()) for _, block in _blocks(x, y, kernel))
    mean = float(sums_x.sum()) / (n * m)
    rows = m * float((sums_x / m - mean).square().sum()) + n * float((sums_y / n - mean).square().sum())
    residual = squares - n * m * mean**2 - rows
    return 4 / (n * m) * max(0.0, residual) / ((n - 1) * (m - 1))


def _blocks(x: Tensor, y: Tensor, kernel: PolynomialKernel) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(x), ROWS):
        yield start, kernel(x[start : start + ROWS], y)


def _sums_within(x: Tensor, kernel: PolynomialKernel) -> Tensor:
    """sum_{j != i} k(x_i, x_j), (N,)."""
    sums = []
    for start in range(0, len(x), ROWS):
        block = kernel(x[start : start + ROWS], x)
        sums.append(block.sum(1) - block.diagonal(start))
    return torch.cat(sums)


def _sums_across(x: Tensor, y: Tensor, kernel: PolynomialKernel) -> tuple[Tensor, Tensor]:
    """sum_j k(x_i, y_j), (N,), and sum_i k(x_i, y_j), (M,)."""
    rows, columns = [], torch.zeros(len(y), dtype=torch.float64)
    for part in x.split(ROWS):
        block = kernel(part, y)
        rows.append(block.sum(1))
        columns += block.sum(0)
    return torch.cat(rows), columns
