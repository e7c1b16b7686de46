"""Reflow: on a Gaussian, where its pairs and its straight paths are known, they are the optimum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.data.loader import Loader
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.pairing import optimal_pairing
from unnoise.objectives.reflow import Reflow, drawn
from unnoise.process.schedule import RectifiedFlow, Schedule
from unnoise.process.timesteps import UShaped
from unnoise.samplers import DDIM
from unnoise.samplers.straightness import straightness
from unnoise.seeding import StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

from .exact import (
    SCHEDULES,
    STD,
    exact_model,
    gaussian,
    mean_of_the_data,
    straight_path,
)

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def reflow(schedule: Schedule, factor: Any, steps: int = 40) -> Reflow:
    """The student answers by `factor`, the teacher by the exact mean."""
    made = Reflow(exact_model(schedule, factor), pairs=0, draw_steps=steps)
    made.teacher.network = exact_model(schedule, mean_of_the_data).network
    return made


@every_schedule
def test_the_teacher_joins_each_noise_with_its_end(schedule: Schedule) -> None:
    eps = torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x_0 = drawn(exact_model(schedule, mean_of_the_data), eps, None, 1.0, 60)
    torch.testing.assert_close(x_0, STD * eps, rtol=0, atol=0.02)


@every_schedule
def test_the_straight_path_is_the_optimum(schedule: Schedule) -> None:
    batch, noise = gaussian(), StepNoise(2)
    straight = float(reflow(schedule, straight_path).loss(batch, noise).total.detach())
    bent = float(reflow(schedule, mean_of_the_data).loss(batch, noise).total.detach())
    assert straight < 2e-4
    assert straight < bent / 50
    for factor in (0.95, 1.05):
        other = reflow(schedule, straight_path)
        other.model.network.scale.data.mul_(factor)  # type: ignore[union-attr, operator]
        assert float(other.loss(batch, noise).total.detach()) > straight + 1e-4


@every_schedule
def test_a_straight_flow_has_straightness_0_and_is_walked_in_one_step(schedule: Schedule) -> None:
    eps = torch.randn(256, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x_T, model = schedule.prior_std * eps, exact_model(schedule, straight_path)
    assert straightness(model, x_T) < 1e-9
    one, many = (DDIM(steps=steps).run(model, x_T) for steps in (1, 20))
    torch.testing.assert_close(one, many, rtol=0, atol=1e-9)


def test_straightness_of_a_bent_flow_is_its_integral() -> None:
    """On N(0, s^2), z_u = eps rho(u) with rho = sqrt((1 - u)^2 s^2 + u^2)."""
    schedule = RectifiedFlow()
    eps = torch.randn(4096, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    rho = (((1 - u) * STD) ** 2 + u**2).sqrt()
    slope = (u - (1 - u) * STD**2) / rho
    expected = float(torch.trapezoid((rho[-1] - rho[0] - slope).square(), u)) * float(eps.square().mean())
    found = straightness(exact_model(schedule, mean_of_the_data), eps, steps=1000)
    assert found == pytest.approx(expected, rel=0.01)
    assert expected > 0.01


def test_times_of_a_u_have_their_density() -> None:
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    t = UShaped().quantile(RectifiedFlow(), u)
    found = torch.histc(t, 20, 0, 1) / len(t) * 20
    middle = (torch.arange(20, dtype=torch.float64) + 0.5) / 20
    density = torch.cosh(4 * (middle - 0.5))
    torch.testing.assert_close(found, density * 20 / density.sum(), rtol=0.02, atol=0)


def test_optimal_pairing_beats_every_other_order() -> None:
    draws = torch.Generator().manual_seed(0)
    x_0, eps = torch.randn(2, 5, 1, 2, 2, generator=draws).unbind(0)
    paired = optimal_pairing(x_0, eps)
    assert sorted(map(float, paired.flatten(1).sum(1))) == sorted(map(float, eps.flatten(1).sum(1)))
    cost = (x_0 - paired).square().sum()
    orders = torch.cartesian_prod(*[torch.arange(5)] * 5)
    orders = orders[[len(set(order)) == 5 for order in orders.tolist()]]
    assert len(orders) == 120
    assert all(cost <= (x_0 - eps[order]).square().sum() + 1e-5 for order in orders)


def test_optimal_pairing_makes_the_flow_straighter() -> None:
    """Two points and batches of two: the nearer noise goes to each, so the mean of eps - x_0 depends less on chance."""
    made = build_objective({"pairing": "optimal-transport"}, small())
    plain = build_objective({}, small())
    batch = Batch(torch.cat([torch.full((32, 1, 8, 8), value) for value in (-1.0, 1.0)]), {})
    noises = [objective.noise_for(batch.image, StepNoise(0)) for objective in (made, plain)]  # type: ignore[attr-defined]
    along = [float((noise * batch.image).mean()) for noise in noises]
    assert along[0] > 0.05 > abs(along[1])
    assert objective_spec(made)["pairing"] == "optimal-transport"


def small() -> Diffusion:
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
    model = build_model({"network": network, "schedule": "cosine-betas", "parametrization": "v"}, (1, 8, 8), classes=0)
    assert isinstance(model, Diffusion)
    return model


def test_stored_pairs_are_what_is_learned_and_the_teacher_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Reflow(small())
    draws = torch.Generator().manual_seed(0)
    image, latents, eps = torch.randn(3, 4, 1, 8, 8, generator=draws).unbind(0)
    monkeypatch.setattr("unnoise.objectives.reflow.drawn", lambda *given: pytest.fail("the teacher was asked"))
    noise = StepNoise(3)
    found = made.loss(Batch(image, {}, latents, eps), noise).total
    t = made.timesteps.quantile(made.model.schedule, StepNoise(3).uniform(4))
    alpha, sigma = (
        part.float().reshape(-1, 1, 1, 1) for part in (made.model.schedule.alpha(t), made.model.schedule.sigma(t))
    )
    output, _ = made.model.predict(alpha * latents + sigma * eps, t)
    torch.testing.assert_close(found, (output - (alpha * eps - sigma * latents)).square().mean())
    other = made.loss(Batch(-image, {}, latents, eps), StepNoise(3)).total
    assert torch.equal(found, other)


@pytest.mark.parametrize("pairs", [0, 8])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(resumed_equals_uninterrupted: Any, pairs: int) -> None:
    def trainer() -> Trainer:
        draws = np.random.default_rng(5)
        images = Images(draws.integers(0, 256, (8, 1, 8, 8), dtype=np.uint8))
        if pairs:
            latents, noise = draws.standard_normal((2, 8, 1, 8, 8), dtype=np.float32)
            images = replace(images, latents=latents, noise=noise)
        settings = TrainSettings(batch_size=4, learning_rate=1e-3, warmup=2, precision="fp32")
        made = Reflow(small(), pairs=pairs, draw_steps=2)
        return Trainer(made, Loader(images, 4, 0), settings, choose_engine(settings, "cpu"))

    assert "teacher" in resumed_equals_uninterrupted(trainer, before=3, after=2)
