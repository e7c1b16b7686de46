"""Stochastic samplers on Gaussian data, where the law of every x is known exactly at every step size.

The denoiser of N(MEAN, STD^2) is affine, so x is a constant plus multiples of x_T and of the draws so far. Each sampler
is written here once more from its paper, on numpy vectors of those multiples; mean, variance and covariance with x_T
follow from them. The sampler itself runs on one row of many independent numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from unnoise.inverse import RePaint, vary
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VE, Cosine, LinearBetas, Schedule
from unnoise.samplers import DDIM, Ancestral, Euler, Heun, Langevin, Renoise, Sampler, SDEDPMSolver

MEAN, STD = 0.4, 0.5
COUNT = 200_000
START_MEAN = 1.5
"""Of x_T, which is any number here: a wrong factor of it shows in the mean."""

Vector = np.ndarray
"""The multiples of 1, of x_T's noise and of each draw."""


@dataclass
class Law:
    """alpha and sigma of a schedule, the exact denoiser, and a fresh draw at each call of `z`."""

    alpha: Callable[[float], float]
    sigma: Callable[[float], float]
    draws: int = 0

    def denoised(self, x: Vector, t: float) -> Vector:
        alpha, sigma = self.alpha(t), self.sigma(t)
        gain = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
        return gain * x + (1 - gain * alpha) * MEAN * unit(0)

    def eps(self, x: Vector, t: float) -> Vector:
        return (x - self.alpha(t) * self.denoised(x, t)) / self.sigma(t)

    def z(self) -> Vector:
        self.draws += 1
        return unit(1 + self.draws)


def unit(place: int) -> Vector:
    vector = np.zeros(64)
    vector[place] = 1.0
    return vector


ALPHA_BAR = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
SCHEDULES: dict[str, tuple[Schedule, Callable[[float], float], Callable[[float], float]]] = {
    "linear betas": (
        LinearBetas(),
        lambda t: math.sqrt(ALPHA_BAR[int(t)]),
        lambda t: math.sqrt(1 - ALPHA_BAR[int(t)]),
    ),
    "VE": (VE(), lambda t: 1.0, lambda t: t),
    "cosine": (Cosine(), lambda t: math.cos(math.pi * t / 2), lambda t: math.sin(math.pi * t / 2)),
}
GRIDS = {"linear betas": (1000.0, 640.0, 300.0, 90.0), "VE": (20.0, 4.0, 1.1, 0.2), "cosine": (0.9, 0.7, 0.4, 0.1)}


def ancestral(law: Law, x: Vector, times: list[float], variance: str) -> Iterator[Vector]:
    """Ho et al. 2020, algorithm 2 with equations 6 and 7, betas those of the pair (t, s)."""
    for t, s in pairwise(times):
        yield (x := ancestral_step(law, x, t, s, variance))


def ancestral_step(law: Law, x: Vector, t: float, s: float, variance: str = "beta-tilde") -> Vector:
    ratio = law.alpha(t) / law.alpha(s)
    beta = law.sigma(t) ** 2 - ratio**2 * law.sigma(s) ** 2
    mean = law.alpha(s) * beta * law.denoised(x, t) + ratio * law.sigma(s) ** 2 * x
    mean = mean / law.sigma(t) ** 2
    if s == 0:
        return mean
    tilde = law.sigma(s) ** 2 / law.sigma(t) ** 2 * beta
    return mean + math.sqrt(tilde if variance == "beta-tilde" else beta) * law.z()


def ddim(law: Law, x: Vector, times: list[float], eta: float) -> Iterator[Vector]:
    """Song et al. 2021, equations 12 and 16."""
    for t, s in pairwise(times):
        std = eta * law.sigma(s) / law.sigma(t) * math.sqrt(1 - (law.alpha(t) / law.alpha(s)) ** 2)
        x = law.alpha(s) * law.denoised(x, t) + math.sqrt(law.sigma(s) ** 2 - std**2) * law.eps(x, t)
        x = x + std * law.z() if std > 0 else x
        yield x


def sde_dpm_solver(law: Law, x: Vector, times: list[float]) -> Iterator[Vector]:
    """SDE-DPM-Solver++(2M) with the first difference D1 = (D_0 - D_1) / r (Lu et al. 2022b, appendix A)."""
    before: tuple[float, Vector] | None = None
    for t, s in pairwise(times):
        clean = law.denoised(x, t)
        if s == 0:
            yield clean
            return
        here = math.log(law.alpha(t) / law.sigma(t))
        h = math.log(law.alpha(s) / law.sigma(s)) - here
        kept, drawn = math.exp(-h) * law.sigma(s) / law.sigma(t), 1 - math.exp(-2 * h)
        slope = 0.0 if before is None else (clean - before[1]) / ((here - before[0]) / h)
        x = kept * x + law.alpha(s) * drawn * (clean + 0.5 * slope) + law.sigma(s) * math.sqrt(drawn) * law.z()
        before = here, clean
        yield x


def langevin(law: Law, x: Vector, times: list[float], corrections: int, snr: float) -> Iterator[Vector]:
    """Song et al. 2021, algorithms 2 to 5, the score's norm at its expectation; alpha_i = 1 - beta_i is 1 on VE."""
    for t, s in pairwise(times):
        if s == 0:
            yield law.denoised(x, t)
            return
        x = ancestral_step(law, x, t, s)
        delta = 2 * (law.alpha(t) / law.alpha(s)) ** 2 * (snr * law.sigma(s)) ** 2
        for _ in range(corrections):
            score = -law.eps(x, s) / law.sigma(s)
            x = x + delta * score + math.sqrt(2 * delta) * law.z()
        yield x


def karras(law: Law, x: Vector, times: list[float], *, second: bool, **churn: float) -> Iterator[Vector]:
    """Karras et al. 2022, algorithm 2, on y = x / alpha, whose noise is sigma / alpha."""

    def slope(y: Vector, ratio: float) -> Vector:
        gain = STD**2 / (STD**2 + ratio**2)
        return (y - (gain * y + (1 - gain) * MEAN * unit(0))) / ratio

    steps, y = len(times) - 1, x / law.alpha(times[0])
    for t, s in pairwise(times):
        now, then = law.sigma(t) / law.alpha(t), law.sigma(s) / law.alpha(s)
        gamma = min(churn["churn"] / steps, math.sqrt(2) - 1)
        if gamma > 0 and churn["churn_min"] <= now <= churn["churn_max"]:
            louder = now * (1 + gamma)
            y, now = y + churn["churn_noise"] * math.sqrt(louder**2 - now**2) * law.z(), louder
        first = slope(y, now)
        end = y + (then - now) * first
        if second and then > 0:
            end = y + (then - now) * (first + slope(end, then)) / 2
        y = end
        yield law.alpha(s) * y


def renoise(law: Law, x: Vector, times: list[float]) -> Iterator[Vector]:
    """Song et al. 2023, algorithm 1."""
    for t, s in pairwise(times):
        clean = law.denoised(x, t)
        x = clean if s == 0 else law.alpha(s) * clean + law.sigma(s) * law.z()
        yield x


def repaint(law: Law, x: Vector, times: list[float]) -> Iterator[Vector]:
    """The unknown pixels of Lugmayr et al. 2022, algorithm 1: down by DDPM, up by the forward process."""
    for t, s in pairwise(times):
        if s < t:
            x = ancestral_step(law, x, t, s)
            law.z()  # the known pixels'
        else:
            ratio = law.alpha(s) / law.alpha(t)
            x = ratio * x + math.sqrt(law.sigma(s) ** 2 - ratio**2 * law.sigma(t) ** 2) * law.z()
        yield x


CHURN: dict[str, float] = {"churn": 1.2, "churn_min": 0.5, "churn_max": 10.0, "churn_noise": 1.1}
MUCH = {"churn": 40.0, "churn_min": 0.0, "churn_max": 1.5, "churn_noise": 1.0}
CASES: list[tuple[Sampler, Callable[..., Iterator[Vector]], dict[str, Any], tuple[str, ...]]] = [
    (Ancestral(), ancestral, {"variance": "beta-tilde"}, ("linear betas", "VE", "cosine")),
    (Ancestral(variance="beta"), ancestral, {"variance": "beta"}, ("linear betas", "cosine")),
    (DDIM(eta=0.6), ddim, {"eta": 0.6}, ("linear betas", "cosine")),
    (SDEDPMSolver(), sde_dpm_solver, {}, ("linear betas", "VE", "cosine")),
    (Langevin(corrections=2, snr=0.3), langevin, {"corrections": 2, "snr": 0.3}, ("VE", "linear betas")),
    (Euler(**CHURN), karras, {"second": False, **CHURN}, ("VE", "cosine")),
    (Heun(**CHURN), karras, {"second": True, **CHURN}, ("VE",)),
    (Heun(**MUCH), karras, {"second": True, **MUCH}, ("VE",)),
    (Renoise(), renoise, {}, ("linear betas", "VE", "cosine")),
]


def on_schedule(name: str) -> tuple[Schedule, Law, list[float]]:
    schedule, alpha, sigma = SCHEDULES[name]
    return schedule, Law(alpha, sigma), [*GRIDS[name], 0.0]


def denoiser(schedule: Schedule, count: int = COUNT) -> Any:
    return GaussianMixture(torch.ones(1), torch.full((1, count), MEAN), STD).denoiser(schedule)


def start(std: float, seed: int = 1) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return START_MEAN + std * torch.randn(1, COUNT, generator=draws, dtype=torch.float64)


def check(x: torch.Tensor, x_T: torch.Tensor, std: float, expected: Vector) -> None:
    """Mean, variance and covariance with x_T within five standard errors; expected: multiples of unit draws."""
    variance, shared = float((expected[1:] ** 2).sum()), float(expected[1] * std)
    error = 5 / math.sqrt(x.numel())
    assert float(x.mean()) == pytest.approx(expected[0], abs=error * math.sqrt(variance) + 1e-9)
    assert float(x.var()) == pytest.approx(variance, abs=error * math.sqrt(2) * variance + 1e-9)
    covariance = float(((x - x.mean()) * (x_T - x_T.mean())).mean())
    assert covariance == pytest.approx(shared, abs=error * math.sqrt(variance * std**2 + shared**2) + 1e-9)


@pytest.mark.parametrize(
    ("sampler", "law_of", "options", "name"),
    [(sampler, law_of, options, name) for sampler, law_of, options, names in CASES for name in names],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_every_step_has_the_papers_law(
    sampler: Sampler, law_of: Callable[..., Iterator[Vector]], options: dict[str, Any], name: str
) -> None:
    schedule, law, times = on_schedule(name)
    chosen = type(sampler)(**{**vars(sampler), "steps": len(times) - 1, "grid": tuple(times[:-1])})
    std = 2.0
    x_T = start(std)
    points = list(chosen.stream(denoiser(schedule), x_T, seeds=[5]))
    expected = list(law_of(law, START_MEAN * unit(0) + std * unit(1), times, **options))
    assert [point.t for point in points] == times[1:]
    for point, vector in zip(points, expected, strict=True):
        check(point.x, x_T, std, vector)


@pytest.mark.parametrize("name", ["linear betas", "cosine"])
def test_repaint_walks_down_and_up_with_the_right_noise(name: str) -> None:
    """Known pixels have q(x_s | image) at every visited time, unknown ones follow the walk."""
    schedule, law, times = on_schedule(name)
    known = torch.arange(COUNT) % 2 == 0
    image = torch.full((1, COUNT), -0.8, dtype=torch.float64)
    sampler = RePaint(steps=len(times) - 1, grid=tuple(times[:-1]), image=image, known=known, jump=2, repeats=2)  # type: ignore[call-arg]
    visited = sampler.times(schedule).tolist()
    assert visited == [times[i] for i in (0, 1, 2, 0, 1, 2, 3, 4, 2, 3, 4)]
    std = 2.0
    x_T = start(std)
    points = list(sampler.stream(denoiser(schedule), x_T, seeds=[5]))
    expected = repaint(law, START_MEAN * unit(0) + std * unit(1), visited)
    for point, vector in zip(points, expected, strict=True):
        check(point.x[:, ~known], x_T[:, ~known], std, vector)
        shown = -0.8 * law.alpha(point.t) * unit(0) + law.sigma(point.t) * unit(2)
        check(point.x[:, known], x_T[:, known], std, shown)


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("name", ["linear betas", "VE", "cosine"])
def test_a_variation_starts_from_the_image_noised_or_from_the_prior(name: str, strength: float) -> None:
    """SDEdit, then DDIM: Meng et al. 2022, algorithm 1."""
    schedule, law, times = on_schedule(name)
    sampler = DDIM(steps=4, grid=tuple(times[:-1]))
    image = torch.full((1, COUNT), -0.8, dtype=torch.float64)
    drawn = vary(denoiser(schedule), image, strength, sampler=sampler, seeds=[5])
    first = times[2]
    x = (
        schedule.prior_std * unit(1)
        if strength == 1
        else -0.8 * law.alpha(first) * unit(0) + law.sigma(first) * unit(1)
    )
    *_, expected = ddim(law, x, times if strength == 1 else times[2:], eta=0.0)
    check(drawn, torch.zeros_like(drawn), 0.0, np.concatenate([expected[:1], [0.0], expected[1:]]))
