"""The variance of the reverse step p(x_s | x_t) = N(mu-tilde(x_t, x_0), exp(log_var)).

Two choices bracket the optimum: beta, that of q(x_t | x_s), is right for x_0 ~ N(0, I); beta-tilde, that of
q(x_s | x_t, x_0), is right when x_0 is known (Ho et al. 2020, section 3.2). What lies between can be learned, or
computed from the denoiser.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row, perturb, posterior, transition
from unnoise.process.schedule import Schedule
from unnoise.seeding import StepNoise


class Variance(ABC):
    """log_var(denoised, schedule, t, s): the log variance of p(x_s | x_t), s < t, broadcastable to x_t."""

    @abstractmethod
    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Beta(Variance):
    """sigma_{t|s}^2, the variance of q(x_t | x_s): beta_t on native steps."""

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        return per_row(transition(schedule, t, s)[1].log(), denoised.x_t)


@dataclass(frozen=True)
class BetaTilde(Variance):
    """The variance of q(x_s | x_t, x_0): beta-tilde_t on native steps.

    It is 0 at s = 0, where its log is taken at the pair (2t, t) instead: on native steps beta-tilde_2, as in Nichol &
    Dhariwal 2021.
    """

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        first = s == 0
        later, earlier = torch.where(first, (2 * t).clamp(max=schedule.t_max), t), torch.where(first, t, s)
        return per_row(posterior(schedule, later, earlier).var.log(), denoised.x_t)


@dataclass(frozen=True)
class Learned(Variance):
    """log var = v log beta + (1 - v) log beta-tilde, v from the network (Nichol & Dhariwal 2021, equation 15)."""

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        if denoised.var_mix is None:
            raise ValueError("this model has not learned its variance; use 'beta' or 'beta-tilde'")
        low = BetaTilde().log_var(denoised, schedule, t, s)
        return torch.lerp(low + 0 * denoised.var_mix, Beta().log_var(denoised, schedule, t, s), denoised.var_mix)


@dataclass(frozen=True)
class Analytic(Variance):
    """The optimum for a given denoiser: beta-tilde + (weight_0 sigma_t / alpha_t)^2 (1 - gamma_t)
    (Bao et al. 2022, theorem 1), gamma_t = E ||E[eps | x_t]||^2 / D.

    gammas: at the rising `times`, from `estimate_gammas`; interpolated linearly in time.
    """

    times: tuple[float, ...]
    gammas: tuple[float, ...]

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        gamma = torch.from_numpy(np.asarray(np.interp(t.numpy(), self.times, self.gammas)))
        weight_0, var = posterior(schedule, t, s)[1:]
        spread = (weight_0 * schedule.sigma(t) / schedule.alpha(t)) ** 2 * (1 - gamma).clamp(min=0)
        return per_row((var + spread).log(), denoised.x_t)


VARIANCES: dict[str, type[Variance]] = {
    "beta": Beta,
    "beta-tilde": BetaTilde,
    "learned": Learned,
    "analytic": Analytic,
}


@torch.no_grad()
def estimate_gammas(denoiser: Denoiser, x_0: Tensor, times: Sequence[float], seed: int = 0) -> Analytic:
    """The analytic variance of a denoiser: gamma_t from one noising of x_0 (B, *) per time (Bao et al. 2022, eq. 8)."""
    gammas = []
    for index, time in enumerate(sorted(times)):
        t = torch.tensor(time, dtype=torch.float64)
        x_t = perturb(denoiser.schedule, x_0, StepNoise(seed, index).normal(x_0), t)
        gammas.append(float(denoiser(x_t, t).eps.double().square().mean()))
    return Analytic(tuple(sorted(times)), tuple(gammas))
