"""What the network predicts. Every prediction type is one linear target `a_t x_0 + b_t eps`.

A parametrization is a row (a_t, b_t); with x_t = alpha_t x_0 + sigma_t eps it makes a 2x2 system whose determinant is
alpha b - sigma a, so the target and its inverse are written once, for all of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Generic, NamedTuple

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import per_row, posterior
from unnoise.process.level import Number, is_one_time, mix
from unnoise.process.schedule_base import Schedule, Time

Row = tuple[Tensor, Tensor]


class Parametrization(ABC):
    """A linear prediction target, and what the network is given of the noise level. t: () or (B,), float64."""

    level_span: ClassVar[float] = 1000.0
    """How wide the range of noise levels is."""

    @abstractmethod
    def row(self, schedule: Schedule, t: Tensor) -> Row:
        """(a_t, b_t) of the target a_t x_0 + b_t eps."""

    def input_scale(self, schedule: Schedule, t: Tensor) -> Tensor:
        """c_in: what x_t is multiplied by before the network; it gives data of unit variance unit variance."""
        return (schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2).rsqrt()

    def noise_level(self, schedule: Schedule, t: Tensor) -> Tensor:
        """What the network's time features are made from: time on a scale of 0 to 1000."""
        return schedule.network_time(t)

    def target(self, schedule: Schedule, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """a_t x_0 + b_t eps: what the network should answer."""
        a, b = self.row(schedule, t)
        return per_row(a, x_0) * x_0 + per_row(b, eps) * eps

    def at(self, schedule: Schedule, t: Time) -> Coefficients[float]:
        """The coefficients of one time for a whole batch, computed once: a number, or () on the CPU."""
        return _numbers(self, schedule, float(t))

    def at_rows(self, schedule: Schedule, t: Tensor) -> Coefficients[Tensor]:
        """The coefficients of a time per row, (B,): the inverse of the 2x2 system, and what the network is given."""
        a, b = self.row(schedule, t)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        determinant = alpha * b - sigma * a
        inverse = b / determinant, sigma / determinant, alpha / determinant, a / determinant
        return Coefficients(self.input_scale(schedule, t), self.noise_level(schedule, t), *inverse)

    def invert(self, schedule: Schedule, output: Tensor, x_t: Tensor, t: Tensor) -> Denoised:
        """The (x_0, eps) for which `target` is `output` and x_t is x_t: the inverse of the 2x2 system."""
        if is_one_time(t):
            c = self.at(schedule, t)
            x_0, eps = (
                mix(c.x_0_of_x_t, x_t, -c.x_0_of_output, output),
                mix(c.eps_of_output, output, -c.eps_of_x_t, x_t),
            )
        else:
            c = Coefficients(*(per_row(value, x_t) for value in self.at_rows(schedule, t)))
            x_0, eps = c.x_0_of_x_t * x_t - c.x_0_of_output * output, c.eps_of_output * output - c.eps_of_x_t * x_t
        return Denoised(x_t, x_0, eps, schedule=schedule, t=t)


class Coefficients(NamedTuple, Generic[Number]):
    """What stands before and behind a network at one noise level.

    It sees input_scale x_t and noise_level, and of its output x_0 = x_0_of_x_t x_t - x_0_of_output output and
    eps = eps_of_output output - eps_of_x_t x_t.
    """

    input_scale: Number
    noise_level: Number
    x_0_of_x_t: Number
    x_0_of_output: Number
    eps_of_output: Number
    eps_of_x_t: Number


@lru_cache(maxsize=8192)
def _numbers(parametrization: Parametrization, schedule: Schedule, t: float) -> Coefficients[float]:
    found = parametrization.at_rows(schedule, torch.tensor(t, dtype=torch.float64))
    scale, *others = (float(value) for value in found)
    return Coefficients(1.0 if math.isclose(scale, 1, rel_tol=1e-12) else scale, *others)  # 1: variance is preserved


@dataclass(frozen=True)
class X0(Parametrization):
    """The clean image: (1, 0)."""

    def row(self, schedule: Schedule, t: Tensor) -> Row:
        return torch.ones_like(t), torch.zeros_like(t)


@dataclass(frozen=True)
class X0Skip(Parametrization):
    """x_0 = c x_t / alpha + (1 - c) output with c = 1 / (1 + (rho / skip)^2), rho = sigma / alpha: (1, -skip^2 / rho).

    A network that predicts x_0, tied to its input where there is little noise, as a consistency model has to be (Song
    et al. 2023, section 3: f(x, 0) = x). An `X0` network with this is nearly what it was where rho >> skip.
    """

    skip: float = 0.1

    def row(self, schedule: Schedule, t: Tensor) -> Row:
        return torch.ones_like(t), -(self.skip**2) * schedule.alpha(t) / schedule.sigma(t)


@dataclass(frozen=True)
class Eps(Parametrization):
    """The noise: (0, 1) (Ho et al. 2020, equation 11)."""

    def row(self, schedule: Schedule, t: Tensor) -> Row:
        return torch.zeros_like(t), torch.ones_like(t)


@dataclass(frozen=True)
class Mean(Parametrization):
    """The mean of q(x_{t-1} | x_t, x_0), on the native steps of a discrete schedule (Ho et al. 2020, equation 8)."""

    def row(self, schedule: Schedule, t: Tensor) -> Row:
        if schedule.grid is None:
            raise UserError(f"the posterior mean needs native steps 1..T, which {type(schedule).__name__} has not")
        weight_t, weight_0, _ = posterior(schedule, t, t - 1)
        return weight_t * schedule.alpha(t) + weight_0, weight_t * schedule.sigma(t)


@dataclass(frozen=True)
class V(Parametrization):
    """v = alpha eps - sigma x_0: (-sigma, alpha) (Salimans & Ho 2022, appendix D)."""

    def row(self, schedule: Schedule, t: Tensor) -> Row:
        return -schedule.sigma(t), schedule.alpha(t)


@dataclass(frozen=True)
class Velocity(Parametrization):
    """d x_t / d t = alpha' x_0 + sigma' eps; on the straight schedule eps - x_0 (Lipman et al. 2022)."""

    def row(self, schedule: Schedule, t: Tensor) -> Row:
        return schedule.d_alpha(t), schedule.d_sigma(t)


@dataclass(frozen=True)
class EDM(Parametrization):
    """The preconditioned target of Karras et al. 2022 (table 1): D(x) = c_skip x + c_out F(c_in x; c_noise).

    (a, b) = ((1 - c_skip alpha) / c_out, -c_skip sigma / c_out): unit variance at every t for data of standard
    deviation `sigma_data`. With s^2 = sigma^2 + alpha^2 sigma_data^2: c_skip = alpha sigma_data^2 / s^2,
    c_out = sigma sigma_data / s, c_in = 1 / s, c_noise = log(sigma / alpha) / 4; on VE these are the paper's.
    """

    sigma_data: float = 0.5

    level_span: ClassVar[float] = 4.0

    def row(self, schedule: Schedule, t: Tensor) -> Row:
        alpha, sigma, c_in = schedule.alpha(t), schedule.sigma(t), self.input_scale(schedule, t)
        # (1 - c_skip alpha) / c_out and -c_skip sigma / c_out with the common factors cancelled: finite at sigma = 0.
        return sigma * c_in / self.sigma_data, -alpha * self.sigma_data * c_in

    def input_scale(self, schedule: Schedule, t: Tensor) -> Tensor:
        return (schedule.sigma(t) ** 2 + (schedule.alpha(t) * self.sigma_data) ** 2).rsqrt()

    def noise_level(self, schedule: Schedule, t: Tensor) -> Tensor:
        return -schedule.log_snr(t) / 8


PARAMETRIZATIONS: dict[str, type[Parametrization]] = {
    "x0": X0,
    "x0-skip": X0Skip,
    "eps": Eps,
    "mean": Mean,
    "v": V,
    "velocity": Velocity,
    "edm": EDM,
}
