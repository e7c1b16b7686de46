from __future__ import annotations

import numpy as np
import pytest
import torch

from unnoise.metrics.frechet import frechet_of
from unnoise.metrics.statistics import FeatureStatistics
from unnoise.metrics.uncertainty import bootstrap, repeated, small_sample_warning


def mean(x: torch.Tensor) -> float:
    return float(x.mean())


def test_the_error_of_a_mean() -> None:
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    got = bootstrap(mean, x, resamples=1000)
    assert got.value == mean(x)
    assert got.stderr == pytest.approx(float(x.std()) / 20, rel=0.08)
    assert got.interval == pytest.approx((got.value - 1.96 * got.stderr, got.value + 1.96 * got.stderr), rel=1e-3)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws = torch.Generator().manual_seed(0)
    found = [bootstrap(mean, torch.randn(100, 1, generator=draws), level=0.8, resamples=60) for _ in range(300)]
    assert np.mean([low <= 0 <= high for low, high in (each.interval for each in found)]) == pytest.approx(
        0.8, abs=0.06
    )


def test_a_frechet_distance_lies_in_its_own_interval() -> None:
    """Resampling raises it, as a smaller n does; the interval stays about the value and the bias is told."""
    x, y = torch.randn(2, 300, 20, generator=torch.Generator().manual_seed(0))
    reference = FeatureStatistics.of(y)
    got = bootstrap(lambda z: frechet_of(FeatureStatistics.of(z), reference).distance, x, resamples=30)
    assert got.interval[0] < got.value < got.interval[1]
    assert got.bias > got.stderr


def test_seeds_decide() -> None:
    x = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    assert bootstrap(mean, x, seed=3) == bootstrap(mean, x, seed=3)
    assert bootstrap(mean, x, seed=3).stderr != bootstrap(mean, x, seed=4).stderr


def test_several_sets_are_resampled_apart() -> None:
    x, y = torch.arange(60.0)[:, None], torch.zeros(5, 1)
    got = bootstrap(lambda a, b: float(a.mean() + b.sum() + len(a) - len(b)), x, y, resamples=5)
    assert got.value == 29.5 + 55


def test_repeated_measurements() -> None:
    got = repeated([1.0, 2.0, 3.0])
    assert got.value == 2
    assert got.stderr == pytest.approx(3**-0.5)
    assert got.interval == pytest.approx((2 - 4.3027 * 3**-0.5, 2 + 4.3027 * 3**-0.5), rel=1e-4)


def test_small_samples_are_told() -> None:
    assert "singular" in (small_sample_warning(128, 128) or "")
    assert "640 would be better" in (small_sample_warning(129, 128) or "")
    assert small_sample_warning(640, 128) is None


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match=r"at least 2 images in each set, got \[1\]"):
        bootstrap(mean, torch.zeros(1, 1))
    with pytest.raises(ValueError, match=r"level in \(0, 1\), got 200 and 1"):
        bootstrap(mean, torch.zeros(5, 1), level=1)
    with pytest.raises(ValueError, match="at least 2 repetitions, got 1"):
        repeated([1.0])
