"""Intervals of Frechet distances hold what they say, where the distributions are equal and where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unnoise.metrics.frechet import frechet, frechet_of
from unnoise.metrics.frechet_interval import FrechetEstimate, Pair, frechet_estimate
from unnoise.metrics.statistics import FeatureStatistics

STDS = torch.linspace(0.5, 1.5, 8)


def drawn(seed: int, n: int, m: int, shift: float, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(n, 8, generator=draws) * STDS * scale + shift, torch.randn(m, 8, generator=draws) * STDS


def repeated(count: int, n: int, m: int, shift: float, scale: float) -> list[FrechetEstimate]:
    return [frechet_estimate(*drawn(seed, n, m, shift, scale), seed=seed) for seed in range(count)]


def coverage(found: list[FrechetEstimate], true: float) -> tuple[float, float]:
    """How often the interval holds the mean of repetitions, and the other one the distance of the distributions."""
    mean = np.mean([each.found.distance for each in found])
    infinite = [each.infinite_interval for each in found]
    assert all(interval is not None for interval in infinite)
    held = np.mean([low <= mean <= high for low, high in (each.interval for each in found)])
    return float(held), float(np.mean([low <= true <= high for low, high in infinite]))  # type: ignore[misc]


def distance(shift: float, scale: float) -> float:
    return float(8 * shift**2 + ((scale - 1) * STDS).square().sum())


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.1, 1.0), (0.3, 1.1)])
def test_standard_errors_are_those_of_repetitions(shift: float, scale: float) -> None:
    """120 repetitions know a standard deviation to 6.5 %: four of those."""
    found = repeated(120, 200, 300, shift, scale)
    for values, errors in (
        ([each.found.distance for each in found], [each.stderr for each in found]),
        ([each.infinite or 0.0 for each in found], [each.infinite_stderr or 0.0 for each in found]),
    ):
        assert np.mean(errors) == pytest.approx(np.std(values), rel=0.26)
    held, held_infinite = coverage(found, distance(shift, scale))
    assert min(held, held_infinite) > 0.88  # 0.95 less three and a half standard errors of 120 repetitions
    bias = np.mean([each.infinite or 0.0 for each in found]) - distance(shift, scale)
    assert abs(bias) < 4 * np.std([each.infinite or 0.0 for each in found]) / 120**0.5


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.05, 1.0), (0.3, 1.1)])
def test_ninety_five_per_cent_are_between_92_and_98(shift: float, scale: float) -> None:
    for held in coverage(repeated(1000, 300, 500, shift, scale), distance(shift, scale)):
        assert 0.92 < held < 0.98


@pytest.mark.parametrize(("n", "m", "dim"), [(300, 200, 20), (20, 30, 60), (20, 300, 60)])
def test_the_distance_is_that_of_the_covariances_by_either_matrix(n: int, m: int, dim: int) -> None:
    x, y = (torch.randn(k, dim, generator=torch.Generator().manual_seed(k)).double() for k in (n, m))
    want = frechet_of(FeatureStatistics.of(x), FeatureStatistics.of(1.5 * y + 1))
    got = frechet_estimate(x, 1.5 * y + 1).found
    assert (got.ranks, got.dim) == (want.ranks, want.dim)
    assert got.distance == pytest.approx(want.distance, rel=1e-9)


def test_the_influence_functions_are_the_derivatives_of_the_distance() -> None:
    """Weight moved onto one image changes the distance by its influence, less the mean influence."""
    x, y = (z.double() for z in drawn(0, 40, 50, 0.5, 1.3))
    pair, step = Pair.of(x, y), 1e-5
    influence = pair._influence(pair.one, pair.left, pair.one.mean - pair.two.mean, x)
    weights = torch.full((40,), (1 - step) / 40, dtype=torch.float64)
    weights[3] += step
    mean = weights @ x
    cov = (x - mean).T @ (weights[:, None] * (x - mean)) * 40 / 39
    two = FeatureStatistics.of(y)
    moved = frechet(mean, cov, two.mean, two.covariance).distance
    slope = (moved - pair.distance().distance) / step
    gap = 2 * (x[3] - x.mean(0)) @ (pair.one.mean - pair.two.mean)
    quadratic = influence - 2 * x @ (pair.one.mean - pair.two.mean)
    assert slope == pytest.approx(float(gap + 40 / 39 * (quadratic[3] - quadratic.mean())), rel=1e-3)


def test_sets_too_small_to_extrapolate_from_say_so() -> None:
    x, y = torch.randn(2, 30, 20, generator=torch.Generator().manual_seed(0))
    found = frechet_estimate(x, y)
    assert found.infinite is None
    assert found.interval[0] < found.found.distance < found.interval[1]
    with pytest.raises(ValueError, match="at least 4 images for samples, got 3"):
        frechet_estimate(x[:3], y)
