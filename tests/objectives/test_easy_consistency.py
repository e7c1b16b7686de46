"""Consistency tuning: intervals tighten with the progress, and the exact function is what it tightens to."""

from __future__ import annotations

import pytest
import torch

from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.consistency import ratio
from unnoise.objectives.easy_consistency import EasyConsistency
from unnoise.process.parametrization import X0Skip
from unnoise.process.schedule import VE, CosineBetas, LinearBetas, Schedule
from unnoise.seeding import StepNoise

from .exact import SCHEDULES, end_of_the_path, exact_model, gaussian

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def make(schedule: Schedule, progress: float, gap_power: float = 0.0) -> EasyConsistency:
    made = EasyConsistency(exact_model(schedule, end_of_the_path, X0Skip()), gap_power=gap_power)
    made.before_step(0, progress)
    return made


def uniform(n: int = 512) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_first_intervals_reach_to_0_where_noise_is_weak_and_half_the_way_where_it_is_strong() -> None:
    t, s = make(VE(), 0.0).pair(uniform())
    assert (s[t < 1.0] == 0).all()
    strong = t > 20
    assert int(strong.sum()) > 5
    torch.testing.assert_close(s[strong], t[strong] / 2, rtol=1e-6, atol=0)


def test_the_intervals_are_those_of_the_paper() -> None:
    """s = t (1 - n(t) / 2^a), n(t) = 1 + 8 sigmoid(-t), a = 1 + progress x 8."""
    for progress, a in ((0.0, 1), (0.3, 3), (1.0, 8)):
        made = make(VE(), progress)
        assert made.count() == 2**a
        t, s = made.pair(uniform())
        expected = (t * (1 - (1 + 8 / (1 + t.exp())) / 2**a)).clamp(min=0)
        torch.testing.assert_close(s, expected, rtol=1e-6, atol=1e-6)


@every_schedule
def test_a_step_is_always_down(schedule: Schedule) -> None:
    for progress in (0.0, 0.5, 1.0):
        t, s = make(schedule, progress).pair(uniform())
        assert (s < t).all()
        assert (s >= 0).all()
        assert (t <= schedule.t_max).all()
        if schedule.grid is not None:
            assert torch.equal(s, s.round())


@pytest.mark.parametrize("schedule", [CosineBetas(1000), LinearBetas(1000)], ids=["cosine", "linear"])
def test_the_weight_is_finite_where_native_steps_lie_past_the_greatest_ratio(schedule: Schedule) -> None:
    """sigma / alpha is 20,000 at the end of the cosine schedule and counts as 80 from there on."""
    for progress in (0.0, 0.5, 1.0):
        t, s = make(schedule, progress).pair(torch.linspace(0, 1, 20_001, dtype=torch.float64)[:-1])
        assert ((ratio(schedule, t) - ratio(schedule, s)) > 0).all()
        assert t.max() == schedule.t_max


def test_at_the_exact_function_the_pull_vanishes_as_intervals_tighten() -> None:
    """On N(0, STD^2) f is x_t times a number; the gradient of a factor before it falls with the interval's length."""
    batch, pulls = gaussian(4096), []
    for progress in (0.4, 0.9):
        made = make(VE(), progress)
        made.loss(batch, StepNoise(1)).total.backward()
        scale = made.model.network.scale  # type: ignore[union-attr]
        pulls.append(abs(float(scale.grad)))  # type: ignore[arg-type, union-attr]
    assert pulls[1] < pulls[0] / 8


def test_the_spec_round_trips() -> None:
    model = exact_model(CosineBetas(50), end_of_the_path, X0Skip())
    spec = objective_spec(build_objective({"kind": "easy-consistency", "stages": 3}, model))
    assert spec == {
        "kind": "easy-consistency",
        "stages": 3,
        "gap_power": 1.0,
        "timesteps": {"kind": "log-normal-sigma", "mean": -1.1, "std": 2.0},
    }
    assert objective_spec(build_objective(spec, model)) == spec
