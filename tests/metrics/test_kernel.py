from __future__ import annotations

import numpy as np
import pytest
import torch

from unnoise.metrics.kernel import PolynomialKernel, kernel_distance, squared_mmd


def sets(n: int = 60, m: int = 45, dim: int = 5, shift: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, dim, generator=draws).double(), torch.randn(m, dim, generator=draws).double()
    return x, y + shift


def by_pairs(x: np.ndarray, y: np.ndarray) -> float:
    """The U-statistic of Binkowski et al. 2018, equation 4, pair by pair."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    within = [np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]) for z in (x, y)]
    return float(sum(within) - 2 * np.mean([k(a, b) for a in x for b in y]))


def test_equals_the_sum_over_pairs_in_any_order() -> None:
    x, y = sets()
    want = by_pairs(x.numpy(), y.numpy())
    assert squared_mmd(x, y).value == pytest.approx(want, rel=1e-10)
    assert squared_mmd(x.flip(0), y[torch.randperm(45)].numpy()).value == pytest.approx(want, rel=1e-10)


@pytest.mark.parametrize(("n", "m", "shift"), [(60, 45, 4.0), (6, 5, 40.0)])
def test_the_error_is_the_jackknife_where_single_rows_explain_the_distance(n: int, m: int, shift: float) -> None:
    """Far from equality the variance that comes from pairs, which the jackknife counts twice, hardly matters."""
    x, y = (z.numpy() for z in sets(n, m, shift=shift))
    variance = 0.0
    for axis, z in enumerate((x, y)):
        without = [
            squared_mmd(*(np.delete(s, i, 0) if a == axis else s for a, s in enumerate((x, y)))).value
            for i in range(len(z))
        ]
        variance += (len(z) - 1) * np.var(without)
    assert squared_mmd(x, y).stderr == pytest.approx(variance**0.5, rel=0.05)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.7])
def test_the_error_is_that_of_repeated_draws(shift: float) -> None:
    """At equality the jackknife alone is 1.4 times too large."""
    found = []
    for seed in range(300):
        draws = torch.Generator().manual_seed(seed)
        found.append(squared_mmd(torch.randn(80, 4, generator=draws), shift + torch.randn(90, 4, generator=draws)))
    values, errors = np.array([each.value for each in found]), np.array([each.stderr for each in found])
    assert np.mean(errors) == pytest.approx(values.std(), rel=0.16)
    assert np.mean(abs(values - values.mean()) < 1.96 * errors) == pytest.approx(0.95, abs=0.04)


def test_unbiased_for_one_distribution() -> None:
    x, y = sets(3000, 3000, shift=0)
    result = kernel_distance(x, y, subsets=50, subset_size=300)
    assert abs(result.mean) < 4 * result.std / 10**0.5
    assert float(result.values.min()) < 0 < float(result.values.max())


def test_subsets_of_all_rows_equal_the_whole_sets() -> None:
    x, y = sets(40, 40)
    result = kernel_distance(x, y, subsets=2, subset_size=40)
    np.testing.assert_allclose(result.values, squared_mmd(x, y).value, rtol=1e-10)


def test_many_rows_are_taken_in_blocks() -> None:
    x, y = sets(1500, 1100)
    kernel = PolynomialKernel(degree=2, gamma=0.1, coef0=0.5)
    kxx, kyy, kxy = ((a @ b.T * 0.1 + 0.5) ** 2 for a, b in ((x, x), (y, y), (x, y)))
    want = sum((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kxx, kyy)) - 2 * kxy.mean()
    assert squared_mmd(x, y, kernel).value == pytest.approx(float(want), rel=1e-10)


def test_agrees_with_torch_fidelity(torch_fidelity) -> None:
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    x, y = sets(1200, 1300, dim=32, shift=0.1)
    want = kid_features_to_metric(x, y, kid_subsets=5, verbose=False)
    got = kernel_distance(x, y, subsets=5)
    assert got.mean == pytest.approx(want[KEY_METRIC_KID_MEAN], rel=1e-8)
    assert got.std == pytest.approx(want[KEY_METRIC_KID_STD], rel=1e-8)


def test_faults_are_named() -> None:
    x, y = sets()
    with pytest.raises(ValueError, match="subsets of 1000 need as many images in each set, got 60 and 45"):
        kernel_distance(x, y)
    with pytest.raises(ValueError, match="at least 3 images for samples, got 1"):
        squared_mmd(x[:1], y)
    with pytest.raises(ValueError, match="at least 2 images for samples, got 1"):
        kernel_distance(x[:1], y)
    with pytest.raises(ValueError, match="subset_size >= 3"):
        kernel_distance(x, y, subset_size=2)
    with pytest.raises(ValueError, match="NaN"):
        squared_mmd(x * torch.nan, y)


def covered(count: int, shift: float, stds: torch.Tensor) -> float:
    """How often the interval holds the mean of repetitions."""
    found = []
    for seed in range(count):
        draws = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(n, len(stds), generator=draws) * stds for n in (200, 300))
        found.append(squared_mmd(x + shift, y))
    mean = np.mean([each.value for each in found])
    return float(np.mean([low <= mean <= high for low, high in (each.interval for each in found)]))


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_the_interval_holds_what_it_says_near_equality_too(shift: float) -> None:
    """The value and its error rise together, so value +- 1.96 errors missed below and held 90 to 93 %. 250 repetitions
    know the fraction to 1.4 %."""
    assert 0.92 < covered(250, shift, torch.ones(8)) < 0.99


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.4])
@pytest.mark.parametrize(
    "stds", [torch.ones(8), torch.linspace(0.5, 1.5, 8), torch.ones(32)], ids=["8", "uneven", "32"]
)
def test_ninety_five_per_cent_are_between_92_and_98(shift: float, stds: torch.Tensor) -> None:
    assert 0.92 < covered(1000, shift, stds) < 0.98
