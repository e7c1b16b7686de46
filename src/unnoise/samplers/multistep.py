"""Multistep solvers: one network call a step, and the answers of earlier steps."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.level import Level, mix
from unnoise.samplers.grids import AUTO, best_grid
from unnoise.samplers.line import along_line, position_on_line
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


class History(NamedTuple):
    """The denoiser's answers at the last levels, the newest first."""

    levels: tuple[Level, ...] = ()
    answers: tuple[Denoised, ...] = ()

    def with_newest(self, here: Level, denoised: Denoised, length: int) -> History:
        return History((here, *self.levels)[:length], (denoised, *self.answers)[:length])


@dataclass(frozen=True)
class Multistep(Sampler):
    """A solver whose step is linear in the last `order` answers: `move` is all that tells one from another. The history
    starts empty, so the first steps are of a lower order."""

    order: int = 2  # type: ignore[misc]
    orders: ClassVar[tuple[int, ...]]
    """Those that there are."""

    def __post_init__(self) -> None:
        if self.order not in self.orders:
            *most, last = map(str, self.orders)
            raise UserError(f"{type(self).__name__} has orders {', '.join(most)} and {last}, got {self.order}")

    @abstractmethod
    def move(self, x: Tensor, there: Level, history: History) -> Tensor:
        """x at the level `there`, from x at the newest level of the history."""

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
        history = (state or History()).with_newest(here, denoised, self.order)
        return Step(self.move(x, there, history), denoised, history)


@dataclass(frozen=True)
class DPMSolver(Multistep):
    """DPM-Solver++ multistep: x_s = sigma_s / sigma_t x_t + alpha_s (1 - e^-h) D, h the step in log(alpha / sigma), and
    D the denoised image extrapolated from the last `order` answers (Lu et al. 2022b, algorithm 2; order 1 is DDIM).

    order: 1, 2 or 3, reached on grids whose first steps are short: the history starts empty. The step to t = 0 is x_0.
    """

    orders: ClassVar[tuple[int, ...]] = (1, 2, 3)
    best_grids: ClassVar[Mapping[int, str]] = {1: "angle", 50: "log-snr"}

    def chosen_grid(self) -> str | tuple[float, ...]:
        third = self.grid == AUTO and self.order == 3
        return best_grid({1: "angle", 10: "log-snr"}, self.steps) if third else super().chosen_grid()

    def move(self, x: Tensor, there: Level, history: History) -> Tensor:
        scale, weights = _exponential(there, history.levels)
        x = scale * x
        for weight, answer in zip(weights, history.answers, strict=True):
            x = torch.add(x, answer.x_0, alpha=weight)
        return x


@lru_cache(maxsize=8192)
def _exponential(there: Level, past: tuple[Level, ...]) -> tuple[float, tuple[float, ...]]:
    """The factors of x_t and of the denoised images, the newest first.

    x_s is sigma_s / sigma_t x_t + sigma_s int e^lambda D(lambda) d lambda, D the polynomial through the answers. For
    two answers Lu et al. take the midpoint h / 2 for the exact mean of lambda - lambda_t, and so does this.
    """
    here = past[0]
    h = there.half_log_snr - here.half_log_snr
    moved = -math.expm1(-h)
    if len(past) == 1 or h == math.inf:
        return there.sigma / here.sigma, (there.alpha * moved, *(0.0 for _ in past[1:]))
    offsets = [p.half_log_snr - here.half_log_snr for p in past]
    moments = [moved, h * moved / 2] if len(past) == 2 else _moments(h, len(past))
    return there.sigma / here.sigma, tuple(there.alpha * w for w in _through(offsets, moments))


def _moments(h: float, count: int) -> list[float]:
    """int_0^h e^(tau - h) tau^j d tau for j < count."""
    moments = [-math.expm1(-h)]
    for j in range(1, count):
        moments.append(h**j - j * moments[-1])
    return moments


def _through(nodes: Sequence[float], moments: Sequence[float]) -> list[float]:
    """The weight of the value at each node (the first is 0) in sum_j moment_j c_j, where sum_j c_j tau^j goes through
    the values. Nodes at infinity have no weight."""
    near = [i for i, node in enumerate(nodes) if math.isfinite(node)]
    powers = np.vander([nodes[i] for i in near], increasing=True)
    solved = np.linalg.solve(powers.T, np.asarray(moments[: len(near)]))
    weights = [0.0] * len(nodes)
    for i, weight in zip(near, solved, strict=True):
        weights[i] = float(weight)
    return weights


@dataclass(frozen=True)
class AdamsBashforth(Multistep):
    """x_s = x_t + int (x_0 d alpha + eps d sigma), both extrapolated by the polynomial through the last `order`
    answers; on VE the linear multistep method in sigma, on RectifiedFlow the one in t. Orders 1 to 4."""

    orders: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    best_grids: ClassVar[Mapping[int, str]] = {1: "angle"}

    def move(self, x: Tensor, there: Level, history: History) -> Tensor:
        weights = _quadrature(there, history.levels)
        return along_line(x, history.levels[0], there, history.answers, weights)


@lru_cache(maxsize=8192)
def _quadrature(there: Level, past: tuple[Level, ...]) -> tuple[float, ...]:
    """The weight of each answer in the integral over tau in [0, 1] along the line."""
    nodes = [0.0, *(position_on_line(p, past[0], there) for p in past[1:])]
    return tuple(_through(nodes, [1 / (j + 1) for j in range(len(nodes))]))


EQUAL_STRIDES = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}
"""Adams-Bashforth weights for equal strides, the newest answer first."""


@dataclass(frozen=True)
class IPNDM(Multistep):
    """iPNDM: x_s = alpha_s / alpha_t x_t + (sigma_s - alpha_s sigma_t / alpha_t) sum_j w_j eps_j, w the Adams-Bashforth
    weights of equal strides whatever the grid (Zhang & Chen 2023, section 3.3; Liu et al. 2022, equation 12).

    `AdamsBashforth` has the weights of the strides as they are, and extrapolates x_0 as well as eps. Only on equal
    strides of sigma / alpha, after first steps as exact, is the error of the given order, 2 to 4; on any other smooth
    grid it is of the second. Order 3, the default, has the least errors in 5 to 20 calls (docs/samplers.md); the papers
    use 4.
    """

    order: int = 3  # type: ignore[misc]

    orders: ClassVar[tuple[int, ...]] = (2, 3, 4)
    best_grids: ClassVar[Mapping[int, str]] = {1: "angle-squared", 8: "angle"}

    def move(self, x: Tensor, there: Level, history: History) -> Tensor:
        here, (newest, *earlier) = history.levels[0], history.answers
        stride = there.sigma - there.alpha * here.sigma / here.alpha if earlier else 0.0
        x = mix(there.alpha, newest.x_0, there.sigma, newest.eps)
        for weight, answer in zip(EQUAL_STRIDES[len(history.answers)][1:], earlier, strict=True):
            x = torch.add(x, answer.eps - newest.eps, alpha=stride * weight)
        return x
