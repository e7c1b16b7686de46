from __future__ import annotations

import torch

from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import posterior
from unnoise.process.schedule import VP, LinearBetas
from unnoise.process.variance import Beta, BetaTilde, Learned, estimate_gammas

SCHEDULE = LinearBetas()
T, S = torch.tensor(400.0).double(), torch.tensor(399.0).double()


def denoised(mix: float | None = None) -> Denoised:
    x = torch.zeros(2, 3, dtype=torch.float64)
    return Denoised(x, x, x, var_mix=None if mix is None else torch.full_like(x, mix))


def test_beta_and_beta_tilde_are_ho_et_als() -> None:
    torch.testing.assert_close(Beta().log_var(denoised(), SCHEDULE, T, S).exp(), SCHEDULE.betas[399], rtol=1e-8, atol=0)
    ratio = (1 - SCHEDULE.alpha_bar[398]) / (1 - SCHEDULE.alpha_bar[399]) * SCHEDULE.betas[399]
    torch.testing.assert_close(BetaTilde().log_var(denoised(), SCHEDULE, T, S).exp(), ratio, rtol=1e-8, atol=0)


def test_the_first_step_takes_the_second_steps_beta_tilde() -> None:
    one, zero = torch.tensor([1.0, 0.0]).double()
    expected = posterior(SCHEDULE, 2.0, 1.0).var.log()
    torch.testing.assert_close(BetaTilde().log_var(denoised(), SCHEDULE, one, zero), expected)


def test_learned_mixes_logs() -> None:
    low, high = (v.log_var(denoised(), SCHEDULE, T, S) for v in (BetaTilde(), Beta()))
    for mix in (0.0, 0.3, 1.0):
        got = Learned().log_var(denoised(mix), SCHEDULE, T, S)
        torch.testing.assert_close(got, (mix * high + (1 - mix) * low).expand(2, 3))


def test_analytic_is_exact_for_a_gaussian() -> None:
    """For x_0 ~ N(0, s^2) the reverse kernel is Gaussian: its variance is that of x_s given x_t."""
    std = 0.3
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 2), std)
    schedule, t, s = VP(), torch.tensor(0.5).double(), torch.tensor(0.45).double()
    got = estimate_gammas(mixture.denoiser(schedule), mixture.sample(200_000), [0.5]).log_var(
        denoised(), schedule, t, s
    )
    var_s, var_t = ((schedule.alpha(x) * std) ** 2 + schedule.sigma(x) ** 2 for x in (s, t))
    covariance = schedule.alpha(t) / schedule.alpha(s) * var_s
    torch.testing.assert_close(got.exp(), var_s - covariance**2 / var_t, rtol=5e-3, atol=0)
