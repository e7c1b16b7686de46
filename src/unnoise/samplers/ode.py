"""One-step solvers of the probability-flow ODE: Euler and Heun with churn, and an adaptive Runge-Kutta reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import transition
from unnoise.process.level import Level, level, mix
from unnoise.process.schedule_base import Schedule
from unnoise.registry import Many
from unnoise.samplers.line import along_line
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


@dataclass(frozen=True)
class Euler(Sampler):
    """x_s = alpha_s x_0 + sigma_s eps: Euler's method in sigma / alpha, which is DDIM with eta = 0.

    churn > 0 first adds noise, up to sigma (1 + min(churn / steps, sqrt(2) - 1)), where sigma / alpha lies in
    [churn_min, churn_max], times churn_noise (Karras et al. 2022, algorithm 2: S_churn, S_tmin, S_tmax, S_noise).
    """

    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    best_grids: ClassVar[Mapping[int, str]] = {1: "angle"}

    def __post_init__(self) -> None:
        if self.churn < 0:
            raise UserError(f"churn must be at least 0, got {self.churn}")

    @property
    def draws_noise(self) -> bool:
        return self.churn > 0

    def step(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        s: Tensor,
        state: State,
        noise: Noise,
        cond: Conditions | None = None,
    ) -> Step:
        x, t = self._churned(denoiser.schedule, x, t, noise)
        here, there = denoiser.schedule.at(t), denoiser.schedule.at(s)
        denoised = denoiser(x, t, cond)
        return Step(self._move(denoiser, x, here, there, s, denoised, cond), denoised, None)

    def _move(
        self,
        denoiser: Denoiser,
        x: Tensor,
        here: Level,
        there: Level,
        s: Tensor,
        denoised: Denoised,
        cond: Conditions | None,
    ) -> Tensor:
        return mix(there.alpha, denoised.x_0, there.sigma, denoised.eps)

    def _churned(self, schedule: Schedule, x: Tensor, t: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """x with noise added, and its time: a native one where the schedule has native steps."""
        here = schedule.at(t)
        ratio = math.exp(-here.half_log_snr) if self.churn > 0 else math.inf
        if not self.churn_min <= ratio <= self.churn_max or ratio == math.inf:
            return x, t
        louder = math.log1p(min(self.churn / self.steps, math.sqrt(2) - 1))
        later = schedule.t(2 * torch.tensor(here.half_log_snr - louder, dtype=torch.float64)).clamp(max=schedule.t_max)
        later = later if schedule.grid is None else later.round()
        if later <= t:
            return x, t
        alpha, var = transition(schedule, later, t)
        return float(alpha) * x + self.churn_noise * math.sqrt(var) * noise.normal(x), later


@dataclass(frozen=True)
class Heun(Euler):
    """Euler's step corrected by the mean of both ends: algorithm 2 of Karras et al. 2022, Heun's method on VE and, in
    t, on RectifiedFlow. 2 steps - 1 network evaluations: the step to t = 0 is not corrected."""

    steps: Many = 18

    order: ClassVar[int] = 2

    def _move(
        self,
        denoiser: Denoiser,
        x: Tensor,
        here: Level,
        there: Level,
        s: Tensor,
        denoised: Denoised,
        cond: Conditions | None,
    ) -> Tensor:
        guess = super()._move(denoiser, x, here, there, s, denoised, cond)
        if there.t == 0:
            return guess
        return along_line(x, here, there, (denoised, denoiser(guess, s, cond)), (0.5, 0.5))


NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
TABLEAU = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
LOWER = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)
"""Dormand & Prince 1980: the fifth-order weights are the last row of the tableau, LOWER the fourth-order ones."""


@dataclass(frozen=True)
class RK45(Sampler):
    """Dormand & Prince's pair of orders 5 and 4, each interval of the grid halved until a row's error estimate is
    within atol + rtol |x| (root mean square): the reference that other solvers are measured against.

    Every row has its own subdivision, so it does not depend on its batch-mates; the whole batch is computed at each.
    It calls the denoiser between native steps too. The last step, to t = 0, is Euler's.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    halvings: int = 6

    order: ClassVar[int] = 5
    best_grids: ClassVar[Mapping[int, str]] = {1: "log-snr"}

    def step(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        s: Tensor,
        state: State,
        noise: Noise,
        cond: Conditions | None = None,
    ) -> Step:
        here, there = denoiser.schedule.at(t), denoiser.schedule.at(s)
        denoised = denoiser(x, t, cond)
        if there.t == 0:
            return Step(denoised.x_0, denoised, None)
        best, done = x, torch.zeros(len(x), 1, dtype=torch.bool, device=x.device)
        for halvings in range(self.halvings + 1):
            end, error = self._cross(denoiser, x, here, there, 2**halvings, denoised, cond)
            best = torch.where(done, best.flatten(1), end.flatten(1)).reshape(x.shape)
            done = done | (error <= 1)
            if done.all():
                break
        return Step(best, denoised, None)

    def _cross(
        self,
        denoiser: Denoiser,
        x: Tensor,
        here: Level,
        there: Level,
        pieces: int,
        first: Denoised,
        cond: Conditions | None,
    ) -> tuple[Tensor, Tensor]:
        """x_s in so many equal pieces of the line, and the largest error estimate of each row (B, 1), 1 allowed."""
        worst = torch.zeros(len(x), 1, dtype=x.dtype, device=x.device)
        left, answer = here, first
        for piece in range(pieces):
            right = there if piece == pieces - 1 else _between(here, there, (piece + 1) / pieces)
            stages, end = [answer], x
            for node, weights in zip(NODES[1:], TABLEAU[1:], strict=True):
                end = along_line(x, left, right, stages, weights)
                stages.append(_ask(denoiser, end, _between(left, right, node), cond))
            gap = along_line(x, left, right, stages, LOWER) - end
            allowed = self.atol + self.rtol * torch.maximum(x.abs(), end.abs())
            worst = torch.maximum(worst, (gap / allowed).flatten(1).square().mean(1, keepdim=True).sqrt())
            x, left, answer = end, right, stages[-1]
        return x, worst


def _between(left: Level, right: Level, tau: float) -> Level:
    """The point at tau in [0, 1] of the line, which in general is not on the schedule's own curve."""
    alpha = left.alpha + tau * (right.alpha - left.alpha)
    sigma = left.sigma + tau * (right.sigma - left.sigma)
    return level(math.nan, alpha, sigma)


def _ask(denoiser: Denoiser, x: Tensor, point: Level, cond: Conditions | None) -> Denoised:
    """The denoiser at the time whose alpha / sigma is the point's, on x scaled to that time."""
    t = denoiser.schedule.t(torch.tensor(point.log_snr, dtype=torch.float64))
    return denoiser(x * (float(denoiser.schedule.sigma(t)) / point.sigma), t, cond)
