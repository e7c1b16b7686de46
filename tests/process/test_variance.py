from __future__ import annotations

import pytest
import torch

from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import perturb, posterior, transition
from unnoise.process.schedule import VE, VP, Cosine, LinearBetas, RectifiedFlow, Schedule
from unnoise.process.variance import VARIANCES, Analytic, Beta, BetaTilde, Learned, Variance, estimate_gammas

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


@pytest.mark.parametrize(
    ("schedule", "t"), [(SCHEDULE, 1000.0), (SCHEDULE, 600.0), (VP(), 1.0), (RectifiedFlow(), 1.0)]
)
def test_the_last_step_of_a_short_grid_has_a_variance_too(schedule: Schedule, t: float) -> None:
    log_var = BetaTilde().log_var(denoised(), schedule, torch.tensor(t).double(), torch.zeros(()).double())
    torch.testing.assert_close(log_var, posterior(schedule, schedule.t_max, schedule.t_max / 2).var.log())


@pytest.mark.parametrize("kind", [Beta(), BetaTilde(), Learned(), Analytic((100.0, 900.0), (0.3, 0.9))])
def test_rows_may_stand_at_different_times(kind: Variance) -> None:
    t, s = torch.tensor([1.0, 400.0]).double(), torch.tensor([0.0, 399.0]).double()
    rows = kind.log_var(denoised(0.3), SCHEDULE, t, s).expand(2, 3)
    for row in range(2):
        torch.testing.assert_close(rows[row], kind.log_var(denoised(0.3), SCHEDULE, t[row], s[row]).expand(2, 3)[row])


def test_learned_mixes_logs() -> None:
    low, high = (v.log_var(denoised(), SCHEDULE, T, S) for v in (BetaTilde(), Beta()))
    for mix in (0.0, 0.3, 1.0):
        got = Learned().log_var(denoised(mix), SCHEDULE, T, S)
        torch.testing.assert_close(got, (mix * high + (1 - mix) * low).expand(2, 3))


def test_learned_needs_a_denoiser_that_learned() -> None:
    with pytest.raises(ValueError, match="not learned its variance"):
        Learned().log_var(denoised(), SCHEDULE, T, S)


@pytest.mark.parametrize("name", ["beta", "beta-tilde"])
def test_analytic_lies_between_its_limits(name: str) -> None:
    """One point leaves beta-tilde; where x_t says nothing of eps (gamma = 0) it is beta / alpha_{t|s}^2."""
    gamma = {"beta": 0.0, "beta-tilde": 1 - 1e-12}[name]
    got = Analytic((1.0, 1000.0), (gamma, gamma)).log_var(denoised(), SCHEDULE, T, S)
    extra = -2 * transition(SCHEDULE, T, S)[0].log() if name == "beta" else 0
    torch.testing.assert_close(got, VARIANCES[name]().log_var(denoised(), SCHEDULE, T, S) + extra)


@pytest.mark.parametrize("schedule", [VP(), VE(), RectifiedFlow(), Cosine()], ids=repr)
def test_gammas_are_the_norm_of_the_expected_noise(schedule: Schedule) -> None:
    mixture = GaussianMixture(torch.ones(2), torch.tensor([[0.5, 0.0], [-0.5, 0.2]]), 0.1)
    x_0, times = mixture.sample(100_000), schedule.t(torch.tensor([6.0, 2.0, 0.0, -3.0]).double())
    fitted = estimate_gammas(mixture.denoiser(schedule), x_0, times)
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for gamma, t in zip(fitted.gammas, times, strict=True):
        said = mixture.denoiser(schedule)(perturb(schedule, x_0, eps, t), t).eps
        assert gamma == pytest.approx(float(said.square().mean()), abs=0.02)


@pytest.mark.parametrize("schedule", [RectifiedFlow(), Cosine()], ids=repr)
def test_analytic_is_finite_where_no_signal_is_left(schedule: Schedule) -> None:
    """At t_max x_t says nothing: var_0 is the data's variance, and that of p(x_s | x_t) is x_s's own."""
    std, s = 0.3, torch.tensor(0.9).double()
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 2), std)
    times = schedule.t(torch.linspace(6, -6, 50).double())
    fitted = estimate_gammas(mixture.denoiser(schedule), mixture.sample(100_000), times)
    got = fitted.log_var(denoised(), schedule, torch.ones(()).double(), s)
    torch.testing.assert_close(
        got.exp(), (schedule.alpha(s) * std) ** 2 + schedule.sigma(s) ** 2, rtol=1e-4, atol=0, check_dtype=False
    )


def test_wrong_tables_are_refused() -> None:
    for times, gammas in [((), ()), ((1.0,), (0.1, 0.2)), ((1.0,), (1.0,))]:
        with pytest.raises(ValueError, match="one gamma below 1 per time"):
            Analytic(times, gammas)


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


def test_the_discrete_decoder_has_the_variance_of_the_papers_codes() -> None:
    """'fixedlarge' of Ho et al.'s code: beta_t, and beta-tilde_2 for the first step; a learned variance mixes from
    beta_1 to beta-tilde_2 there, as Nichol & Dhariwal's does."""
    schedule, first = LinearBetas(), torch.ones(()).double()
    alpha_bar, betas = schedule.alpha_bar, schedule.betas
    tilde_2 = float((betas[1] * (1 - alpha_bar[0]) / (1 - alpha_bar[1])).log())
    assert float(Beta().decoder_log_var(denoised(), schedule, first)) == pytest.approx(tilde_2, rel=1e-9)
    assert float(BetaTilde().decoder_log_var(denoised(), schedule, first)) == pytest.approx(tilde_2, rel=1e-9)
    got = Learned().decoder_log_var(denoised(1.0), schedule, first)
    torch.testing.assert_close(got, torch.full_like(got, float(betas[0].log())))
