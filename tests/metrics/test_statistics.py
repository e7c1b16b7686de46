from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from unnoise.metrics.statistics import FeatureStatistics, feature_pair, feature_rows


def features(n: int = 301, dim: int = 7, seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=draws) @ torch.randn(dim, dim, generator=draws) + 5


def test_equals_numpys_mean_and_covariance() -> None:
    x = features()
    got = FeatureStatistics.of(x)
    assert got.count == 301
    np.testing.assert_allclose(got.mean, x.double().mean(0), rtol=1e-13)
    np.testing.assert_allclose(got.covariance, np.cov(x.double().numpy(), rowvar=False), rtol=1e-12)


@pytest.mark.parametrize("sizes", [[301], [1] * 301, [300, 1], [0, 100, 201]], ids=str)
def test_order_and_batching_change_nothing(sizes: list[int]) -> None:
    x = features()
    whole, stream = FeatureStatistics.of(x), FeatureStatistics(7)
    shuffled = x[torch.randperm(301, generator=torch.Generator().manual_seed(1))]
    for part in shuffled.split(sizes):
        stream.update(part)
    np.testing.assert_allclose(stream.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(stream.covariance, whole.covariance, rtol=1e-12)


def test_merged_streams_equal_one_stream() -> None:
    x = features()
    left, right, empty = FeatureStatistics.of(x[:40]), FeatureStatistics.of(x[40:]), FeatureStatistics(7)
    left.merge(empty)
    left.merge(right)
    np.testing.assert_allclose(left.covariance, FeatureStatistics.of(x).covariance, rtol=1e-12)
    empty.merge(left)
    assert empty.count == 301
    np.testing.assert_allclose(empty.covariance, left.covariance, rtol=1e-14)


def test_a_large_offset_does_not_drown_a_small_variance() -> None:
    x = features().double()
    stream = FeatureStatistics(7)
    for part in (x + 1e7).split(50):
        stream.update(part)
    np.testing.assert_allclose(stream.covariance, torch.cov(x.T), rtol=1e-6)


def test_a_state_survives_a_file() -> None:
    stored = FeatureStatistics.of(features())
    got = FeatureStatistics.from_state(load(save(stored.state())))
    assert got.count == stored.count
    assert torch.equal(got.covariance, stored.covariance)
    got.update(features(seed=2))
    assert stored.count == 301


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        _ = FeatureStatistics.of(features()[:1]).covariance
    with pytest.raises(ValueError, match="features of 6 dimensions cannot join statistics of 7"):
        FeatureStatistics(7).update(features(dim=6))
    broken = features()
    broken[[3, 9], 2] = torch.nan
    with pytest.raises(ValueError, match="2 of 301 rows of features are NaN or infinite, the first is 3"):
        FeatureStatistics(7).update(broken)
    with pytest.raises(ValueError, match=r"shape \(N, D\), got \(3, 4, 5\)"):
        feature_rows(np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match="samples have 3 dimensions but references 4"):
        feature_pair(np.zeros((5, 3)), np.zeros((5, 4)), ("samples", "references"))
