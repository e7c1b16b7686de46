from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unnoise.process.gaussian import (
    discretised_log_prob,
    gaussian_kl,
    gaussian_log_prob,
    perturb,
    posterior,
    transition,
)
from unnoise.process.schedule import VE, CosineBetas, LinearBetas, RectifiedFlow, Schedule

PAIRS_OF_TIMES = [(LinearBetas(), 500, 499), (LinearBetas(), 900, 100), (CosineBetas(), 1000, 3), (VE(), 40.0, 0.5)]


@pytest.mark.parametrize(("schedule", "t", "s"), [*PAIRS_OF_TIMES, (RectifiedFlow(), 0.7, 0.2)], ids=repr)
def test_posterior_is_bayes_rule(schedule: Schedule, t: float, s: float) -> None:
    """q(x_s | x_t, x_0) q(x_t | x_0) = q(x_t | x_s) q(x_s | x_0) as densities."""
    x_s, x_t, x_0 = torch.randn(3, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alpha_ts, var_ts = transition(schedule, t, s)
    back = posterior(schedule, t, s)

    def marginal(x: torch.Tensor, time: float) -> torch.Tensor:
        return gaussian_log_prob(x, schedule.alpha(time) * x_0, 2 * schedule.sigma(time).log())

    left = gaussian_log_prob(x_s, back.mean(x_t, x_0), back.var.log()) + marginal(x_t, t)
    right = gaussian_log_prob(x_t, alpha_ts * x_s, var_ts.log()) + marginal(x_s, s)
    torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-7)


def test_perturb_has_the_moments_of_q() -> None:
    draws = torch.Generator().manual_seed(0)
    x_0, eps = torch.full((200_000,), 0.5), torch.randn(200_000, generator=draws)
    x_t = perturb(LinearBetas(), x_0, eps, 300)
    assert x_t.dtype == torch.float32
    assert abs(x_t.mean() - 0.5 * LinearBetas().alpha(300)) < 4 * LinearBetas().sigma(300) / 200_000**0.5
    assert abs(x_t.std() / LinearBetas().sigma(300) - 1) < 4 / (2 * 200_000) ** 0.5


def test_kl_and_log_prob_equal_torchs() -> None:
    mean_1, mean_2, log_var_1, log_var_2, x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0)).double()
    p, q = Normal(mean_1, (log_var_1 / 2).exp()), Normal(mean_2, (log_var_2 / 2).exp())
    torch.testing.assert_close(gaussian_kl(mean_1, log_var_1, mean_2, log_var_2), kl_divergence(p, q))
    torch.testing.assert_close(gaussian_log_prob(x, mean_1, log_var_1), p.log_prob(x))


@pytest.mark.parametrize("log_var", [-12.0, -6.0, 0.0, 3.0])
@pytest.mark.parametrize("mean", [-1.7, -1.0, 0.013, 1.0])
def test_discrete_decoder_is_a_distribution(mean: float, log_var: float) -> None:
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    log_prob = discretised_log_prob(levels, torch.tensor(mean).double(), torch.tensor(log_var).double())
    assert log_prob.isfinite().all()
    torch.testing.assert_close(log_prob.exp().sum(), torch.tensor(1.0).double(), rtol=1e-9, atol=1e-9)


def test_discrete_decoder_keeps_its_tails() -> None:
    """Far from the mean the bucket's mass is the density times its width, where naive differences give log 0."""
    mean, log_var = torch.tensor(-0.9).double(), torch.tensor(-8.0).double()
    x = torch.tensor(0.6).double()
    slope = (x - mean) * torch.exp(-log_var)
    expected = gaussian_log_prob(x, mean, log_var) + torch.log(2 * torch.sinh(slope / 255) / slope)
    torch.testing.assert_close(discretised_log_prob(x, mean, log_var), expected, rtol=1e-3, atol=0)
