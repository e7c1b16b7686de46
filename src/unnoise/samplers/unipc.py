"""UniPC: a multistep predictor whose every answer also corrects the step that led to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.level import Level
from unnoise.samplers.multistep import History
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


class Corrected(NamedTuple):
    """The corrected x at the newest level of the history."""

    x: Tensor
    history: History


@dataclass(frozen=True)
class UniPC(Sampler):
    """UniPC-p with B(h) = e^h - 1 on the denoised image (Zhao et al. 2023, algorithms 5 to 8, 'bh2').

    order: p + 1, 2 to 4. The predictor uses the last p answers; the answer at the x that it leads to corrects the step
    and serves the next prediction, so a step is one network call. As with DPM-Solver++, the history starts empty.
    """

    order: int = 3  # type: ignore[misc]

    best_grids: ClassVar[Mapping[int, str]] = {1: "angle", 50: "angle-squared"}

    def __post_init__(self) -> None:
        if self.order not in (2, 3, 4):
            raise UserError(f"UniPC has orders 2, 3 and 4, got {self.order}")

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
        denoised, history = denoiser(x, t, cond), History()
        if state is not None:
            x, history = _move(state.x, here, state.history, denoised), state.history
        history = history.with_newest(here, denoised, self.order - 1)
        return Step(_move(x, there, history, None), denoised, Corrected(x, history))


def _move(x: Tensor, there: Level, history: History, new: Denoised | None) -> Tensor:
    """x_s from x_t at the newest level of the history; with the answer at x_s, corrected."""
    scale, weights, weight_of_new = _coefficients(there, history.levels, new is not None)
    x = scale * x
    for weight, answer in zip(weights, history.answers, strict=True):
        x = torch.add(x, answer.x_0, alpha=weight)
    return x if new is None else torch.add(x, new.x_0, alpha=weight_of_new)


@lru_cache(maxsize=8192)
def _coefficients(there: Level, past: tuple[Level, ...], corrects: bool) -> tuple[float, tuple[float, ...], float]:
    """The factors of x_t, of the past denoised images (the newest first) and of the new one.

    x_s = sigma_s / sigma_t x_t + alpha_s (1 - e^-h) (D_0 + sum_i rho_i (D_i - D_0) / r_i), r_i how far D_i lies
    from t in steps of h and rho the solution of the order conditions (equation 9 of the paper).
    """
    here, factor = past[0], there.sigma / past[0].sigma
    h = there.half_log_snr - here.half_log_snr
    moved = -there.alpha * math.expm1(-h)
    # An infinite step, from alpha = 0 or to sigma = 0, has no order conditions; its limit corrects with the mean.
    usable = [i for i, p in enumerate(past) if i > 0 and math.isfinite(p.half_log_snr)] if math.isfinite(h) else []
    ratios = [(past[i].half_log_snr - here.half_log_snr) / h for i in usable]
    rhos = _rhos(h, [*ratios, 1.0] if corrects else ratios)
    weights = [0.0] * len(past)
    for i, ratio, rho in zip(usable, ratios, rhos, strict=False):
        weights[i] = moved * rho / ratio
    new = moved * rhos[-1] if corrects else 0.0
    weights[0] = moved - sum(weights) - new
    return factor, tuple(weights), new


def _rhos(h: float, ratios: list[float]) -> list[float]:
    """The rho with sum_i rho_i r_i^(k-1) = k! phi_(k+1)(-h) / phi_1(-h) for k = 1, 2, ...; 1/2 where there is one."""
    if len(ratios) < 2:
        return [0.5] * len(ratios)
    first = phi = -math.expm1(-h) / h
    sides = []
    for k in range(1, len(ratios) + 1):
        phi = (1 / math.factorial(k) - phi) / h
        sides.append(math.factorial(k) * phi / first)
    return np.linalg.solve(np.vander(ratios, increasing=True).T, np.asarray(sides)).tolist()
