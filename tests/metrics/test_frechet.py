from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
import torch

from unnoise.metrics.frechet import frechet, frechet_distance, frechet_of
from unnoise.metrics.statistics import FeatureStatistics


def covariance(dim: int, seed: int) -> torch.Tensor:
    root = torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T / dim


def by_matrix_root(mean_1, cov_1, mean_2, cov_2) -> float:
    """Heusel et al. 2017, equation 6, letter by letter."""
    root = scipy.linalg.sqrtm(np.asarray(cov_1) @ np.asarray(cov_2))
    return float(np.sum((mean_1 - mean_2).numpy() ** 2) + np.trace(np.asarray(cov_1 + cov_2) - 2 * root.real))


@pytest.mark.parametrize("dim", [1, 2, 33])
def test_equals_the_matrix_root(dim: int) -> None:
    mean_1, mean_2 = torch.randn(2, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cov_1, cov_2 = covariance(dim, 1), covariance(dim, 2)
    want = by_matrix_root(mean_1, cov_1, mean_2, cov_2)
    assert frechet_distance(mean_1, cov_1, mean_2, cov_2) == pytest.approx(want, rel=1e-9)
    assert frechet_distance(mean_2.numpy(), cov_2.numpy(), mean_1, cov_1) == pytest.approx(want, rel=1e-9)


def test_closed_form_of_commuting_gaussians() -> None:
    stds_1, stds_2 = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 1.0, 0.5])
    got = frechet_distance(torch.zeros(3), stds_1.square().diag(), torch.ones(3), stds_2.square().diag())
    assert got == pytest.approx(3 + 4 + 1, rel=1e-12)


def test_sampled_gaussians_converge_to_the_closed_form() -> None:
    draws = torch.Generator().manual_seed(0)
    want = 8 * (1 + 0.5**2)
    errors = []
    for n in (500, 5_000, 50_000):
        x = torch.randn(n, 8, generator=draws)
        y = 1.5 * torch.randn(n, 8, generator=draws) + 1
        errors.append(abs(frechet_of(FeatureStatistics.of(x), FeatureStatistics.of(y)).distance - want))
    assert errors[2] < errors[0]
    assert errors[2] < 0.01 * want


@pytest.mark.parametrize("n", [3, 50, 400])
def test_a_set_is_at_no_distance_from_itself_nor_from_its_shuffled_batches(n: int) -> None:
    x = 100 * torch.randn(n, 60, generator=torch.Generator().manual_seed(0))
    whole, stream = FeatureStatistics.of(x), FeatureStatistics(60)
    for part in x.flip(0).split(7):
        stream.update(part)
    scale = float(whole.covariance.trace())
    assert frechet_of(whole, whole).distance < 1e-12 * scale
    assert frechet_of(whole, stream).distance < 1e-12 * scale


def test_fewer_images_than_dimensions() -> None:
    """The trace of the root equals the nuclear norm of the cross products of the centred images."""
    x, y = torch.randn(2, 30, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centred = [(z - z.mean(0)) / 29**0.5 for z in (x, 2 * y)]
    want = (x.mean(0) - 2 * y.mean(0)).square().sum() + sum(z.square().sum() for z in centred)
    want -= 2 * np.linalg.svd((centred[0] @ centred[1].T).numpy(), compute_uv=False).sum()
    result = frechet_of(FeatureStatistics.of(x), FeatureStatistics.of(2 * y))
    assert result.distance == pytest.approx(float(want), rel=1e-10)
    assert result.ranks == (29, 29)
    assert result.near_singular


def test_constant_features_are_survived_and_said() -> None:
    cov = covariance(5, 0)
    cov[:, 2] = cov[2, :] = 0
    with pytest.warns(UserWarning, match="near-singular covariances: their ranks are 4 and 5 of 5"):
        got = frechet_distance(torch.zeros(5), cov, torch.zeros(5), torch.eye(5))
    kept = torch.tensor([0, 1, 3, 4])
    small = cov[kept][:, kept]
    assert got == pytest.approx(1 + by_matrix_root(torch.zeros(4), small, torch.zeros(4), torch.eye(4)), rel=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert frechet_distance(torch.zeros(5), 0 * cov, torch.ones(5), 0 * cov) == 5


def test_a_wide_spectrum_keeps_its_small_part() -> None:
    """Eigenvalues over fifteen orders of magnitude: the result is the sum over directions all the same."""
    basis = torch.linalg.qr(covariance(40, 3)).Q
    values = torch.logspace(0, -10, 40, dtype=torch.float64)
    one, two = basis @ values.diag() @ basis.T, basis @ (4 * values).diag() @ basis.T
    result = frechet(torch.zeros(40), one, torch.zeros(40), two)
    assert result.distance == pytest.approx(float(values.sum()), rel=1e-12)
    assert not result.near_singular


def test_float32_covariances_pass() -> None:
    x = torch.randn(2000, 30, generator=torch.Generator().manual_seed(0))
    cov = torch.cov(x.T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert frechet_distance(x.mean(0), cov, x.mean(0), 4 * cov) == pytest.approx(float(cov.trace()), rel=1e-6)


def test_agrees_with_torch_fidelity(torch_fidelity) -> None:
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    draws = torch.Generator().manual_seed(0)
    x = torch.randn(700, 64, generator=draws).double()
    y = torch.randn(900, 64, generator=draws).double() @ covariance(64, 1)
    want = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), verbose=False)
    got = frechet_of(FeatureStatistics.of(x), FeatureStatistics.of(y)).distance
    assert got == pytest.approx(want[KEY_METRIC_FID], rel=1e-8)


def test_faults_are_named() -> None:
    mean, cov = torch.zeros(3), torch.eye(3)
    with pytest.raises(ValueError, match=r"\(3,\), \(3, 3\), \(2,\), \(2, 2\)"):
        frechet_distance(mean, cov, torch.zeros(2), torch.eye(2))
    with pytest.raises(ValueError, match="NaN"):
        frechet_distance(mean * torch.nan, cov, mean, cov)
    with pytest.raises(ValueError, match="symmetric"):
        frechet_distance(mean, torch.ones(3, 3).triu(), mean, cov)
    with pytest.raises(ValueError, match="negative eigenvalue -1"):
        frechet_distance(mean, torch.tensor([1.0, 1.0, -1.0]).diag(), mean, cov)
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        frechet_of(FeatureStatistics.of(torch.ones(1, 3)), FeatureStatistics.of(torch.eye(3)))
