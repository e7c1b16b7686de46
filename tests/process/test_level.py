"""The level of a time is the schedule's own alpha and sigma, and formulas of levels are the formulas of times."""

from __future__ import annotations

import math

import pytest
import torch

from unnoise.process.gaussian import posterior, posterior_between, transition, transition_between
from unnoise.process.parametrization import EDM, PARAMETRIZATIONS, Eps, Mean, V
from unnoise.process.schedule import VE, VP, Cosine, CosineBetas, LinearBetas, RectifiedFlow, Schedule

SCHEDULES = [LinearBetas(), CosineBetas(T=50), Cosine(), VP(), VE(), RectifiedFlow()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@every_schedule
def test_a_level_holds_numbers_of_its_schedule(schedule: Schedule) -> None:
    for fraction in (0.02, 0.3, 0.96):
        t = round(fraction * schedule.t_max) if schedule.grid is not None else fraction * schedule.t_max
        level = schedule.at(t)
        assert [type(value) for value in level] == [float] * 4
        assert level == schedule.at(torch.tensor(float(t), dtype=torch.float64))
        assert level.t == t
        assert level.alpha == float(schedule.alpha(t))
        assert level.sigma == float(schedule.sigma(t))
        assert level.log_snr == pytest.approx(float(schedule.log_snr(t)), rel=1e-9)
        assert level.half_log_snr == pytest.approx(math.log(level.alpha / level.sigma), rel=1e-9)


@every_schedule
def test_the_ends_are_infinite_where_a_side_is_nothing(schedule: Schedule) -> None:
    assert schedule.at(0).log_snr == math.inf
    assert (schedule.at(schedule.t_max).log_snr == -math.inf) == (schedule.at(schedule.t_max).alpha == 0)


@every_schedule
def test_levels_of_rows_are_the_levels_of_each(schedule: Schedule) -> None:
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64) * schedule.t_max
    rows = schedule.at_rows(t)
    for row, time in enumerate(t):
        one = schedule.at(time)
        assert [float(part[row]) for part in rows] == pytest.approx(list(one), rel=1e-9)


@every_schedule
def test_transition_and_posterior_are_the_same_of_numbers_and_of_times(schedule: Schedule) -> None:
    t, s = 0.8 * schedule.t_max, 0.4 * schedule.t_max
    here, there = schedule.at(t), schedule.at(s)
    assert transition_between(here, there) == pytest.approx([float(x) for x in transition(schedule, t, s)], rel=1e-9)
    assert posterior_between(here, there) == pytest.approx([float(x) for x in posterior(schedule, t, s)], rel=1e-9)


def test_the_transition_of_a_native_step_is_beta() -> None:
    schedule = LinearBetas()
    alpha, var = transition_between(schedule.at(700), schedule.at(699))
    assert var == pytest.approx(float(schedule.betas[699]), rel=1e-9)
    assert alpha == pytest.approx(math.sqrt(1 - float(schedule.betas[699])), rel=1e-12)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_coefficients_turn_the_target_into_the_image_and_the_noise(name: str) -> None:
    schedule, x_0, eps = LinearBetas(), 0.3, -1.2
    parametrization = PARAMETRIZATIONS[name]()
    level, c = schedule.at(400), parametrization.at(schedule, 400)
    a, b = (float(part) for part in parametrization.row(schedule, torch.tensor(400.0, dtype=torch.float64)))
    x_t, output = level.alpha * x_0 + level.sigma * eps, a * x_0 + b * eps
    assert c.x_0_of_x_t * x_t - c.x_0_of_output * output == pytest.approx(x_0, rel=1e-9)
    assert c.eps_of_output * output - c.eps_of_x_t * x_t == pytest.approx(eps, rel=1e-9)


def test_what_a_network_is_given() -> None:
    assert Eps().at(LinearBetas(), 250).input_scale == 1.0
    assert Eps().at(LinearBetas(T=500), 250).noise_level == 500.0
    assert V().at(VE(), 3.0).input_scale == pytest.approx(1 / math.sqrt(10))
    edm = EDM(sigma_data=0.5).at(VE(), 2.0)
    assert edm.input_scale == pytest.approx(1 / math.sqrt(4.25))
    assert edm.noise_level == pytest.approx(math.log(2) / 4)
    assert Mean().at(LinearBetas(), 2).input_scale == 1.0
