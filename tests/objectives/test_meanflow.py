"""Mean flows: on a Gaussian, where the average velocity is known, it is the optimum; its derivative is a derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.data.loader import Loader
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import UNTOLD
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.meanflow import MeanFlow, MeanFlowDistillation
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import perturb
from unnoise.process.schedule import Schedule
from unnoise.samplers import DDIM, FlowMap
from unnoise.seeding import StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

from .exact import SCHEDULES, STD, average, exact_model, gaussian, mean_of_the_data, told_model, untold

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def distillation(schedule: Schedule, **options: Any) -> MeanFlowDistillation:
    made = MeanFlowDistillation(told_model(schedule, average, flow_map=True), **options)
    made._teacher = untold(made.model)
    return made


@every_schedule
def test_the_average_velocity_of_the_teachers_flow_is_the_optimum(schedule: Schedule) -> None:
    made = distillation(schedule)
    assert float(made.loss(gaussian(), StepNoise(2)).parts["error"]) < 1e-20
    for factor in (0.95, 1.05):
        made.model.network.scale.data.fill_(factor)  # type: ignore[union-attr, operator]
        assert float(made.loss(gaussian(), StepNoise(2)).parts["error"]) > 1e-6


@every_schedule
def test_without_a_teacher_the_pull_vanishes_at_the_average_velocity(schedule: Schedule) -> None:
    """eps - x_0 is known up to noise whose mean is 0 there, and not where the answer is 30 percent too large."""
    pulls = []
    for factor in (1.0, 1.3):
        made = MeanFlow(told_model(schedule, average, flow_map=True), same=0.25, power=0.0)
        scale = made.model.network.scale  # type: ignore[union-attr]
        scale.data.fill_(factor)  # type: ignore[operator]
        made.loss(gaussian(8192), StepNoise(1)).total.backward()
        pulls.append(abs(float(scale.grad)))  # type: ignore[arg-type, union-attr]
    assert pulls[0] < pulls[1] / 10


@every_schedule
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_any_number_of_steps_ends_where_the_path_ends(schedule: Schedule, steps: int) -> None:
    eps = torch.randn(32, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x_T, t = schedule.prior_std * eps, torch.tensor(schedule.t_max, dtype=torch.float64)
    model = told_model(schedule, average, flow_map=True)
    kept = float((schedule.alpha(t) * STD).square() + schedule.sigma(t).square()) ** 0.5
    torch.testing.assert_close(FlowMap(steps=steps).run(model.guided(), x_T), x_T * STD / kept, rtol=0, atol=1e-12)
    bent = DDIM(steps=steps).run(exact_model(schedule, mean_of_the_data), x_T)
    torch.testing.assert_close(DDIM(steps=steps).run(model.guided(), x_T), bent, rtol=0, atol=1e-12)


class Waves(nn.Module):
    """Time features in double precision, slow enough for finite differences."""

    def forward(self, level: Tensor) -> Tensor:
        rates = torch.pi / 1000 * 2.0 ** torch.arange(-1, 3, dtype=torch.float64)
        return torch.cat([(level[:, None] * rates).cos(), (level[:, None] * rates).sin()], dim=1)


@pytest.mark.parametrize("schedule", ["cosine", "rectified-flow", "ve"])
@pytest.mark.parametrize("parametrization", ["v", "x0", "edm"])
def test_the_derivative_along_the_path_is_that_of_finite_differences(schedule: str, parametrization: str) -> None:
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4]}
    spec = {"network": network, "schedule": schedule, "parametrization": parametrization, "flow_map": True}
    model = build_model(spec, (1, 8, 8), 0).double()
    assert isinstance(model, Diffusion)
    model.network.embed_time[0] = Waves()  # type: ignore[union-attr, operator]
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    made = MeanFlow(model)
    x_0, eps = torch.randn(2, 3, 1, 8, 8, dtype=torch.float64)
    t, s = (
        model.schedule.t_max * torch.tensor(times, dtype=torch.float64) for times in ((0.3, 0.6, 0.9), (0.1, 0.6, 0))
    )
    flow = Denoised(perturb(model.schedule, x_0, eps, t), x_0, eps, schedule=model.schedule, t=t)
    _, derivative = made.average(flow, s, None, UNTOLD)

    def at(u: Tensor) -> Tensor:
        """U where the straight path of x_0 and eps is at u."""
        time = model.schedule.t(2 * (torch.log1p(-u) - u.log()))
        moved = Denoised(perturb(model.schedule, x_0, eps, time), x_0, eps, schedule=model.schedule, t=time)
        return made.average(moved, s, None, UNTOLD)[0].detach()

    u, h = model.schedule.noise_share(t), 1e-6
    torch.testing.assert_close(derivative, (at(u + h) - at(u - h)) / (2 * h), rtol=1e-5, atol=1e-5)


def test_the_adaptive_weight_divides_each_row_by_its_own_error() -> None:
    made = distillation(SCHEDULES[-1], power=1.0, same=0.0)
    made.model.network.scale.data.fill_(1.3)  # type: ignore[union-attr, operator]
    batch, noise = gaussian(), StepNoise(2)
    (t, s), eps = made.pair(len(batch), noise), noise.normal(batch.image)
    drawn = Denoised(perturb(SCHEDULES[-1], batch.image, eps, t), batch.image, eps, schedule=SCHEDULES[-1], t=t)
    errors = made.errors(made.flow(drawn, None, UNTOLD), s, None, UNTOLD).detach()
    found = made.loss(batch, StepNoise(2))
    torch.testing.assert_close(found.total.detach(), (errors / (errors + 1e-3)).mean())
    torch.testing.assert_close(found.parts["error"], errors.mean())


@every_schedule
def test_a_share_of_the_rows_has_one_time(schedule: Schedule) -> None:
    made = MeanFlow(told_model(schedule, average, flow_map=True), same=0.25)
    t, s = made.pair(20_000, StepNoise(0))
    assert float((t == s).double().mean()) == pytest.approx(0.25, abs=0.05)
    assert (s <= t).all()
    assert (s > 0).all()
    assert float(t.max()) <= schedule.t_max


def small(**options: Any) -> Diffusion:
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1, "attention": [8]}
    spec = {"network": network, "schedule": "cosine-betas", "parametrization": "v", **options}
    model = build_model(spec, (1, 8, 8), 2)
    assert isinstance(model, Diffusion)
    return model


def test_where_the_times_are_one_it_is_the_error_of_denoising() -> None:
    model = small(flow_map=True)
    batch = Batch(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), {})
    made = MeanFlow(model, same=1.0, power=0.0)
    t, _ = made.pair(4, StepNoise(3))
    noise = StepNoise(3)
    found = float(made.loss(batch, noise).total.detach())
    eps = StepNoise(3).normal(batch.image)
    expected = build_objective({"kind": "denoising"}, model).loss_of(batch.image, eps, t, None)  # type: ignore[attr-defined]
    assert found == pytest.approx(float(expected.total.detach()), rel=1e-5)


def test_a_network_that_is_not_told_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.flow_map = true"):
        build_objective({"kind": "meanflow"}, small())
    with pytest.raises(ValueError, match="enlarges the network's errors"):
        build_objective({"kind": "meanflow"}, small(flow_map=True, parametrization="eps"))


def test_the_spec_round_trips() -> None:
    model = small(flow_map=True)
    for kind, guidance in (("meanflow", {}), ("meanflow-distillation", {"guidance": 2.0})):
        spec = objective_spec(build_objective({"kind": kind, "same": 0.5, **guidance}, model))
        assert spec["kind"] == kind
        assert spec["same"] == 0.5
        assert objective_spec(build_objective(spec, model)) == spec


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(resumed_equals_uninterrupted: Any) -> None:
    def trainer() -> Trainer:
        pixels = np.random.default_rng(5).integers(0, 256, (8, 1, 8, 8), dtype=np.uint8)
        settings = TrainSettings(batch_size=4, learning_rate=1e-3, warmup=2, precision="fp32")
        made = build_objective({"kind": "meanflow-distillation"}, small(flow_map=True))
        return Trainer(made, Loader(Images(pixels), 4, 0), settings, choose_engine(settings, "cpu"))

    assert "teacher" in resumed_equals_uninterrupted(trainer, before=2, after=1)
