"""The contract of every sampler: one line in SAMPLERS_UNDER_TEST brings the whole battery."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unnoise.guidance import ClassifierFree, Clipped
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VE, VP, Cosine, CosineBetas, LinearBetas, Schedule, Straight
from unnoise.samplers import DDIM, GRIDS, SAMPLERS, Ancestral, Sampler

SAMPLERS_UNDER_TEST: list[Sampler] = [
    Ancestral(steps=20),
    Ancestral(steps=20, variance="beta"),
    DDIM(steps=20),
    DDIM(steps=20, eta=0.5),
    DDIM(steps=20, eta=1.0),
]
SCHEDULES = [LinearBetas(), CosineBetas(), Cosine(), VP(), VE(sigma_max=3.0), Straight()]

every_sampler = pytest.mark.parametrize("sampler", SAMPLERS_UNDER_TEST, ids=repr)
DETERMINISTIC = [sampler for sampler in SAMPLERS_UNDER_TEST if sampler.order > 0 and getattr(sampler, "eta", 0) == 0]
every_deterministic = pytest.mark.parametrize("sampler", DETERMINISTIC, ids=repr)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)

GAUSSIAN = GaussianMixture(torch.ones(1), torch.tensor([[0.3, -0.6]]), 0.4)
MIXTURE = GaussianMixture(torch.ones(3), torch.tensor([[0.5, 0.5], [-0.5, 0.0], [0.2, -0.7]]), 0.1)


def noise(schedule: Schedule, n: int = 32, seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return schedule.prior_std * torch.randn(n, 2, generator=draws, dtype=torch.float64)


def flow_of_a_gaussian(x_T: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """The probability-flow ODE of N(mu, s^2) keeps (x_t - alpha_t mu) / sqrt(alpha_t^2 s^2 + sigma_t^2)."""
    alpha, sigma = schedule.alpha(schedule.t_max), schedule.sigma(schedule.t_max)
    mean, std = GAUSSIAN.means[0], GAUSSIAN.stds[0]
    return mean + (x_T - alpha * mean) * std / ((alpha * std) ** 2 + sigma**2).sqrt()


def test_every_name_is_under_test() -> None:
    assert {type(sampler) for sampler in SAMPLERS_UNDER_TEST} == set(SAMPLERS.values())


@every_deterministic
@every_schedule
def test_error_falls_with_the_declared_order(sampler: Sampler, schedule: Schedule) -> None:
    x_T = noise(schedule)
    exact = flow_of_a_gaussian(x_T, schedule)
    errors = [
        (replace(sampler, steps=steps).run(GAUSSIAN.denoiser(schedule), x_T) - exact).square().mean().sqrt()
        for steps in (125, 250, 500)
    ]
    slope = torch.log2(errors[1] / errors[2])
    assert abs(slope - sampler.order) < 0.25, errors


@every_sampler
@every_schedule
def test_draws_from_the_mixture(sampler: Sampler, schedule: Schedule) -> None:
    """With the exact denoiser and many steps, means and variances of the samples are the data's."""
    x_T = noise(schedule, 1000)
    x_0 = replace(sampler, steps=100).run(MIXTURE.denoiser(schedule), x_T)
    expected = MIXTURE.sample(100_000)
    torch.testing.assert_close(x_0.mean(0), expected.mean(0), rtol=0, atol=0.06)
    torch.testing.assert_close(x_0.var(0), expected.var(0), rtol=0.15, atol=0.0)


@every_sampler
def test_same_seeds_same_bits_and_other_seeds_other_noise(sampler: Sampler) -> None:
    denoiser, x_T = MIXTURE.denoiser(LinearBetas()), noise(LinearBetas())
    first, again = (sampler.run(denoiser, x_T, seeds=range(32)) for _ in range(2))
    assert torch.equal(first, again)
    draws = sampler.order == 0 or getattr(sampler, "eta", 0) > 0
    assert torch.equal(first, sampler.run(denoiser, x_T, seeds=range(100, 132))) != draws


@every_sampler
def test_a_sample_does_not_depend_on_its_batch_mates(sampler: Sampler) -> None:
    denoiser, x_T = MIXTURE.denoiser(VP()), noise(VP())
    together = sampler.run(denoiser, x_T, seeds=range(32))
    alone = torch.cat([sampler.run(denoiser, x_T[i : i + 1], seeds=[i]) for i in (3, 17)])
    torch.testing.assert_close(alone, together[[3, 17]], rtol=1e-12, atol=1e-12)


@every_sampler
@every_schedule
def test_run_is_the_last_item_of_stream(sampler: Sampler, schedule: Schedule) -> None:
    denoiser, x_T = MIXTURE.denoiser(schedule), noise(schedule)
    points = list(sampler.stream(denoiser, x_T))
    assert len(points) == sampler.steps
    assert points[-1].t == 0
    assert torch.equal(points[-1].x, sampler.run(denoiser, x_T))


@every_sampler
@every_schedule
def test_works_under_clipping_and_guidance(sampler: Sampler, schedule: Schedule) -> None:
    denoiser, x_T = MIXTURE.denoiser(schedule), noise(schedule)
    clipped = sampler.run(Clipped(denoiser, -0.4, 0.4), x_T)
    assert clipped.abs().max() <= 0.4 + 1e-9
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


def test_trailing_and_quadratic_are_the_published_subsets() -> None:
    assert DDIM(steps=10).times(LinearBetas()).tolist() == list(range(1000, -1, -100))
    assert DDIM(steps=10, grid="quadratic").times(LinearBetas()).tolist()[:4] == [1000, 810, 640, 490]
    assert DDIM(steps=4, grid="uniform").times(LinearBetas()).tolist() == [1000, 667, 334, 1, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DDIM(steps=1001).times(LinearBetas()), "at most 1000"),
        (lambda: DDIM(steps=0).times(VP()), "at least 1"),
        (lambda: DDIM(grid="quadratc").times(VP()), "quadratic"),
        (lambda: DDIM(eta=1.5), "eta"),
        (lambda: list(DDIM().stream(MIXTURE.denoiser(VP()), noise(VP()), seeds=[1])), "one seed per row"),
    ],
)
def test_impossible_requests_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
