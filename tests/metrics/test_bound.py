"""The variational bound against the exact likelihood of a Gaussian mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.metrics.bound import Bound, variational_bound
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import gaussian_log_prob, posterior, transition
from unnoise.process.parametrization import PARAMETRIZATIONS, Parametrization
from unnoise.process.schedule import VE, VP, Cosine, LinearBetas, RectifiedFlow, Schedule
from unnoise.process.variance import Analytic, Beta, BetaTilde, Variance, estimate_gammas

STDS = torch.tensor([0.12, 0.15, 0.2, 0.25])
MIXTURE = GaussianMixture(torch.ones(4), 0.5 * torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), STDS)


def rescaled(steps: int) -> LinearBetas:
    """Ho et al.'s betas are for T = 1000; another T scales them."""
    return LinearBetas(steps, 0.1 / steps, 20 / steps)


def analytic(schedule: Schedule, mixture: GaussianMixture, times: Tensor) -> Analytic:
    return estimate_gammas(mixture.denoiser(schedule), mixture.sample(4000, seed=9), times)


def gap(bound: Bound, mixture: GaussianMixture, x_0: Tensor) -> tuple[float, float]:
    """How far the bound lies above the exact negative log-likelihood of the same images, and its standard error."""
    above = bound.per_image + mixture.log_prob(x_0.flatten(1)) / x_0[0].numel()
    return float(above.mean()), float(above.std() / len(x_0) ** 0.5)


def test_the_bound_lies_above_and_falls_onto_the_truth() -> None:
    x_0, beta = MIXTURE.sample(500, seed=1), {}
    for steps in (25, 100, 400):
        schedule = rescaled(steps)
        tightest: Variance = analytic(schedule, MIXTURE, schedule.grid)
        gaps = [
            gap(variational_bound(MIXTURE.denoiser(schedule), x_0, decoder="gaussian", variance=v), MIXTURE, x_0)
            for v in (Beta(), BetaTilde(), tightest)
        ]
        assert all(value > -4 * error for value, error in gaps)
        assert gaps[2][0] < gaps[0][0] < gaps[1][0]
        assert gaps[1][0] > 0.44
        beta[steps] = gaps[0][0]
    assert beta[25] > 3 * beta[100] > 9 * beta[400]


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "expected"), [(100, 0.09), (400, 0.02), (1600, 0.004)])
def test_the_gap_on_finer_grids(steps: int, expected: float) -> None:
    x_0, schedule = MIXTURE.sample(10_000, seed=1), rescaled(steps)
    bound = variational_bound(MIXTURE.denoiser(schedule), x_0, decoder="gaussian")
    value, error = gap(bound, MIXTURE, x_0)
    assert error < 0.005
    assert abs(value - expected) < 4 * error + 0.2 * expected


@pytest.mark.slow
@pytest.mark.parametrize("steps", [400, 1600, 6400])
def test_beta_tilde_never_falls_onto_the_truth(steps: int) -> None:
    """On ever finer grids of even small betas it loses sum_{t>1} KL = 0.2886 (half of Euler's constant), and 0.1534 at
    the first step, whose variance is half of what it should be."""
    x_0 = MIXTURE.sample(4000, seed=1)
    bound = variational_bound(MIXTURE.denoiser(rescaled(steps)), x_0, decoder="gaussian", variance="beta-tilde")
    assert gap(bound, MIXTURE, x_0)[0] > 0.44


@pytest.mark.parametrize(
    "schedule", [rescaled(50), VP(), VE(), RectifiedFlow(), Cosine()], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("steps", [2, 10])
def test_the_analytic_bound_of_a_gaussian_is_its_likelihood_on_any_grid(schedule: Schedule, steps: int) -> None:
    """Gaussian data have Gaussian reverse kernels, so that nothing is lost but the prior's mismatch."""
    gaussian = GaussianMixture(torch.ones(1), torch.zeros(1, 4), 0.5)
    times = schedule.t(torch.linspace(8, -4, 60, dtype=torch.float64))
    x_0, variance = gaussian.sample(20_000, seed=1), analytic(schedule, gaussian, times)
    bound = variational_bound(gaussian.denoiser(schedule), x_0, decoder="gaussian", variance=variance, steps=steps)
    value, error = gap(bound, gaussian, x_0)
    assert abs(value) < 4 * error + 1e-4
    assert error < 0.004


def test_the_terms_sum_to_the_trajectories_log_ratio() -> None:
    """E -log p(x_{0:T}) / q(x_{1:T} | x_0), by walking through q and adding up densities."""
    schedule, x_0 = rescaled(25), MIXTURE.sample(20_000, seed=2)
    denoiser, draws = MIXTURE.denoiser(schedule), torch.Generator().manual_seed(3)
    x_s, cost = x_0, torch.zeros(len(x_0), dtype=torch.float64)
    for now in range(1, 26):
        t, s = torch.tensor([now, now - 1.0]).double()
        alpha_ts, var_ts = transition(schedule, t, s)
        x_t = alpha_ts * x_s + var_ts.sqrt() * torch.randn(x_0.shape, generator=draws, dtype=torch.float64)
        denoised = denoiser(x_t, t)
        mean, log_var = posterior(schedule, t, s).mean(x_t, denoised.x_0), Beta().log_var(denoised, schedule, t, s)
        cost += gaussian_log_prob(x_t, alpha_ts * x_s, var_ts.log()).mean(1)
        cost -= gaussian_log_prob(x_s, mean, log_var).mean(1)
        x_s = x_t
    cost -= gaussian_log_prob(x_s, torch.zeros(()), torch.zeros(())).mean(1)
    bound = variational_bound(denoiser, x_0, decoder="gaussian", draws=2)
    difference = cost - bound.per_image
    assert abs(float(difference.mean())) < 4 * float(difference.std() / len(x_0) ** 0.5)
    assert bound.total == pytest.approx(bound.prior + bound.denoising + bound.decoder)
    assert bound.total == pytest.approx(float(bound.per_image.mean()))
    assert bound.denoising == pytest.approx(float(bound.per_t.sum()))
    assert bound.bits_per_dim()["total"] == pytest.approx(bound.total / math.log(2))
    assert torch.equal(bound.times, schedule.grid[1:])


@dataclass(frozen=True)
class Through:
    """A denoiser seen through a parametrization's target and inverse."""

    denoiser: Denoiser
    parametrization: Parametrization

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: object = None) -> Denoised:
        exact = self.denoiser(x_t, t)
        target = self.parametrization.target(self.schedule, exact.x_0, exact.eps, t)
        return self.parametrization.invert(self.schedule, target, x_t, t)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_every_parametrization_gives_the_same_bound(name: str) -> None:
    denoiser, x_0 = MIXTURE.denoiser(rescaled(50)), MIXTURE.sample(64)
    expected = variational_bound(denoiser, x_0, decoder="gaussian").total
    got = variational_bound(Through(denoiser, PARAMETRIZATIONS[name]()), x_0, decoder="gaussian").total
    assert got == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("sampled", [None, 7])
@pytest.mark.parametrize("draws", [1, 3])
def test_neither_batching_nor_shape_changes_anything(sampled: int | None, draws: int) -> None:
    denoiser, x_0 = MIXTURE.denoiser(rescaled(40)), MIXTURE.sample(150)
    images = x_0.reshape(-1, 1, 2, 3)
    cases = [(x_0, None), (x_0, 1000), (images, 64), (images, 17)]
    bounds = [
        variational_bound(denoiser, x, decoder="gaussian", batch_size=size, sampled=sampled, draws=draws)
        for x, size in cases
    ]
    for bound in bounds[1:]:
        torch.testing.assert_close(bound.per_image, bounds[0].per_image)
        torch.testing.assert_close(bound.per_t, bounds[0].per_t)


def test_sampled_times_agree_with_all_of_them() -> None:
    denoiser, x_0 = MIXTURE.denoiser(rescaled(100)), MIXTURE.sample(2000)
    every = variational_bound(denoiser, x_0, decoder="gaussian")
    for sampled in (1, 10):
        some = variational_bound(denoiser, x_0, decoder="gaussian", sampled=sampled, seed=1)
        difference = some.per_image - every.per_image
        assert abs(float(difference.mean())) < 4 * float(difference.std() / len(x_0) ** 0.5)
        assert some.decoder == pytest.approx(every.decoder, abs=0.05)


@dataclass(frozen=True)
class Oracle:
    """Knows x_0 by its label."""

    x_0: Tensor
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        return Denoised(x_t, x_t, x_t, schedule=self.schedule, t=t).with_x0(self.x_0[cond["label"]])


@pytest.mark.parametrize("sampled", [None, 3])
def test_conditions_follow_their_rows(sampled: int | None) -> None:
    x_0, label = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), torch.arange(50)
    oracle = Oracle(x_0, rescaled(30))
    options = {"decoder": "gaussian", "variance": "beta-tilde", "sampled": sampled, "batch_size": 16}
    assert abs(variational_bound(oracle, x_0, cond={"label": label}, **options).denoising) < 1e-6
    assert variational_bound(oracle, x_0, cond={"label": label.flip(0)}, **options).denoising > 1


def test_the_discretised_bound_lies_above_the_entropy() -> None:
    """Two pixels that take four pairs of levels, two of them neighbours: 1.75 bits a pair."""
    pairs = torch.tensor([[100, 30], [101, 30], [255, 0], [0, 200]]) / 127.5 - 1
    counts = torch.tensor([4, 2, 1, 1])
    x_0 = pairs.double().repeat_interleave(40 * counts, dim=0)
    mixture, schedule = GaussianMixture(counts, pairs, 1e-4), LinearBetas()
    best = estimate_gammas(mixture.denoiser(schedule), x_0, schedule.grid[::10])
    tight, loose = (
        variational_bound(mixture.denoiser(schedule), x_0, variance=v).bits_per_dim() for v in (best, "beta")
    )
    entropy = 1.75 / 2
    assert -4 * tight["stderr"] < tight["total"] - entropy < 0.4
    assert loose["total"] > entropy + 1  # noise of std 0.01 at the first step, against buckets 0.0078 wide


def test_learned_variance_is_taken_from_the_denoiser() -> None:
    @dataclass(frozen=True)
    class Learnt(Through):
        def __call__(self, x_t: Tensor, t: Tensor, cond: object = None) -> Denoised:
            return replace(self.denoiser(x_t, t), var_mix=torch.ones_like(x_t))

    denoiser, x_0 = MIXTURE.denoiser(rescaled(25)), MIXTURE.sample(32)
    learnt = Learnt(denoiser, PARAMETRIZATIONS["eps"]())
    got = variational_bound(learnt, x_0, decoder="gaussian", variance="learned").total
    assert got == pytest.approx(variational_bound(denoiser, x_0, decoder="gaussian", variance="beta").total)


def test_a_signal_left_in_x_T_is_told() -> None:
    with pytest.warns(UserWarning, match="still carries signal"):
        bound = variational_bound(MIXTURE.denoiser(LinearBetas(100)), MIXTURE.sample(10), decoder="gaussian")
    assert bound.prior > 1e-3


def test_wrong_arguments_are_refused() -> None:
    denoiser, x_0 = MIXTURE.denoiser(rescaled(25)), MIXTURE.sample(10)
    for options, message in [
        ({"decoder": "gausian"}, "did you mean 'gaussian'"),
        ({"variance": "bet"}, "did you mean 'beta'"),
        ({"variance": "analytic"}, "needs times, gammas"),
        ({"variance": "learned"}, "not learned its variance"),
        ({"steps": 26}, "at most 25"),
        ({"steps": torch.tensor([3.0, 2.0])}, "rise"),
        ({"steps": torch.tensor([3.0, 26.0])}, "rise"),
        ({"sampled": 0}, "at least 1"),
        ({"draws": 0}, "at least one"),
        ({"batch_size": 0}, "at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            variational_bound(denoiser, x_0, **options)
    with pytest.raises(ValueError, match="at least one image"):
        variational_bound(denoiser, x_0[:0])
    assert math.isnan(variational_bound(denoiser, x_0[:1], decoder="gaussian").stderr)
