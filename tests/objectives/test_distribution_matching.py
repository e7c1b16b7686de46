"""Against what is known: a gradient that is zero where student and teacher agree, the KL's own in closed form on a
Gaussian, and conditions that all three drop alike."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unnoise.data import Images, Loader
from unnoise.data.batch import Batch
from unnoise.models import Diffusion
from unnoise.models.assembly import build_model
from unnoise.models.told import UNTOLD
from unnoise.networks.conditioner import Conditioning
from unnoise.objectives.assembly import build_objective
from unnoise.objectives.distribution_matching import DistributionMatching
from unnoise.process.gaussian import perturb
from unnoise.process.parametrization import X0
from unnoise.process.schedule import Cosine, CosineBetas
from unnoise.samplers import Renoise
from unnoise.seeding import StepNoise
from unnoise.training.engine import choose_engine
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer

SMALL: dict[str, Any] = {
    "network": {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1},
    "schedule": "cosine-betas",
    "parametrization": "v",
}


def make(sentence: dict[str, Any] | None = None, classes: int = 0, **options: Any) -> DistributionMatching:
    torch.manual_seed(0)
    model = build_model({**SMALL, **(sentence or {})}, (1, 8, 8), classes=classes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    made = build_objective({"kind": "distribution-matching", **options}, model)
    assert isinstance(made, DistributionMatching)
    made.before_step(0)
    return made


def images(n: int = 8, **cond: Any) -> Batch:
    draws = torch.Generator().manual_seed(5)
    return Batch(torch.where(torch.rand(n, 1, 8, 8, generator=draws) < 0.4, 1.0, -1.0), cond)


def gradient_of(made: DistributionMatching, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    return made.gradient(x, perturb(made.model.schedule, x, noise, t), t, None, UNTOLD)


def test_where_the_copy_is_the_teacher_nothing_moves() -> None:
    made, batch = make(), images()
    made.loss(batch, StepNoise(1)).total.backward()
    assert all(p.grad is None or not p.grad.any() for p in made.model.parameters())


class Mean(nn.Module):
    """The exact answer x_0 for data N(mean, std^2) on the cosine schedule."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = nn.Parameter(torch.tensor(mean)), std

    def forward(self, x: Tensor, noise_level: Tensor, told: Conditioning | None = None) -> Tensor:
        angle = (noise_level[:, None, None, None] / 1000) * (torch.pi / 2)
        alpha, sigma = angle.cos(), angle.sin()
        gain = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        return self.mean + gain * (x - alpha * self.mean)


def gaussian(mean: float, std: float) -> Diffusion:
    return Diffusion(Mean(mean, std), Cosine(), X0(), shape=(1, 1, 1), clip=False)


def test_samples_move_along_the_gradient_of_the_divergence() -> None:
    """Both marginals are Gaussian, so d/dx KL's integrand is score_student - score_teacher in closed form; the mean
    answer's difference is sigma^2 / alpha times that."""
    teacher, student = gaussian(1.0, 0.5), gaussian(-0.5, 0.8)
    made = DistributionMatching(copy.deepcopy(teacher), start=1.0)
    made._own = student
    t = torch.full((4,), 0.6, dtype=torch.float64)
    x, noise = torch.linspace(-1, 1, 4).reshape(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    schedule = made.model.schedule
    x_t, alpha, sigma = perturb(schedule, x, noise, t), float(schedule.alpha(t[0])), float(schedule.sigma(t[0]))

    def score(mean: float, std: float) -> Tensor:
        return -(x_t - alpha * mean) / (alpha**2 * std**2 + sigma**2)

    with torch.no_grad():
        size = (x - made.teacher(x_t, t).x_0).abs()
    expected = sigma**2 / alpha * (score(-0.5, 0.8) - score(1.0, 0.5)) / size
    torch.testing.assert_close(gradient_of(made, x, noise, t), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_gradient_of_the_loss_is_the_direction_samples_move_by(precision: torch.dtype) -> None:
    """Also where the network computes in bf16, in which a small step from a pixel near -1 is no step."""
    made, batch = make({"parametrization": "x0"}, calls=1), images()
    with torch.no_grad():
        for parameter in made._own.parameters():
            parameter.add_(0.02)
    drawn: list[Tensor] = []
    kept = made.samples

    def samples(*given: Any) -> Tensor:
        drawn.append(kept(*given))
        drawn[-1].retain_grad()
        return drawn[-1]

    moved: list[Tensor] = []
    known = made.gradient
    made.samples = samples  # type: ignore[method-assign]
    made.gradient = lambda *given: moved.append(known(*given)) or moved[-1]  # type: ignore[method-assign, func-returns-value]
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        loss = made.loss(batch, StepNoise(1)).total
    loss.backward()
    assert moved[0].abs().max() > 0
    assert drawn[0].grad is not None
    torch.testing.assert_close(drawn[0].grad * drawn[0].numel(), moved[0])


class Beyond(nn.Module):
    """Answers x_0 = at, wherever it is asked."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(at))

    def forward(self, x: Tensor, noise_level: Tensor, told: Conditioning | None = None) -> Tensor:
        return self.at.expand_as(x)


@pytest.mark.parametrize("clip", [True, False])
def test_samples_are_judged_as_sampling_draws_them(clip: bool) -> None:
    """A background below -1 is drawn as -1, which is where the teacher wants it: it moves no further."""
    made = DistributionMatching(Diffusion(Beyond(-1.3), Cosine(), X0(), shape=(1, 8, 8), clip=clip))
    with torch.no_grad():
        made._own.network.at.fill_(-0.5)
    batch = images()
    drawn = made.samples(batch.image, StepNoise(0), None)
    assert drawn.detach().unique().item() == pytest.approx(-1.0 if clip else -1.3)
    torch.testing.assert_close(drawn, Renoise(steps=1).run(made.model.guided(), torch.zeros_like(drawn)))
    made.loss(batch, StepNoise(1)).total.backward()
    moved = made.model.network.at.grad
    assert moved is not None
    assert (float(moved) == 0) is clip


def test_each_phase_reaches_its_own_parameters_alone() -> None:
    made = make()
    student, own = made.phases()
    assert (student.updates, own.updates) == (1, 2)
    for phase, other in ((student, own), (own, student)):
        phase.loss(images(), StepNoise(0)).total.backward()
        assert any(p.grad is not None for p in phase.parameters)
        assert all(p.grad is None for p in other.parameters)
        assert all(p.grad is None and not p.requires_grad for p in made.teacher.parameters())
        for parameter in phase.parameters:
            parameter.grad = None


def test_all_that_judge_drop_the_conditions_that_the_student_drops() -> None:
    made = make({"conditioner": {"kind": "class", "dropout": 0.5}}, classes=10)
    made.model.train()
    seen: dict[str, list[Tensor]] = {"student": [], "teacher": [], "own": []}
    for name, model in (("student", made.model), ("teacher", made.teacher), ("own", made._own)):
        assert model.conditioner is not None
        kept = model.conditioner.drawn

        def drawn(count: int, dropped: Tensor | None = None, name: str = name, kept: Any = kept) -> Tensor:
            seen[name].append(kept(count, dropped))
            return seen[name][-1]

        model.conditioner.drawn = drawn  # type: ignore[method-assign]
    batch = images(64, label=torch.arange(64) % 10)
    made.loss(batch, StepNoise(3))
    made.own_loss(batch, StepNoise(4))
    assert 0 < int(seen["student"][0].sum()) < 64
    assert torch.equal(seen["student"][0], seen["teacher"][0])
    assert torch.equal(seen["student"][0], seen["own"][0])
    assert torch.equal(seen["student"][0], seen["own"][1])
    assert torch.equal(*seen["student"])
    assert len(seen["student"]) == 2  # two calls of one draw: the copy learns from what was drawn already


@pytest.mark.parametrize("given", [{"least": 0.0}, {"most": 1.0}, {"least": 0.9, "most": 0.5}])
def test_levels_that_are_none_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"objective\.least"):
        make(**given)


def test_the_times_at_which_samples_are_judged_are_between_the_shares() -> None:
    made = make(least=0.3, most=0.6)
    t = made.judged_at(500, StepNoise(0))
    ratio = CosineBetas().sigma(t) / CosineBetas().alpha(t)
    shares = ratio.atan() / (torch.pi / 2)
    assert 0.295 < float(shares.min()) < 0.31
    assert 0.59 < float(shares.max()) < 0.605


def trainer(accumulate: int = 1) -> Trainer:
    pixels = np.random.default_rng(5).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    settings = TrainSettings(batch_size=8, learning_rate=1e-3, warmup=2, precision="fp32", accumulate=accumulate)
    return Trainer(make(), Loader(Images(pixels), 8, 0), settings, choose_engine(settings, "cpu"))


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(resumed_equals_uninterrupted: Any) -> None:
    expected = resumed_equals_uninterrupted(trainer, before=3, after=2)
    assert {"teacher", "own"} <= set(expected)


def test_in_passes_each_part_of_the_copy_learns_from_what_was_drawn_of_it() -> None:
    whole, parts = trainer(), trainer(accumulate=2)
    for _ in range(3):
        losses = [made.advance() for made in (whole, parts)]
        for phase, name in (("model", "loss"), ("own", "own")):
            one, other = (float(found[phase].parts[name]) for found in losses)
            assert one == pytest.approx(other, rel=1e-4)
    assert one > 0


def test_the_copy_learns_in_as_many_updates_as_asked_for_each_with_new_noise() -> None:
    made, drawn, before = trainer(), [], []
    objective = made.objective
    assert isinstance(objective, DistributionMatching)
    kept, weight = objective.judged_at, next(objective._own.parameters())

    def judged_at(count: int, noise: Any) -> Tensor:
        drawn.append(kept(count, noise))
        before.append(weight.detach().clone())
        return drawn[-1]

    objective.judged_at = judged_at  # type: ignore[method-assign]
    made.advance()
    assert len(drawn) == 3  # the student's, then two of the copy
    assert len({tuple(t.tolist()) for t in drawn}) == 3
    assert torch.equal(before[0], before[1])
    assert not torch.equal(before[1], before[2])
    rates = [optimizer.param_groups[0]["lr"] for optimizer in made.optimizers]
    assert rates[1] == pytest.approx(objective.rate * rates[0])
