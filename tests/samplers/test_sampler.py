"""The contract of every sampler: one line in SAMPLERS_UNDER_TEST brings the whole battery."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import pytest
import torch

from unnoise.guidance import ClassifierFree, Clipped
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.schedule import VE, VP, Cosine, CosineBetas, LinearBetas, RectifiedFlow, Schedule
from unnoise.samplers import (
    DDIM,
    GRIDS,
    IPNDM,
    RK45,
    SAMPLERS,
    AdamsBashforth,
    Ancestral,
    DPMSolver,
    Euler,
    FlowMap,
    Heun,
    Langevin,
    Learned,
    Renoise,
    Sampler,
    SDEDPMSolver,
    UniPC,
)
from unnoise.seeding import SeededNoise

SAMPLERS_UNDER_TEST: list[Sampler] = [
    Ancestral(steps=20),
    Ancestral(steps=20, variance="beta"),
    DDIM(steps=20),
    DDIM(steps=20, eta=0.5),
    DDIM(steps=20, eta=1.0),
    Euler(steps=20),
    Heun(steps=20),
    Heun(steps=20, churn=5.0),
    DPMSolver(steps=20, order=1),
    DPMSolver(steps=20),
    DPMSolver(steps=20, order=3),
    SDEDPMSolver(steps=20),
    UniPC(steps=20, order=2),
    UniPC(steps=20),
    UniPC(steps=20, order=4),
    AdamsBashforth(steps=20, order=1),
    AdamsBashforth(steps=20),
    AdamsBashforth(steps=20, order=3),
    AdamsBashforth(steps=20, order=4),
    IPNDM(steps=20, order=2),
    IPNDM(steps=20),
    IPNDM(steps=20, order=4),
    Langevin(steps=20),
    Learned(steps=20),
    RK45(steps=10),
    Renoise(steps=4),
    FlowMap(steps=20),
]
SCHEDULES = [LinearBetas(), CosineBetas(), Cosine(), VP(), VE(sigma_max=3.0), RectifiedFlow()]
FINE_SCHEDULES = [LinearBetas(100_000, 1e-6, 2e-4), CosineBetas(100_000), *SCHEDULES[2:]]
"""The same with native steps enough for a step size to be halved and halved again."""


every_sampler = pytest.mark.parametrize("sampler", SAMPLERS_UNDER_TEST, ids=repr)
DETERMINISTIC = [sampler for sampler in SAMPLERS_UNDER_TEST if not sampler.draws_noise]
every_deterministic = pytest.mark.parametrize("sampler", DETERMINISTIC, ids=repr)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
every_kind_of_schedule = pytest.mark.parametrize(
    "schedule", [LinearBetas(), VE(sigma_max=3.0), RectifiedFlow()], ids=repr
)

GAUSSIAN = GaussianMixture(torch.ones(1), torch.tensor([[0.3, -0.6]]), 0.4)
MIXTURE = GaussianMixture(torch.ones(3), torch.tensor([[0.5, 0.5], [-0.5, 0.0], [0.2, -0.7]]), 0.1)
BROAD = GaussianMixture(
    torch.tensor([1.0, 2.0, 1.0]), torch.tensor([[0.6, -0.6], [-0.5, 0.2], [0.3, 0.7]]), torch.tensor([0.4, 0.5, 0.6])
)


def noise(schedule: Schedule, n: int = 32, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return schedule.prior_std * torch.randn(n, 2, generator=random, dtype=torch.float64)


class EndOfThePath:
    """The consistency function of a denoiser, by a fine solution of its flow from wherever it is asked."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.schedule = denoiser, denoiser.schedule

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor, cond: object = None) -> Denoised:
        start = math.atan2(float(self.schedule.sigma(t)), float(self.schedule.alpha(t)))
        angles = torch.linspace(start, 0.01, 40, dtype=torch.float64)
        falling = torch.cat([t[None], self.schedule.t(-2 * angles[1:].tan().log()), torch.zeros(1)])
        x, silence = x_t, SeededNoise(())
        for now, then in pairwise(falling):
            x = Heun().step(self.denoiser, x, now, then, None, silence).x
        return Denoised(x_t, x_t, x_t, schedule=self.schedule, t=t).with_x0(x)


def flow_of_a_gaussian(x_T: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """The probability-flow ODE of N(mu, s^2) keeps (x_t - alpha_t mu) / sqrt(alpha_t^2 s^2 + sigma_t^2)."""
    alpha, sigma = schedule.alpha(schedule.t_max), schedule.sigma(schedule.t_max)
    mean, std = GAUSSIAN.means[0], GAUSSIAN.stds[0]
    return mean + (x_T - alpha * mean) * std / ((alpha * std) ** 2 + sigma**2).sqrt()


def test_one_call_of_renoise_draws_none() -> None:
    assert [Renoise(steps=steps).draws_noise for steps in (1, 2)] == [False, True]


def test_every_name_is_under_test() -> None:
    assert {type(sampler) for sampler in SAMPLERS_UNDER_TEST} == set(SAMPLERS.values())


def short_first_steps(schedule: Schedule, steps: int, end: float = 0.3) -> tuple[float, ...]:
    """Times from t_max to where atan(sigma / alpha) is `end`; a multistep method's first steps, of low order, need to
    be of the size of a square for its own order to show."""
    start = math.atan2(float(schedule.sigma(schedule.t_max)), float(schedule.alpha(schedule.t_max)))
    angles = start - (start - end) * (torch.arange(steps + 1, dtype=torch.float64) / steps) ** 2
    times = schedule.t(-2 * angles.tan().log())
    times[0] = schedule.t_max
    return tuple((times if schedule.grid is None else times.round()).tolist())


def at_the_end(sampler: Sampler, schedule: Schedule, steps: int) -> torch.Tensor:
    """x after so many steps on that grid, without the last one, to t = 0."""
    chosen = replace(sampler, steps=steps + 1, grid=short_first_steps(schedule, steps))
    return list(chosen.stream(BROAD.denoiser(schedule), noise(schedule, 8)))[-2].x


@lru_cache
def exact_at_the_end(schedule: Schedule) -> torch.Tensor:
    return at_the_end(RK45(rtol=1e-11, atol=1e-11), schedule, 20)


@every_deterministic
@pytest.mark.parametrize("schedule", FINE_SCHEDULES, ids=repr)
def test_error_falls_with_the_declared_order(sampler: Sampler, schedule: Schedule) -> None:
    """On native steps the shared grid is rounded, hence the fine schedules; the reference is a one-step method."""
    one_piece = isinstance(sampler, RK45)
    tested = replace(sampler, halvings=0) if one_piece else sampler
    coarse, fine = (
        (at_the_end(tested, schedule, steps) - exact_at_the_end(schedule)).square().mean().sqrt()
        for steps in ((6, 12) if one_piece else (40, 80))
    )
    slope, order = float(torch.log2(coarse / fine)), sampler.order
    least = 2 if isinstance(sampler, IPNDM) else order  # the grid's strides are unequal
    assert least - 0.4 < slope < order + (1.5 if one_piece else 0.4), (coarse, fine)


@every_deterministic
@every_schedule
def test_a_whole_run_follows_the_flow(sampler: Sampler, schedule: Schedule) -> None:
    """To t = 0, the last step included, against the closed form of a Gaussian's flow."""
    x_T = noise(schedule, 8)
    x_0 = replace(sampler, steps=60, grid="log-snr").run(GAUSSIAN.denoiser(schedule), x_T)
    allowed = {1: 0.15, 2: 0.02}.get(sampler.order, 0.01)
    torch.testing.assert_close(x_0, flow_of_a_gaussian(x_T, schedule), rtol=0, atol=allowed)


@every_sampler
@every_kind_of_schedule
def test_draws_from_the_mixture(sampler: Sampler, schedule: Schedule) -> None:
    """With the exact denoiser and enough steps, or the exact consistency function and few, means and variances of the
    samples are the data's."""
    x_T, denoiser = noise(schedule, 1000), MIXTURE.denoiser(schedule)
    if isinstance(sampler, Renoise):
        x_0 = sampler.run(EndOfThePath(denoiser), x_T)
    else:
        x_0 = replace(sampler, steps=60).run(denoiser, x_T)
    expected = MIXTURE.sample(100_000)
    torch.testing.assert_close(x_0.mean(0), expected.mean(0), rtol=0, atol=0.06)
    torch.testing.assert_close(x_0.var(0), expected.var(0), rtol=0.15, atol=0.0)


@every_sampler
def test_same_seeds_same_bits_and_other_seeds_other_noise(sampler: Sampler) -> None:
    denoiser, x_T = MIXTURE.denoiser(LinearBetas()), noise(LinearBetas())
    first, again = (sampler.run(denoiser, x_T, seeds=range(32)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first, sampler.run(denoiser, x_T, seeds=range(100, 132))) != sampler.draws_noise


@every_sampler
def test_a_sample_does_not_depend_on_its_batch_mates(sampler: Sampler) -> None:
    denoiser, x_T = MIXTURE.denoiser(VP()), noise(VP())
    together = sampler.run(denoiser, x_T, seeds=range(32))
    alone = torch.cat([sampler.run(denoiser, x_T[i : i + 1], seeds=[i]) for i in (3, 17)])
    torch.testing.assert_close(alone, together[[3, 17]], rtol=1e-12, atol=1e-12)


@every_sampler
@every_kind_of_schedule
def test_run_is_the_last_item_of_stream(sampler: Sampler, schedule: Schedule) -> None:
    denoiser, x_T = MIXTURE.denoiser(schedule), noise(schedule)
    points = list(sampler.stream(denoiser, x_T))
    assert len(points) == sampler.steps
    assert points[-1].t == 0
    assert torch.equal(points[-1].x, sampler.run(denoiser, x_T))


@every_sampler
@every_kind_of_schedule
def test_works_under_clipping_and_guidance(sampler: Sampler, schedule: Schedule) -> None:
    denoiser, x_T = MIXTURE.denoiser(schedule), noise(schedule)
    clipped = sampler.run(Clipped(denoiser, -0.4, 0.4), x_T)
    beyond = 0.05 if isinstance(sampler, (AdamsBashforth, IPNDM)) else 1e-9  # their last steps extrapolate too
    assert clipped.abs().max() <= 0.4 + beyond
    guided = sampler.run(ClassifierFree(3.0)(denoiser), x_T)
    torch.testing.assert_close(guided, sampler.run(denoiser, x_T), rtol=1e-9, atol=1e-9)


def test_ancestral_takes_ho_et_als_step() -> None:
    """One step of algorithm 2, written out with betas."""
    schedule, t = LinearBetas(), 400
    beta, alpha_bar = schedule.betas[t - 1], schedule.alpha_bar[t - 1]
    x_t, z = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    denoiser = MIXTURE.denoiser(schedule)

    class Fixed:
        def normal(self, like: torch.Tensor) -> torch.Tensor:
            return z

        def uniform(self, count: int) -> torch.Tensor:
            raise AssertionError

    times = torch.tensor([t, t - 1], dtype=torch.float64)
    got = Ancestral(variance="beta").step(denoiser, x_t, times[0], times[1], None, Fixed()).x
    eps = denoiser(x_t, times[0]).eps
    expected = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / (1 - beta).sqrt() + beta.sqrt() * z
    torch.testing.assert_close(got, expected)


@every_schedule
def test_ddim_with_eta_one_is_ddpm(schedule: Schedule) -> None:
    """Song et al. 2021, section 4.1: at eta = 1 the generative process is DDPM's, with the variance beta-tilde."""
    denoiser, x_T = MIXTURE.denoiser(schedule), noise(schedule)
    torch.testing.assert_close(
        DDIM(steps=30, eta=1.0).run(denoiser, x_T), Ancestral(steps=30).run(denoiser, x_T), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 7, 10, 50, 999, 1000])
@every_schedule
def test_grids_fall_strictly_to_zero(grid: str, steps: int, schedule: Schedule) -> None:
    times = DDIM(steps=steps, grid=grid).times(schedule)
    assert len(times) == steps + 1
    assert times[-1] == 0
    assert times[0] == schedule.t_max
    assert (times.diff() < 0).all()
    if schedule.grid is not None:
        assert torch.equal(times, times.round())


def test_given_times_are_visited() -> None:
    given = (1000.0, 700.0, 90.0)
    assert DDIM(steps=3, grid=given).times(LinearBetas()).tolist() == [*given, 0]


@every_schedule
def test_log_snr_and_karras_have_equal_strides(schedule: Schedule) -> None:
    """Of the logarithm and of the 7th root of sigma / alpha, the ends and the rounding to native steps apart."""
    for grid, clock in (("log-snr", torch.log), ("karras", lambda ratio: ratio ** (1 / 7))):
        times = DDIM(steps=10, grid=grid).times(schedule)[1:-1]
        strides = clock((-0.5 * schedule.log_snr(times)).exp()).diff()
        torch.testing.assert_close(
            strides, strides.mean().expand_as(strides), rtol=0.2 if schedule.grid is not None else 1e-6, atol=0
        )


def test_trailing_and_quadratic_are_the_published_subsets() -> None:
    assert DDIM(steps=10, grid="trailing").times(LinearBetas()).tolist() == list(range(1000, -1, -100))
    assert DDIM(steps=10, grid="quadratic").times(LinearBetas()).tolist()[:4] == [1000, 810, 640, 490]
    assert DDIM(steps=4, grid="uniform").times(LinearBetas()).tolist() == [1000, 667, 334, 1, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DDIM(steps=1001).times(LinearBetas()), "at most 1000"),
        (lambda: DDIM(steps=0).times(VP()), "at least 1"),
        (lambda: DDIM(grid="quadratc").times(VP()), "quadratic"),
        (lambda: DDIM(eta=1.5), "eta"),
        (lambda: DPMSolver(order=4), "orders 1, 2 and 3"),
        (lambda: UniPC(order=1), "orders 2, 3 and 4"),
        (lambda: AdamsBashforth(order=5), "orders 1, 2, 3 and 4"),
        (lambda: IPNDM(order=1), "orders 2, 3 and 4"),
        (lambda: Heun(churn=-1), "churn"),
        (lambda: Langevin(snr=0.0), "snr"),
        (lambda: DDIM(steps=2, grid=(1.0, 0.5, 0.2)).times(VP()), "3 times for 2 steps"),
        (lambda: DDIM(steps=2, grid=(0.5, 0.5)).times(VP()), "fall within"),
        (lambda: DDIM(steps=2, grid=(1.5, 0.5)).times(VP()), "fall within"),
        (lambda: DDIM(steps=2, grid=(1000.0, 10.5)).times(LinearBetas()), "1, 2, ..., 1000"),
        (lambda: list(DDIM().stream(MIXTURE.denoiser(VP()), noise(VP()), seeds=[1])), "one seed per row"),
    ],
)
def test_impossible_requests_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
