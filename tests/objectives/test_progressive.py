"""Progressive distillation: the teacher's two steps are the optimum of one, and stages follow the progress."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.data.loader import Loader
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.progressive import Progressive, seen_at_once
from unnoise.process.schedule import Schedule
from unnoise.samplers import DDIM
from unnoise.seeding import StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

from .exact import SCHEDULES, STD, exact_model, gaussian, mean_of_the_data

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def small(**more: Any) -> Diffusion:
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
    sentence = {"network": network, "schedule": "cosine-betas", "parametrization": "v", **more}
    model = build_model(sentence, (1, 8, 8), classes=10)
    assert isinstance(model, Diffusion)
    return model


@every_schedule
def test_the_target_leads_where_the_teachers_two_steps_lead(schedule: Schedule) -> None:
    """On N(0, STD^2) everything is x_t times a number: one step of the target ends at DDIM's own end of two."""
    made = Progressive(exact_model(schedule, mean_of_the_data), first=4, calls=1)
    t, middle, s = (torch.full((8,), schedule.t_max * part, dtype=torch.float64) for part in (0.75, 0.625, 0.5))
    x_t = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = made._two_steps(x_t, t, middle, s, None)
    here, there = schedule.at(t[0]), schedule.at(s[0])
    eps = (x_t - here.alpha * target) / here.sigma
    grid = tuple(float(time[0]) for time in (t, middle, s))
    two = list(DDIM(steps=3, grid=grid).stream(made.teacher, x_t))[1].x
    torch.testing.assert_close(there.alpha * target + there.sigma * eps, two, rtol=0, atol=1e-9)


def test_the_last_step_is_to_see_where_the_two_end() -> None:
    schedule = SCHEDULES[1]
    x_t, x_0 = torch.randn(2, 4, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)
    t, s = (torch.full((4,), value, dtype=torch.float64) for value in (5000.0, 0.0))
    torch.testing.assert_close(seen_at_once(schedule, x_t, x_0, t, s), x_0)


class Answer(torch.nn.Module):
    """A network, for the parametrization X0, that answers one number times x_t at t_max."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def forward(self, x: Tensor, level: Tensor, told: Any = None) -> Tensor:
        return self.value * x


@every_schedule
def test_in_one_step_the_end_of_two_is_the_optimum(schedule: Schedule) -> None:
    """first = calls = 1: the student at t_max answers with what DDIM draws in two steps, and pays nothing for it."""
    made = Progressive(exact_model(schedule, mean_of_the_data), first=1, calls=1)
    ones = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    end = float(DDIM(steps=2, grid="trailing").run(made.teacher, schedule.prior_std * ones)) / schedule.prior_std
    scale = float(made.model._network_input(ones, torch.tensor([schedule.t_max], dtype=torch.float64))[0])
    losses = []
    for factor in (0.9, 1.0, 1.1):
        made.model.network = Answer(factor * end / scale)
        losses.append(float(made.loss(gaussian(16), StepNoise(0)).total.detach()))
    assert losses[1] < 1e-14
    assert min(losses[0], losses[2]) > 1e-7
    assert end != pytest.approx(STD, rel=1e-3)


def test_stages_halve_the_steps_and_each_begins_with_the_student_before() -> None:
    made = Progressive(small(), first=8, calls=2)
    found = []
    for progress in (0.0, 0.32, 0.34, 0.66, 0.67, 1.0):
        with torch.no_grad():
            made.model.network.first.weight.fill_(progress)  # type: ignore[union-attr, operator]
        made.before_step(int(100 * progress), progress)
        found.append((made.steps, round(float(made.teacher.network.first.weight[0, 0, 0, 0]), 2)))  # type: ignore[union-attr, index]
    assert found == [(8, 0.0), (8, 0.0), (4, 0.34), (4, 0.34), (2, 0.67), (2, 0.67)]


def test_gradients_reach_the_student_alone() -> None:
    made = Progressive(small(), first=4, calls=1)
    (phase,) = made.phases()
    phase.loss(Batch(torch.rand(4, 1, 8, 8) * 2 - 1, {}), StepNoise(0)).total.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in phase.parameters)
    assert all(p.grad is None for p in made.teacher.parameters())


def test_guidance_is_the_first_teachers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later teachers are students, who do with one call what guidance does with two."""
    made = Progressive(small(conditioner={"kind": "class"}), first=4, calls=1, guidance=3.0)
    calls: list[int] = []
    made.teacher.network.register_forward_pre_hook(lambda *given: calls.append(1))
    batch = Batch(torch.rand(4, 1, 8, 8) * 2 - 1, {"label": torch.arange(4)})
    made.loss(batch, StepNoise(0))
    assert len(calls) == 4
    made.before_step(10, 0.5)
    made.loss(batch, StepNoise(0))
    assert len(calls) == 6


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(resumed_equals_uninterrupted: Any) -> None:
    def trainer() -> Trainer:
        pixels = np.random.default_rng(5).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
        settings = TrainSettings(steps=6, batch_size=8, learning_rate=1e-3, warmup=2, precision="fp32")
        made = Progressive(small(), first=4, calls=1)
        return Trainer(made, Loader(Images(pixels), 8, 0), settings, choose_engine(settings, "cpu"))

    expected = resumed_equals_uninterrupted(trainer, before=3, after=3)
    assert int(expected["stage"]["number"]) == 2


@pytest.mark.parametrize(("first", "calls"), [(6, 4), (2, 4), (3, 2)])
def test_steps_that_do_not_halve_are_refused(first: int, calls: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        build_objective({"kind": "progressive", "first": first, "calls": calls}, small())


def test_the_spec_round_trips() -> None:
    made = build_objective({"kind": "progressive", "first": 8, "guidance": 2.0}, small())
    assert objective_spec(made) == {"kind": "progressive", "first": 8, "calls": 2, "guidance": 2.0}
