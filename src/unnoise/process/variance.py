"""The variance of the reverse step p(x_s | x_t) = N(mu-tilde(x_t, x_0), exp(log_var)).

Two choices bracket the optimum: beta, that of q(x_t | x_s), is right for x_0 ~ N(0, I); beta-tilde, that of
q(x_s | x_t, x_0), is right when x_0 is known (Ho et al. 2020, section 3.2). What lies between can be learned, or
computed from the denoiser.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row, perturb, posterior, posterior_between, transition_between
from unnoise.process.level import LevelOf, Number
from unnoise.process.schedule_base import Schedule
from unnoise.seeding import StepNoise


class Variance(ABC):
    """log_var(denoised, schedule, t, s): the log variance of p(x_s | x_t), s < t, broadcastable to x_t."""

    @abstractmethod
    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor: ...

    def decoder_log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor) -> Tensor:
        """That of the discrete decoder p(x_0 | x_t) at the first step t, in L_0."""
        return self.log_var(denoised, schedule, t, torch.zeros_like(t))


class OfTime(Variance):
    """A variance that depends on the two times alone."""

    @abstractmethod
    def var(self, here: LevelOf[Number], there: LevelOf[Number]) -> Number:
        """The variance of p(x_s | x_t) from level t to level s > 0, of numbers or tensors."""

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        return per_row(self.var(schedule.at_rows(t), schedule.at_rows(s)).log(), denoised.x_t)


@dataclass(frozen=True)
class Beta(OfTime):
    """sigma_{t|s}^2, the variance of q(x_t | x_s): beta_t on native steps.

    The discrete decoder has beta-tilde's first value, beta-tilde_2 on native steps, as in the codes of Ho et al. 2020
    and Nichol & Dhariwal 2021 ('fixedlarge').
    """

    def var(self, here: LevelOf[Number], there: LevelOf[Number]) -> Number:
        return transition_between(here, there)[1]

    def decoder_log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor) -> Tensor:
        return BetaTilde().decoder_log_var(denoised, schedule, t)


@dataclass(frozen=True)
class BetaTilde(OfTime):
    """The variance of q(x_s | x_t, x_0): beta-tilde_t on native steps.

    It is 0 at s = 0. There it takes the value of the next step of an even grid, the pair (2t, t): on native steps
    beta-tilde_2, as Nichol & Dhariwal 2021 clip it. Where 2t lies past t_max it is the pair (t_max, t_max / 2).
    """

    def var(self, here: LevelOf[Number], there: LevelOf[Number]) -> Number:
        return posterior_between(here, there).var

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        first, later = s == 0, (2 * t).clamp(max=schedule.t_max)
        return super().log_var(denoised, schedule, torch.where(first, later, t), torch.where(first, later / 2, s))


@dataclass(frozen=True)
class Continuous(BetaTilde):
    """beta-tilde, as in the limit of ever more steps, where nothing else has a bound.

    The discrete decoder has (sigma_t / alpha_t)^2, that of x_0 seen in x_t alone (Kingma et al. 2021, equation 14).
    """

    def decoder_log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor) -> Tensor:
        return per_row(-schedule.log_snr(t), denoised.x_t)


@dataclass(frozen=True)
class Learned(Variance):
    """log var = v log beta + (1 - v) log beta-tilde, v from the network (Nichol & Dhariwal 2021, equation 15)."""

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        if denoised.var_mix is None:
            raise UserError("this model has not learned its variance; use 'beta' or 'beta-tilde'")
        low = BetaTilde().log_var(denoised, schedule, t, s)
        return torch.lerp(low + 0 * denoised.var_mix, Beta().log_var(denoised, schedule, t, s), denoised.var_mix)


@dataclass(frozen=True)
class Analytic(Variance):
    """The optimum for a given denoiser: beta-tilde + weight_0^2 var_0, where var_0 = (sigma_t / alpha_t)^2
    (1 - gamma_t) is the mean variance of q(x_0 | x_t), and gamma_t = E ||E[eps | x_t]||^2 / D
    (Bao et al. 2022, theorem 1).

    gammas, below 1: at the rising `times`, from `estimate_gammas`. Between them log(1 - gamma) is linear in log-SNR.
    Before the first time gamma stays as it is; after the last one var_0 does, which nears that of the data there.
    """

    times: tuple[float, ...] = field(repr=False)
    gammas: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.gammas or len(self.gammas) != len(self.times) or max(self.gammas) >= 1:
            raise UserError(f"need one gamma below 1 per time, got {len(self.gammas)} for {len(self.times)} times")

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        _, weight_0, var = posterior(schedule, t, s)
        return per_row((var + weight_0**2 * self._var_0(schedule, t)).log(), denoised.x_t)

    def _var_0(self, schedule: Schedule, t: Tensor) -> Tensor:
        known = -schedule.log_snr(torch.tensor(self.times, dtype=torch.float64)).numpy()
        noise = (-schedule.log_snr(t)).clamp(max=float(known[-1]))
        log_rest = np.interp(noise.numpy(), known, np.log1p(-np.asarray(self.gammas)))
        return torch.exp(noise + torch.as_tensor(log_rest))


VARIANCES: dict[str, type[Variance]] = {
    "beta": Beta,
    "beta-tilde": BetaTilde,
    "continuous": Continuous,
    "learned": Learned,
    "analytic": Analytic,
}


@torch.no_grad()
def estimate_gammas(
    denoiser: Denoiser, x_0: Tensor, times: Tensor | Sequence[float], seed: int = 0, cond: Conditions | None = None
) -> Analytic:
    """The analytic variance of a denoiser, from one noising of x_0 (B, *), in one batch, at each time with alpha > 0.

    gamma_t = 1 - E ||eps - E[eps | x_t]||^2 / D. For the exact denoiser that is E ||E[eps | x_t]||^2 / D, without the
    cancellation of 1 - gamma where nearly all is noise. For a trained one it makes `Analytic` the best variance around
    the mean that the denoiser does give.
    """
    rising = tuple(sorted(torch.as_tensor(times, dtype=torch.float64).tolist()))
    gammas = []
    for index, time in enumerate(rising):
        t = torch.tensor(time, dtype=torch.float64)
        eps = StepNoise(seed, index).normal(x_0)
        predicted = denoiser(perturb(denoiser.schedule, x_0, eps, t), t, cond).eps
        gammas.append(1 - max(1e-15, float((eps - predicted).double().square().mean())))
    return Analytic(rising, tuple(gammas))
