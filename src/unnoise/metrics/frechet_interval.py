"""How sure a Frechet distance is: its interval, and the distance at infinitely many images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import norm
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.frechet import Frechet, frechet
from unnoise.metrics.statistics import Array, feature_pair
from unnoise.seeding import generator

SPLITS = 4
LARGE = 500
LEVEL = 0.95
RANK = 1e-12
"""Eigenvalues of a covariance below this fraction of the largest are rounding."""


@dataclass(frozen=True)
class FrechetEstimate:
    """A Frechet distance with the error of a repetition, both sets being drawn anew.

    Args:
        found: the distance of the sets.
        stderr: standard deviation of the distance over repetitions.
        interval: holds the mean of repetitions with as many images.
        infinite: the estimate for infinitely many images; None for sets too small to extrapolate from.
        infinite_stderr: its standard deviation over repetitions.
        infinite_interval: holds the distance of the distributions.
    """

    found: Frechet
    stderr: float
    interval: tuple[float, float]
    infinite: float | None
    infinite_stderr: float | None
    infinite_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Gaussian:
    """The mean (D,) and covariance root @ root.T of features, root (D, r) with orthogonal columns."""

    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Gaussian:
        """Fitted to features (N, D), by the smaller of the covariance (D, D) and the Gram matrix (N, N)."""
        mean = features.mean(0)
        rows = (features - mean) / (len(features) - 1) ** 0.5
        wide = len(rows) <= rows.shape[1]
        values, vectors = torch.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
        kept = values > RANK * max(rows.shape) * values[-1]
        vectors = vectors[:, kept]
        return cls(mean, rows.T @ vectors if wide else vectors * values[kept].sqrt())

    @classmethod
    def of_moments(cls, mean: Tensor, covariance: Tensor) -> Gaussian:
        """That of a mean (D,) and a covariance (D, D)."""
        values, vectors = torch.linalg.eigh(covariance)
        kept = values > RANK * len(mean) * values[-1]
        return cls(mean, vectors[:, kept] * values[kept].sqrt())

    def coordinates(self, features: Tensor) -> Tensor:
        """(N, r): features - mean in units of the root's columns."""
        return (features - self.mean) @ (self.root / self.root.square().sum(0))


@dataclass(frozen=True)
class Pair:
    """Two Gaussians, and the singular value decomposition of root_1.T @ root_2, whose trace is that of
    (C_1 C_2)^(1/2)."""

    one: Gaussian
    two: Gaussian
    left: Tensor
    values: Tensor
    right: Tensor

    @classmethod
    def of(cls, features_1: Tensor, features_2: Tensor) -> Pair:
        return cls.between(Gaussian.of(features_1), Gaussian.of(features_2))

    @classmethod
    def between(cls, one: Gaussian, two: Gaussian) -> Pair:
        left, values, right = torch.linalg.svd(one.root.T @ two.root, full_matrices=False)
        return cls(one, two, left, values, right.T)

    def distance(self) -> Frechet:
        """The squared distance and its terms."""
        mean_term = float((self.one.mean - self.two.mean).square().sum())
        traces = float(self.one.root.square().sum() + self.two.root.square().sum())
        covariance_term = max(0.0, traces - 2 * float(self.values.sum()))
        ranks = (self.one.root.shape[1], self.two.root.shape[1])
        return Frechet(mean_term + covariance_term, mean_term, covariance_term, ranks, len(self.one.mean))

    def variance(self, features_1: Tensor, features_2: Tensor, counts: tuple[int, int]) -> float:
        """The first-order variance of a distance of so many images, from its influence functions on these features."""
        gap = self.one.mean - self.two.mean
        one = self._influence(self.one, self.left, gap, features_1)
        two = self._influence(self.two, self.right, -gap, features_2)
        return float(one.var() / counts[0] + two.var() / counts[1])

    def variance_to_fixed(self, features_1: Tensor) -> float:
        """The same where the first set alone is drawn anew: the second Gaussian is given."""
        gap = self.one.mean - self.two.mean
        return float(self._influence(self.one, self.left, gap, features_1).var() / len(features_1))

    def _influence(self, gaussian: Gaussian, basis: Tensor, gap: Tensor, features: Tensor) -> Tensor:
        """2 gap.x + (x - mean).(I - T)(x - mean), T the optimal map onto the other Gaussian (Dowson & Landau 1982)."""
        mapped = (gaussian.coordinates(features) @ basis).square() @ self.values
        return 2 * features @ gap + (features - gaussian.mean).square().sum(1) - mapped


def frechet_estimate(samples: Array, references: Array, *, splits: int | None = None, seed: int = 0) -> FrechetEstimate:
    """The Frechet distance of two sets, its error, and its value at infinitely many images.

    Near equal distributions the distance is quadratic in the sampling noise s = 1/N + 1/M: it has a bias c s, and the
    usual first-order variance is twice too large there. Halves of both sets have noise 2 s. With V the first-order
    variance by the gradient of all images and V_half by the gradient of one half on the other, scaled to all images,

        V = first + 2 second,  V_half = first + 4 second,  variance = first + second = (3 V - V_half) / 2,
        infinite = 2 distance - mean distance of halves,   its variance = first + second (1 + 1/splits).

    Args:
        samples: features (N, D), at least four.
        references: features (M, D), at least four.
        splits: random halvings; by default SPLITS, or one of decompositions larger than LARGE.
        seed: of the halvings.

    Raises:
        UserError: for NaN, fewer images and widths that differ.

    Reference: Chong & Forsyth 2020, section 3.2, for the extrapolation in 1/N; Efron & Stein 1981 for the variance.
    """
    x, y = (z.double() for z in feature_pair(samples, references, ("samples", "references"), at_least=4))
    counts = (len(x), len(y))
    if splits is None:
        splits = SPLITS if min(*counts, x.shape[1]) <= LARGE else 1
    if splits < 1:
        raise UserError(f"need at least one split, got {splits}")
    whole = Pair.of(x, y)
    found = whole.distance()
    distances, variances = [], []
    for split in range(splits):
        x_halves, y_halves = _halves(x, seed, split, 0), _halves(y, seed, split, 1)
        for own, other in ((0, 1), (1, 0)):
            pair = Pair.of(x_halves[own], y_halves[own])
            distances.append(pair.distance().distance)
            variances.append(pair.variance(x_halves[other], y_halves[other], counts))
    all_images = whole.variance(x, y, counts)
    second = min(max(0.0, (sum(variances) / len(variances) - all_images) / 2), all_images / 2)
    first = all_images - 2 * second
    stderr = (first + second) ** 0.5
    interval = _interval(found.distance, stderr)
    if min(counts) < 2 * (found.dim + 1):
        return FrechetEstimate(found, stderr, interval, None, None, None)
    infinite = 2 * found.distance - sum(distances) / len(distances)
    infinite_stderr = (first + second * (1 + 1 / splits)) ** 0.5
    return FrechetEstimate(found, stderr, interval, infinite, infinite_stderr, _interval(infinite, infinite_stderr))


def frechet_to_moments(samples: Array, mean: Array, covariance: Array) -> FrechetEstimate:
    """The Frechet distance of a set from a given Gaussian, and its first-order error over repetitions of the set.

    Args:
        samples: features (N, D), at least four.
        mean: (D,).
        covariance: (D, D).

    Raises:
        UserError: for shapes that do not fit, NaN, and a matrix that is no covariance.
    """
    x, _ = (z.double() for z in feature_pair(samples, samples, ("samples", "samples"), at_least=4))
    found = frechet(x.mean(0), x.T.cov(), mean, covariance)
    fixed = Gaussian.of_moments(torch.as_tensor(mean).double(), torch.as_tensor(covariance).double())
    stderr = Pair.between(Gaussian.of(x), fixed).variance_to_fixed(x) ** 0.5
    return FrechetEstimate(found, stderr, _interval(found.distance, stderr), None, None, None)


def _halves(rows: Tensor, *keys: int) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(rows), generator=generator(*keys))
    return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]


def _interval(value: float, stderr: float) -> tuple[float, float]:
    reach = float(norm.ppf((1 + LEVEL) / 2)) * stderr
    return value - reach, value + reach
