"""Distributions of training times against their papers, by quantiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from unnoise.process.schedule import VE, VP, Cosine, CosineBetas, LinearBetas, RectifiedFlow, Schedule
from unnoise.process.timesteps import LogitNormal, LogNormalSigma, OnGrid, Uniform

U = torch.tensor([0.02, 0.2, 0.5, 0.77, 0.95], dtype=torch.float64)


@pytest.mark.parametrize("schedule", [VE(), VP(), Cosine(), RectifiedFlow(), LinearBetas(), CosineBetas()], ids=repr)
def test_log_normal_sigma_is_of_the_noise_to_signal_ratio(schedule: Schedule) -> None:
    """log(sigma / alpha) ~ N(-1.2, 1.2^2): table 1 of Karras et al. 2022, where alpha = 1."""
    t = LogNormalSigma().quantile(schedule, U)
    ratio = (schedule.sigma(t) / schedule.alpha(t)).numpy()
    inside = t.numpy() > 1e-3 * schedule.t_max if schedule.grid is None else t.numpy() > 1
    expected = norm.ppf(U.numpy(), loc=-1.2, scale=1.2)
    np.testing.assert_allclose(np.log(ratio)[inside], expected[inside], rtol=1e-6)
    assert inside[2:].all()


def test_log_normal_sigma_takes_mean_and_standard_deviation_and_ends_at_t_max() -> None:
    t = LogNormalSigma(mean=0.4, std=0.3).quantile(VE(), U)
    np.testing.assert_allclose(t.numpy(), np.exp(norm.ppf(U.numpy(), loc=0.4, scale=0.3)), rtol=1e-9)
    assert LogNormalSigma(mean=3.0, std=5.0).quantile(VE(), torch.tensor([0.99999])).item() == 80.0


@pytest.mark.parametrize("schedule", [RectifiedFlow(), VP(), VE()], ids=repr)
def test_logit_normal_is_of_time(schedule: Schedule) -> None:
    """logit t ~ N(m, s^2): equation 19 of Esser et al. 2024."""
    t = LogitNormal(mean=-0.5, std=0.8).quantile(schedule, U) / schedule.t_max
    np.testing.assert_allclose(torch.logit(t).numpy(), norm.ppf(U.numpy(), loc=-0.5, scale=0.8), rtol=1e-9)


@pytest.mark.parametrize("schedule", [RectifiedFlow(), VE()], ids=repr)
def test_uniform_has_the_uniforms_moments_and_keeps_its_margin(schedule: Schedule) -> None:
    u = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    t = Uniform(margin=0.1).quantile(schedule, u) / schedule.t_max
    assert t.mean().item() == pytest.approx(0.55, abs=1e-4)
    assert t.var().item() == pytest.approx(0.9**2 / 12, rel=1e-3)
    ends = Uniform(margin=0.1).quantile(schedule, torch.tensor([0.0, 1.0], dtype=torch.float64)) / schedule.t_max
    assert ends.sort().values.tolist() == pytest.approx([0.1, 1.0])


def test_the_grid_begins_at_one_and_ends_at_T() -> None:
    u = torch.tensor([0.0, 0.4999, 0.5, 1 - 1e-12], dtype=torch.float64)
    assert OnGrid().quantile(LinearBetas(T=10, beta_end=0.5), u).tolist() == [1, 5, 6, 10]
