"""The probability-flow ODE's likelihood against the exact one of a Gaussian mixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.flow_likelihood import ode_log_likelihood
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised
from unnoise.process.schedule import VE, VP, Cosine, CosineBetas, LinearBetas, RectifiedFlow, Schedule

# Their mean is 0: a mean m shifts log N(x_T) by about m / 80 on VE, which is the prior's mismatch and not the ODE's.
PLANE = GaussianMixture(torch.ones(2), torch.tensor([[0.7, -0.3], [-0.7, 0.3]]), torch.tensor([0.1, 0.3]))
OFFSETS = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGE = GaussianMixture(torch.ones(3), 0.5 * (OFFSETS - OFFSETS.mean(0)), torch.tensor([0.15, 0.2, 0.3]))

SCHEDULES = [VP(), VE(), RectifiedFlow(), Cosine(), LinearBetas(), CosineBetas()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


@every_schedule
@pytest.mark.parametrize(("mixture", "shape"), [(PLANE, (2,)), (IMAGE, (1, 2, 3))])
def test_it_is_the_exact_log_prob(schedule: Schedule, mixture: GaussianMixture, shape: tuple[int, ...]) -> None:
    x_0 = mixture.sample(64, seed=1)
    got = ode_log_likelihood(mixture.denoiser(schedule), x_0.reshape(64, *shape), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(got.log_prob, mixture.log_prob(x_0), rtol=0, atol=1e-3)
    assert got.nats_per_dim == pytest.approx(-float(got.log_prob.mean()) / x_0.shape[1])
    assert got.stderr == pytest.approx(float(got.log_prob.std()) / x_0.shape[1] / 8)


@every_schedule
def test_the_default_tolerance_is_enough_for_means_in_float32(schedule: Schedule) -> None:
    x_0 = IMAGE.sample(64, seed=1)
    got = ode_log_likelihood(IMAGE.denoiser(schedule), x_0.float())
    assert float(got.log_prob.mean()) == pytest.approx(float(IMAGE.log_prob(x_0).mean()), abs=1e-3)
    assert got.network_calls < 150


def test_hutchinsons_trace_agrees_within_its_error() -> None:
    x_0, denoiser = IMAGE.sample(200, seed=1), IMAGE.denoiser(VP())
    noise = {}
    for probes in (1, 8):
        got = ode_log_likelihood(denoiser, x_0, trace="hutchinson", probes=probes, rtol=1e-4, atol=1e-4)
        error = got.log_prob - IMAGE.log_prob(x_0)
        noise[probes] = float(error.std()) / 200**0.5
        assert 0 < abs(float(error.mean())) < 4 * noise[probes]
    assert noise[8] < noise[1] / 2


@dataclass(frozen=True)
class ByLabel:
    """One exact denoiser per class."""

    classes: tuple[GaussianMixture, GaussianMixture]
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        one, two = (mixture.denoiser(self.schedule)(x_t, t) for mixture in self.classes)
        second = cond["label"][:, None] == 1
        parts = [torch.where(second, b, a) for a, b in ((one.x_0, two.x_0), (one.eps, two.eps))]
        return Denoised(x_t, *parts, schedule=self.schedule, t=t)


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_neither_batching_nor_batch_mates_matter_beyond_the_tolerance(trace: str) -> None:
    wide = GaussianMixture(torch.ones(1), torch.zeros(1, 2), 0.5)
    x_0, label = PLANE.sample(40, seed=1), torch.arange(40) % 2
    denoiser = ByLabel((PLANE, wide), VP())
    options: dict[str, Any] = {"cond": {"label": label}, "trace": trace, "rtol": 1e-6, "atol": 1e-6}
    small, large = (ode_log_likelihood(denoiser, x_0, batch_size=size, **options) for size in (7, 40))
    torch.testing.assert_close(small.log_prob, large.log_prob, rtol=0, atol=1e-3)
    assert small.network_calls > large.network_calls
    if trace == "exact":
        expected = torch.where(label == 1, wide.log_prob(x_0), PLANE.log_prob(x_0))
        torch.testing.assert_close(large.log_prob, expected, rtol=0, atol=1e-3)


def test_wrong_arguments_are_refused() -> None:
    x_0, denoiser = PLANE.sample(3), PLANE.denoiser(VE())
    for options, message in [
        ({"trace": "hutchinsons"}, "did you mean 'hutchinson'"),
        ({"probes": 0}, "at least one"),
        ({"sigma_min": 0.0}, "between 0 and"),
        ({"sigma_min": 80.0}, "between 0 and"),
        ({"batch_size": -1}, "at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            ode_log_likelihood(denoiser, x_0, **options)


def test_answers_that_are_not_finite_are_told() -> None:
    @dataclass(frozen=True)
    class Broken:
        schedule: Schedule

        def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
            return Denoised(x_t, x_t * torch.nan, x_t, schedule=self.schedule, t=t)

    with pytest.raises(UserError, match="not finite"):
        ode_log_likelihood(Broken(VP()), PLANE.sample(2))
