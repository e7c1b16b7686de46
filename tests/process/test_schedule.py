"""The contract of every schedule: one line in SCHEDULES_UNDER_TEST brings the whole battery."""

from __future__ import annotations

import math

import pytest
import torch

from unnoise.process.gaussian import posterior, transition
from unnoise.process.learned_schedule import UNIT
from unnoise.process.schedule import (
    SCHEDULES,
    VE,
    VP,
    Betas,
    Cosine,
    CosineBetas,
    GeometricBetas,
    GivenBetas,
    LearnedSchedule,
    LinearBetas,
    RectifiedFlow,
    ScaledLinearBetas,
    Schedule,
)
from unnoise.testing import check_schedule


def learned() -> LearnedSchedule:
    """One whose weights have moved far."""
    schedule, draws = LearnedSchedule(T=100, features=8), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in schedule.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draws) / UNIT)
    return schedule


SCHEDULES_UNDER_TEST = [
    LinearBetas(),
    LinearBetas(T=10, beta_start=0.01, beta_end=0.5),
    LinearBetas(T=1, beta_start=0.5, beta_end=0.5),
    CosineBetas(),
    CosineBetas(T=4000),
    GeometricBetas(),
    ScaledLinearBetas(),
    GivenBetas(values=(0.1, 0.05, 0.3)),
    Cosine(),
    VP(),
    VP(beta_min=1.0, beta_max=1.0),
    VE(),
    RectifiedFlow(),
    LearnedSchedule(),
    learned(),
    learned().requires_grad_(),
]
BETAS_UNDER_TEST = [schedule for schedule in SCHEDULES_UNDER_TEST if isinstance(schedule, Betas)]

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES_UNDER_TEST, ids=repr)
every_betas = pytest.mark.parametrize("schedule", BETAS_UNDER_TEST, ids=repr)


def inner_times(schedule: Schedule, n: int = 57) -> torch.Tensor:
    """Times strictly inside (0, t_max), off the native steps, where a discrete schedule has kinks."""
    return (torch.arange(n, dtype=torch.float64) + 0.4142) / n * schedule.t_max


def test_every_name_is_under_test() -> None:
    assert {type(schedule) for schedule in SCHEDULES_UNDER_TEST} == set(SCHEDULES.values())


@every_schedule
def test_the_contract_that_plug_ins_are_tested_by_holds(schedule: Schedule) -> None:
    check_schedule(schedule)


@every_schedule
def test_begins_clean(schedule: Schedule) -> None:
    assert schedule.alpha(0.0) == 1
    assert schedule.sigma(0.0) == 0
    assert schedule.log_snr(0.0) == torch.inf
    assert schedule.t(torch.inf) == 0


@every_schedule
def test_alpha_falls_and_noise_to_signal_rises(schedule: Schedule) -> None:
    t = inner_times(schedule)
    assert (schedule.alpha(t).diff() <= 0).all()
    assert ((schedule.sigma(t) / schedule.alpha(t)).diff() > 0).all()


@every_schedule
@pytest.mark.parametrize("name", ["alpha", "sigma"])
def test_derivatives_equal_autograd(schedule: Schedule, name: str) -> None:
    t = inner_times(schedule).requires_grad_()
    (expected,) = torch.autograd.grad(getattr(schedule, name)(t).sum(), t)
    torch.testing.assert_close(getattr(schedule, f"d_{name}")(t).detach(), expected, rtol=1e-10, atol=1e-12)


@every_schedule
def test_log_snr_is_the_log_of_the_ratio_of_powers(schedule: Schedule) -> None:
    t = inner_times(schedule)
    expected = 2 * (schedule.alpha(t) / schedule.sigma(t)).log()
    torch.testing.assert_close(schedule.log_snr(t), expected, rtol=1e-9, atol=1e-9)


@every_schedule
def test_t_inverts_log_snr(schedule: Schedule) -> None:
    t = torch.cat([inner_times(schedule), torch.tensor([0.0, schedule.t_max], dtype=torch.float64)])
    torch.testing.assert_close(schedule.t(schedule.log_snr(t)), t, rtol=1e-9, atol=1e-9 * schedule.t_max)


@every_schedule
def test_answers_in_the_type_and_shape_it_was_asked_in(schedule: Schedule) -> None:
    t = torch.full((2, 3), 0.7, dtype=torch.float32)
    for function in (schedule.alpha, schedule.sigma, schedule.d_alpha, schedule.d_sigma, schedule.log_snr):
        assert function(t).dtype == torch.float32
        assert function(t).shape == (2, 3)
        assert function(0.7).dtype == torch.float64
        torch.testing.assert_close(function(t).double()[0, 0], function(0.7), rtol=1e-5, atol=1e-6)


@every_betas
def test_native_steps_are_products_of_one_minus_beta(schedule: Betas) -> None:
    assert schedule.grid is not None
    assert schedule.grid.tolist() == list(range(1, schedule.T + 1))
    expected = torch.cumprod(1 - schedule.betas, 0)
    torch.testing.assert_close(schedule.alpha(schedule.grid) ** 2, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(schedule.alpha_bar, expected)


@every_betas
def test_posterior_and_transition_are_those_of_ho_et_al(schedule: Betas) -> None:
    """Equations 6 and 7 of Ho et al. 2020, written with betas, for every transition."""
    assert schedule.grid is not None
    betas, alpha_bar = schedule.betas, schedule.alpha_bar
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    _, var_ts = transition(schedule, schedule.grid, schedule.grid - 1)
    got = posterior(schedule, schedule.grid, schedule.grid - 1)
    close = {"rtol": 1e-7, "atol": 1e-12}
    torch.testing.assert_close(var_ts, betas, **close)
    torch.testing.assert_close(got.weight_0, before.sqrt() * betas / (1 - alpha_bar), **close)
    torch.testing.assert_close(got.weight_t, (1 - betas).sqrt() * (1 - before) / (1 - alpha_bar), **close)
    torch.testing.assert_close(got.var, (1 - before) / (1 - alpha_bar) * betas, **close)


def test_linear_betas_are_ho_et_als() -> None:
    betas = LinearBetas().betas
    assert betas[0] == 1e-4
    assert betas[-1] == 0.02
    torch.testing.assert_close(betas.diff(), torch.full((999,), 0.0199 / 999, dtype=torch.float64))


def test_vp_is_the_limit_of_linear_betas() -> None:
    fine = LinearBetas(T=100_000, beta_start=0.1 / 100_000, beta_end=20 / 100_000)
    t = torch.linspace(0.05, 1, 9, dtype=torch.float64)
    torch.testing.assert_close(fine.log_snr(t * 100_000), VP().log_snr(t), rtol=0, atol=5e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearBetas(T=0),
        lambda: LinearBetas(beta_start=0.0),
        lambda: LinearBetas(beta_start=0.03),
        lambda: GeometricBetas(beta_end=1.0),
        lambda: VP(beta_min=3, beta_max=2),
        lambda: VE(sigma_max=0),
    ],
)
def test_impossible_schedules_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match="need"):
        make()  # type: ignore[operator]


def test_cosine_betas_are_nichol_and_dhariwals() -> None:
    """Equation 17: alpha_bar_t = f(t) / f(0), f the squared cosine of (t / T + 0.008) / 1.008 quarter turns."""
    f = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(1001)]
    betas = [min(1 - f[t] / f[t - 1], 0.999) for t in range(1, 1001)]
    torch.testing.assert_close(CosineBetas().betas, torch.tensor(betas, dtype=torch.float64))
    assert CosineBetas().betas[-1] == 0.999


def test_geometric_betas_rise_by_one_ratio() -> None:
    betas = GeometricBetas().betas
    assert betas[[0, -1]].tolist() == pytest.approx([1e-4, 0.05])
    torch.testing.assert_close(betas[1:] / betas[:-1], torch.full((999,), 500 ** (1 / 999), dtype=torch.float64))


def test_continuous_schedules_are_their_papers() -> None:
    """VP: alpha^2 = exp(-int beta), beta from 0.1 to 20 (Song et al. 2021). VE: Karras et al. 2022, table 1."""
    for t in (0.1, 0.5, 1.0):
        assert VP().alpha(t).item() == pytest.approx(math.exp(-0.5 * (0.1 * t + 19.9 * t**2 / 2)), rel=1e-12)
        assert Cosine().log_snr(t / 2).item() == pytest.approx(-2 * math.log(math.tan(math.pi * t / 4)), rel=1e-9)
        assert RectifiedFlow().log_snr(t / 2).item() == pytest.approx(2 * math.log((1 - t / 2) / (t / 2)), rel=1e-9)
    assert (VE().t_max, VE().prior_std, VE().alpha(3.0).item(), VE().sigma(3.0).item()) == (80, 80, 1, 3)
    assert [VP().t_max, VP().prior_std, LinearBetas().t_max, LinearBetas().prior_std] == [1, 1, 1000, 1]
