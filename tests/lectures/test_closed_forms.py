"""The closed forms of the course."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from unnoise.lectures.closed_forms import drift_and_diffusion, game_value, optimal_logit
from unnoise.process.divergence import js_gaussian
from unnoise.process.schedule import VE, VP, Cosine, RectifiedFlow, Schedule

DATA, SAMPLES = (
    Normal(torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64))
    for mean, std in ((0.0, 1.0), (1.0, 2.0))
)


def test_the_optimal_logit_is_the_log_ratio() -> None:
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    p, q = DATA.log_prob(x).exp(), SAMPLES.log_prob(x).exp()
    assert torch.allclose(optimal_logit(DATA, SAMPLES)(x).sigmoid(), p / (p + q))


def test_the_value_at_the_optimum() -> None:
    value = game_value(DATA, SAMPLES, optimal_logit(DATA, SAMPLES))
    assert value == pytest.approx(2 * js_gaussian(0, 1, 1, 2) - 2 * math.log(2), abs=1e-7)


@pytest.mark.parametrize("factor", [0.5, 2.0, -1.0])
def test_no_other_discriminator_is_better(factor: float) -> None:
    best = optimal_logit(DATA, SAMPLES)
    assert game_value(DATA, SAMPLES, lambda x: factor * best(x)) < game_value(DATA, SAMPLES, best)


def test_an_undecided_discriminator_gets_minus_2_log_2() -> None:
    assert game_value(DATA, SAMPLES, torch.zeros_like) == pytest.approx(-2 * math.log(2))


def test_vp_has_the_drift_and_the_diffusion_of_song_et_al() -> None:
    rate = 0.1 + 0.3 * 19.9
    drift, squared = drift_and_diffusion(VP(), 0.3)
    assert float(drift) == pytest.approx(-rate / 2)
    assert float(squared) == pytest.approx(rate)


@pytest.mark.parametrize("schedule", [VP(), VE(), Cosine(), RectifiedFlow()], ids=repr)
def test_a_small_step_of_the_sde_keeps_the_marginals(schedule: Schedule) -> None:
    """alpha and sigma^2 obey d alpha = f alpha dt and d sigma^2 = (2 f sigma^2 + g^2) dt."""
    t, dt = 0.4, 1e-6
    drift, squared = drift_and_diffusion(schedule, t)
    assert float(schedule.alpha(t) * (1 + drift * dt)) == pytest.approx(float(schedule.alpha(t + dt)), abs=1e-9)
    variance = schedule.sigma(t) ** 2
    stepped = variance + (2 * drift * variance + squared) * dt
    assert float(stepped) == pytest.approx(float(schedule.sigma(t + dt) ** 2), abs=1e-9)
