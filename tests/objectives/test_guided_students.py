"""Students that are told the guidance scale, on two classes whose guided flow is known for every scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.guidance import ClassifierFree
from unnoise.models.diffusion import Diffusion
from unnoise.objectives.assembly import build_objective
from unnoise.objectives.distillation import Distillation
from unnoise.objectives.easy_consistency import EasyConsistency
from unnoise.objectives.reflow import drawn
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import perturb
from unnoise.process.parametrization import X0Skip
from unnoise.process.schedule import Cosine, RectifiedFlow, Schedule
from unnoise.samplers import DDIM, FlowMap, Renoise, Sampler
from unnoise.seeding import StepNoise

from .exact import (
    MEANS,
    STD,
    average,
    end_of_the_path,
    mean_of_the_data,
    straight_path,
    told_model,
    two_classes,
    untold,
)

every_schedule = pytest.mark.parametrize("schedule", [Cosine(), RectifiedFlow()], ids=repr)


def of_levels(answer: Any) -> Any:
    return lambda alpha, sigma, gap: answer(alpha, sigma)


ANSWERS: dict[str, Any] = {
    "meanflow-distillation": average,
    "progressive": of_levels(end_of_the_path),
    "reflow": of_levels(straight_path),
    "easy-consistency": of_levels(end_of_the_path),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "progressive": {"first": 1, "calls": 1},
    "reflow": {"pairs": 0, "draw_steps": 40},
}


def student(kind: str, schedule: Schedule) -> Diffusion:
    tied = X0Skip() if kind == "easy-consistency" else None
    flow_map = kind.startswith("meanflow")
    return told_model(schedule, ANSWERS[kind], flow_map=flow_map, scales=True, parametrization=tied)


def objective(kind: str, schedule: Schedule) -> Any:
    made = build_objective({"kind": kind, **OPTIONS.get(kind, {})}, student(kind, schedule))
    made._teacher = untold(made.model)  # type: ignore[attr-defined]
    return made


def mean_of(scale: float, label: int) -> float:
    return (1 - scale) * MEANS[2] + scale * MEANS[label]


@every_schedule
def test_the_guided_teacher_leads_to_the_mean_of_its_scale(schedule: Schedule) -> None:
    """The closed form that the other tests stand on."""
    teacher = untold(student("reflow", schedule))
    eps = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale, label = torch.tensor([1.0, 2.0, 3.0] * 2, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 1])
    found = drawn(teacher, eps, {"label": label}, scale, 80)
    means = torch.tensor([mean_of(float(w), int(c)) for w, c in zip(scale, label, strict=True)])
    torch.testing.assert_close(found, means.double().reshape(-1, 1, 1, 1) + STD * eps, rtol=0, atol=0.02)


def loss(made: Any, at: float = 1.0, batch: int = 512) -> Tensor:
    made.model.network.scale.data.fill_(at)
    parts = made.loss(two_classes(batch), StepNoise(2)).parts
    return parts.get("error", parts["loss"])


@every_schedule
@pytest.mark.parametrize("kind", ["meanflow-distillation", "reflow"])
def test_the_guided_flow_of_every_scale_is_the_optimum(kind: str, schedule: Schedule) -> None:
    made = objective(kind, schedule)
    assert float(loss(made)) < {"meanflow-distillation": 1e-20, "reflow": 1e-3}[kind]
    assert float(loss(made)) < float(loss(made, 1.05)) / 3


@every_schedule
def test_progressive_stages_teach_what_the_guided_teachers_two_steps_do(schedule: Schedule) -> None:
    """One step for two: of every row with its own scale, the x_0 of a single step to where the teacher's two end."""
    made = objective("progressive", schedule)
    batch, noise = two_classes(64), StepNoise(2)
    eps = StepNoise(2).normal(batch.image)
    told, T = made.told(64, StepNoise(7)), torch.full((64,), schedule.t_max, dtype=torch.float64)
    found = made._two_steps(eps, T, T / 2, 0 * T, {"label": batch.cond["label"]}, told)
    for row in (0, 1, 63):
        guided = ClassifierFree(float(told.scale[row]))(untold(made.model))
        cond = {"label": batch.cond["label"][row : row + 1]}
        expected = DDIM(steps=2, grid="trailing").run(guided, eps[row : row + 1], cond=cond)
        torch.testing.assert_close(found[row : row + 1], expected, rtol=0, atol=1e-9)
    assert float(made.loss(batch, noise).parts["loss"]) > 0


def test_consistency_goes_on_along_the_guided_path() -> None:
    """x_s has x_0 + (w - 1) (D(x_t | class) - D(x_t)), here (w - 1) (m_class - m) (1 - alpha k), and eps likewise."""
    made, batch, schedule = objective("easy-consistency", Cosine()), two_classes(8), Cosine()
    assert isinstance(made, EasyConsistency)
    (t, s), eps = made.pair(StepNoise(0).uniform(8)), StepNoise(0).normal(batch.image)
    told = made.told(8, StepNoise(1))
    drawn = Denoised(perturb(schedule, batch.image, eps, t), batch.image, eps, schedule=schedule, t=t)
    found = made.neighbour(drawn, s, batch.cond, told)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    means = torch.tensor(MEANS, dtype=torch.float64)[batch.cond["label"]]
    shift = (torch.as_tensor(told.scale) - 1) * (means - MEANS[2]) * (1 - alpha * mean_of_the_data(alpha, sigma))
    moved = shift * schedule.alpha(s) - shift * alpha / sigma * schedule.sigma(s)
    torch.testing.assert_close(found, perturb(schedule, batch.image, eps, s) + moved.reshape(-1, 1, 1, 1))


def test_the_pull_of_consistency_falls_at_the_guided_ends_as_intervals_tighten() -> None:
    pulls = []
    for progress in (0.4, 0.9):
        made = objective("easy-consistency", Cosine())
        made.before_step(1, progress)
        made.gap_power = 0.0
        made.loss(two_classes(4096), StepNoise(1)).total.backward()
        pulls.append(abs(float(made.model.network.scale.grad)))
    assert pulls[1] < pulls[0] / 4


@pytest.mark.parametrize(
    ("kind", "sampler"), [("meanflow-distillation", FlowMap(steps=1)), ("easy-consistency", Renoise(steps=1))]
)
def test_one_call_at_a_scale_draws_from_its_distribution(kind: str, sampler: Sampler) -> None:
    model = student(kind, Cosine())
    eps = torch.randn(200, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sampler.run(model.guided(ClassifierFree(2.5)), eps, cond={"label": torch.ones(200, dtype=torch.int64)})
    assert float(found.mean()) == pytest.approx(mean_of(2.5, 1), abs=0.05)
    assert float(found.std()) == pytest.approx(STD, rel=0.05)


def test_scales_are_uniform_in_the_range_and_only_where_there_is_one() -> None:
    made = objective("meanflow-distillation", Cosine())
    assert isinstance(made, Distillation)
    scale = made.told(20_000, StepNoise(0)).scale
    assert isinstance(scale, Tensor)
    assert float(scale.min()) >= 1
    assert float(scale.max()) <= 3
    assert float(scale.mean()) == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("kind", ["denoising", "adversarial-diffusion", "consistency", "meanflow"])
def test_objectives_without_a_guided_teacher_refuse_a_range(kind: str) -> None:
    with pytest.raises(ValueError, match="where a guidance scale means nothing"):
        build_objective({"kind": kind}, student("meanflow-distillation", Cosine()))
