"""The contract of every guidance: one line in NEUTRAL and GUIDED brings the battery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.guidance import GUIDANCE, AutoGuidance, ClassifierFree, ClassifierGuidance, Interval, score_scale
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised
from unnoise.process.schedule import VE, VP, CosineBetas, LinearBetas, RectifiedFlow, Schedule
from unnoise.samplers import DDIM

MIXTURE = GaussianMixture(
    torch.tensor([0.2, 0.5, 0.3]), torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -2.0]]), torch.tensor([0.3, 0.5, 0.4])
)
WORSE = GaussianMixture(torch.ones(1), torch.zeros(1, 2), 1.0)
SCHEDULES = [VP(), VE(sigma_max=20.0), RectifiedFlow(), CosineBetas(), LinearBetas()]
LABEL = torch.tensor([0, 1, 2, 0, 1, 2, 1, 1])

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@dataclass(frozen=True)
class Conditional:
    """The exact denoiser of the mixture, and of one of its components where cond names it."""

    schedule: Schedule
    mixture: GaussianMixture = MIXTURE

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        if cond is None or len(self.mixture.means) == 1:
            return self.mixture.denoiser(self.schedule)(x_t, t)
        means, stds, rows = self.mixture.means, self.mixture.stds, range(len(x_t))
        parts = [GaussianMixture(torch.ones(1), means[k : k + 1], stds[k]) for k in cond["label"]]
        each = [parts[i].denoiser(self.schedule)(x_t[i : i + 1], t if t.ndim == 0 else t[i : i + 1]) for i in rows]
        x_0, eps = torch.cat([d.x_0 for d in each]), torch.cat([d.eps for d in each])
        return Denoised(x_t, x_0, eps, schedule=self.schedule, t=t)


@dataclass(frozen=True)
class Unconditional:
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        return MIXTURE.denoiser(self.schedule)(x_t, t)


def log_prob(schedule: Schedule) -> Any:
    """log p(label | x_t), exactly, from the noisy components' densities."""

    def of(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        alpha, sigma = schedule.alpha(t).reshape(-1, 1), schedule.sigma(t).reshape(-1, 1)
        means, var = alpha[..., None] * MIXTURE.means, (alpha * MIXTURE.stds) ** 2 + sigma**2
        squares = ((x_t[:, None] - means) ** 2).sum(-1) / var
        joint = MIXTURE.weights.log() - var.log() - squares / 2
        return joint.log_softmax(1).gather(1, label[:, None])[:, 0]

    return of


def noisy(schedule: Schedule, per_row: bool = False) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    share = torch.linspace(0.1, 0.9, 8, dtype=torch.float64) if per_row else torch.tensor(0.4, dtype=torch.float64)
    return 1.5 * torch.randn(8, 2, generator=draws, dtype=torch.float64), share * schedule.t_max


def worse(schedule: Schedule) -> Conditional:
    return Conditional(schedule, WORSE)


NEUTRAL = {
    ClassifierFree: lambda schedule: ClassifierFree(1.0),
    ClassifierGuidance: lambda schedule: ClassifierGuidance(log_prob(schedule), 0.0),
    AutoGuidance: lambda schedule: AutoGuidance(worse(schedule), 1.0),
    Interval: lambda schedule: Interval(ClassifierFree(1.0)),
}
GUIDED = {
    "classifier-free": lambda schedule: ClassifierFree(2.5),
    "classifier": lambda schedule: ClassifierGuidance(log_prob(schedule), 2.5),
    "autoguidance": lambda schedule: AutoGuidance(worse(schedule), 2.5),
    "interval": lambda schedule: Interval(ClassifierFree(2.5), 0.01, 100.0),
}


def test_every_name_is_under_test() -> None:
    assert set(NEUTRAL) == set(GUIDANCE.values())
    assert set(GUIDED) == set(GUIDANCE)


@pytest.mark.parametrize("kind", NEUTRAL, ids=lambda kind: kind.__name__)
def test_the_neutral_scale_is_the_identity(kind: type) -> None:
    denoiser = Conditional(VP())
    assert NEUTRAL[kind](VP())(denoiser) is denoiser


@pytest.mark.parametrize("name", GUIDED)
@pytest.mark.parametrize("per_row", [False, True])
@every_schedule
def test_the_split_of_x_t_still_holds(name: str, per_row: bool, schedule: Schedule) -> None:
    x_t, t = noisy(schedule, per_row)
    plain = Conditional(schedule)(x_t, t, {"label": LABEL})
    guided = GUIDED[name](schedule)(Conditional(schedule))
    assert guided.schedule == schedule
    denoised = guided(x_t, t, {"label": LABEL})
    torch.testing.assert_close(denoised.lerp(schedule.alpha(t), schedule.sigma(t)), x_t)
    assert not torch.allclose(denoised.x_0, plain.x_0, atol=1e-3)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@every_schedule
def test_classifier_and_classifier_free_guidance_agree(scale: float, schedule: Schedule) -> None:
    """grad log p(c | x_t) = score(x_t | c) - score(x_t): both guidances of a Gaussian mixture are the same denoiser."""
    x_t, t = noisy(schedule, per_row=True)
    cond = {"label": LABEL}
    by_classifier = ClassifierGuidance(log_prob(schedule), scale)(Unconditional(schedule))(x_t, t, cond)
    without_classifier = ClassifierFree(scale)(Conditional(schedule))(x_t, t, cond)
    torch.testing.assert_close(by_classifier.x_0, without_classifier.x_0)
    torch.testing.assert_close(by_classifier.eps, without_classifier.eps)


@every_schedule
def test_at_scale_one_both_are_the_conditional_model(schedule: Schedule) -> None:
    x_t, t = noisy(schedule)
    cond = {"label": LABEL}
    conditional = Conditional(schedule)(x_t, t, cond)
    guided = ClassifierGuidance(log_prob(schedule))(Unconditional(schedule))(x_t, t, cond)
    torch.testing.assert_close(guided.x_0, conditional.x_0)
    torch.testing.assert_close(guided.score, conditional.score)


def test_samples_by_classifier_guidance_are_the_conditional_models() -> None:
    """A whole sampling call, under the sampler's no_grad."""
    schedule, cond = VP(), {"label": LABEL}
    x_T = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    guided = ClassifierGuidance(log_prob(schedule))(Unconditional(schedule))
    drawn = DDIM(steps=20).run(guided, x_T, cond=cond)
    torch.testing.assert_close(drawn, DDIM(steps=20).run(Conditional(schedule), x_T, cond=cond))
    assert not drawn.requires_grad


def test_classifier_guidance_without_a_condition_is_none() -> None:
    x_t, t = noisy(VP())
    guided = ClassifierGuidance(log_prob(VP()), 4.0)(Unconditional(VP()))
    assert torch.equal(guided(x_t, t).x_0, Unconditional(VP())(x_t, t).x_0)
    with pytest.raises(ValueError, match="label in cond, got only text"):
        guided(x_t, t, {"text": ["a"]})


def test_at_pure_noise_nothing_is_added_and_nothing_breaks() -> None:
    schedule, t = RectifiedFlow(), torch.tensor(1.0, dtype=torch.float64)
    x_t, _ = noisy(schedule)
    guided = ClassifierGuidance(log_prob(schedule), 2.0)(Unconditional(schedule))(x_t, t, {"label": LABEL})
    assert score_scale(schedule, t) == 0
    assert torch.equal(guided.x_0, Unconditional(schedule)(x_t, t).x_0)


def test_autoguidance_extrapolates_from_the_worse_model() -> None:
    schedule = VP()
    x_t, t = noisy(schedule)
    better, bad = Conditional(schedule)(x_t, t), worse(schedule)(x_t, t)
    guided = AutoGuidance(worse(schedule), 3.0)(Conditional(schedule))(x_t, t)
    torch.testing.assert_close(guided.x_0, bad.x_0 + 3 * (better.x_0 - bad.x_0))
    zero = AutoGuidance(worse(schedule), 0.0)(Conditional(schedule))(x_t, t)
    torch.testing.assert_close(zero.x_0, bad.x_0)


@every_schedule
def test_an_interval_guides_inside_and_not_outside(schedule: Schedule) -> None:
    """Noise levels 0.1, 1 and 10, one call each, then one call with a level per row."""
    levels = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    times, cond = schedule.t(-2 * levels.log()), {"label": LABEL[:3]}
    x_t, denoiser = noisy(schedule)[0][:3], Conditional(schedule)
    plain, full = denoiser, ClassifierFree(4.0)(denoiser)
    limited = Interval(ClassifierFree(4.0), 0.5, 5.0)(denoiser)
    for t, expected in zip(times, (plain, full, plain), strict=True):
        assert torch.equal(limited(x_t, t, cond).x_0, expected(x_t, t, cond).x_0)
    mixed = limited(x_t, times, cond).x_0
    rows = torch.stack([plain(x_t, times, cond).x_0[0], full(x_t, times, cond).x_0[1], plain(x_t, times, cond).x_0[2]])
    torch.testing.assert_close(mixed, rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interval(ClassifierFree(2.0), 3.0, 1.0), "low < high"),
        (lambda: Interval(ClassifierFree(2.0), -1.0, 1.0), "0 <= low"),
        (lambda: AutoGuidance(worse(VP()), 2.0)(Conditional(VE())), "one schedule"),
    ],
)
def test_impossible_requests_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
