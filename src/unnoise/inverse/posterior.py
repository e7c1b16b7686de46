"""Posterior samplers: an unconditional Denoiser becomes that of the images which explain an observation.

y = A x_0 + noise n with n ~ N(0, I). Each method replaces x_0(x_t) = E[x_0 | x_t] by an estimate of E[x_0 | x_t, y];
any sampler then draws from (roughly) p(x_0 | y). They differ in what they take for C_t = Cov[x_0 | x_t]:

* `DDNM`: r_t^2 I, and no derivative of the denoiser: cheapest, biased even for Gaussian data.
* `PiGDM`: r_t^2 I in the solve, the denoiser's derivative outside: exact for x_0 ~ N(mu, data_std^2 I).
* `MMPS`: the denoiser's derivative in both places: exact for every Gaussian; a linear solve at each step.
* `DPS`: a number fitted to the residual: for operators with no known decomposition; biased.

None is exact for other data, nor where A is not linear: they then take A for its derivative at x_0 (Gauss and Newton).
r_t^2 = sigma_t^2 s^2 / (alpha_t^2 s^2 + sigma_t^2), with s = data_std, the data's standard deviation.
Applied to a Denoiser they give a Denoiser, so they pass for a guidance: `model.sample(seeds, guidance=DDNM(A, y))`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.guidance.score import add_score, score_scale
from unnoise.inverse.conjugate_gradients import conjugate_gradients
from unnoise.inverse.operators import Measurement, Operator
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped
from unnoise.process.gaussian import per_row
from unnoise.process.schedule import Schedule


@dataclass(frozen=True, eq=False)
class PosteriorSampler(ABC):
    """operator: A. observation: y, one row per image, or one for all. noise: its standard deviation, as of images,
    a number or one per row (B, 1, 1, 1)."""

    operator: Measurement
    observation: Tensor
    noise: float | Tensor = 0.0

    def __post_init__(self) -> None:
        if torch.as_tensor(self.noise).min() < 0:
            raise UserError(f"the standard deviation of the observation's noise is at least 0, got {self.noise}")

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return _Conditioned(denoiser, self)

    @abstractmethod
    def denoise(self, denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Conditions | None) -> Denoised:
        """The estimate of E[x_0 | x_t, y], and the noise that goes with it."""

    def mismatch(self, x_0: Tensor) -> tuple[Tensor, Operator]:
        """y - A(x_0), and the linear map that A is near x_0."""
        seen, linear = self.operator.at(x_0.detach())
        return self.observation.to(seen) - seen, linear


@dataclass(frozen=True)
class _Conditioned(Wrapped):
    method: PosteriorSampler

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        return self.method.denoise(self.denoiser, x_t, t, cond)


@dataclass(frozen=True, eq=False)
class DDNM(PosteriorSampler):
    """x_0 + r^2 A^T (r^2 A A^T + noise^2 I)^+ (y - A x_0): the part of x_0 that y shows is replaced.

    Without noise this is A^+ y + (I - A^+ A) x_0 (Wang et al. 2023, equation 13), so that A x_0 = y at every step;
    with noise the replaced part shrinks as in a Wiener filter, and the sampler's own noise stays as it is (their DDNM+
    alters both). data_std: s of r_t^2, which only matters with noise.
    """

    data_std: float = 1.0

    def denoise(self, denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Conditions | None) -> Denoised:
        denoised = denoiser(x_t, t, cond)
        r_2 = per_row(_variance(denoiser.schedule, t, self.data_std), x_t)
        residual, linear = self.mismatch(denoised.x_0)
        shift = linear.adjoint(linear.solve(residual, r_2, self.noise**2))
        return denoised.with_x0(denoised.x_0 + r_2 * shift)


@dataclass(frozen=True, eq=False)
class PiGDM(PosteriorSampler):
    """score + J^T A^T (r^2 A A^T + noise^2 I)^+ (y - A x_0), J = d x_0 / d x_t (Song et al. 2023, equations 7 and 8).

    data_std: s of r_t^2; theirs is 1. Needs the derivative of the denoiser: about 3 times its cost.
    """

    data_std: float = 1.0

    def denoise(self, denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Conditions | None) -> Denoised:
        x, denoised = _with_graph(denoiser, x_t, t, cond)
        r_2 = per_row(_variance(denoiser.schedule, t, self.data_std), x_t)
        residual, linear = self.mismatch(denoised.x_0)
        weighted = linear.solve(residual, r_2, self.noise**2)
        gradient = _transposed(denoised.x_0, x, linear.adjoint(weighted))
        return add_score(_without_graph(denoised), gradient, denoiser.schedule, t)


@dataclass(frozen=True, eq=False)
class MMPS(PosteriorSampler):
    """score + J^T A^T (A C A^T + noise^2 I)^-1 (y - A x_0), with C = sigma^2 / alpha J^T, which is Cov[x_0 | x_t]
    by Tweedie's formula (Rozet et al. 2024, section 4; Boys et al. 2023).

    iterations: of conjugate gradients, each a derivative of the denoiser. Few suffice, and stopping early regularises.
    """

    iterations: int = 3

    def denoise(self, denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Conditions | None) -> Denoised:
        x, denoised = _with_graph(denoiser, x_t, t, cond)
        residual, linear = self.mismatch(denoised.x_0)
        scale = per_row(score_scale(denoiser.schedule, t), x_t)

        def matrix(v: Tensor) -> Tensor:
            spanned = _transposed(denoised.x_0, x, linear.adjoint(v))
            return scale * linear.forward(spanned) + self.noise**2 * v

        weighted = conjugate_gradients(matrix, residual, self.iterations)
        gradient = _transposed(denoised.x_0, x, linear.adjoint(weighted))
        return add_score(_without_graph(denoised), gradient, denoiser.schedule, t)


@dataclass(frozen=True, eq=False)
class DPS(PosteriorSampler):
    """score - scale / (2 v) grad |y - A x_0(x_t)|^2, v = max(|y - A x_0|^2 / m, noise^2) with m observed numbers.

    Chung et al. 2023 (equation 16 and section 3.3) divide the gradient by the residual's norm and apply it once a step
    of DDPM; here the residual's own variance is used instead, as the likeliest v of N(y; A x_0, v I), so that the
    method is a score and works with every sampler and number of steps.
    """

    scale: float = 1.0

    def denoise(self, denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Conditions | None) -> Denoised:
        x, denoised = _with_graph(denoiser, x_t, t, cond)
        residual, linear = self.mismatch(denoised.x_0)
        power = residual.square().flatten(1).sum(1) / self.operator.count(residual).clamp(min=1)
        variance = per_row(power.clamp(min=torch.finfo(power.dtype).tiny), x_t).clamp(min=self.noise**2)
        gradient = _transposed(denoised.x_0, x, self.scale / variance * linear.adjoint(residual))
        return add_score(_without_graph(denoised), gradient, denoiser.schedule, t)


METHODS: dict[str, type[PosteriorSampler]] = {"ddnm": DDNM, "pigdm": PiGDM, "mmps": MMPS, "dps": DPS}


def _variance(schedule: Schedule, t: Tensor, std: float) -> Tensor:
    """r_t^2: the variance of x_0 given x_t if x_0 had variance std^2 and independent pixels."""
    alpha, var = schedule.alpha(t), schedule.sigma(t) ** 2
    return var * std**2 / ((alpha * std) ** 2 + var)


def _with_graph(denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Conditions | None) -> tuple[Tensor, Denoised]:
    """A leaf equal to x_t and what the denoiser makes of it, differentiable whatever the caller's mode."""
    with torch.enable_grad():
        x = x_t.detach().requires_grad_()
        return x, denoiser(x, t, cond)


def _transposed(x_0: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """J^T v, J = d x_0 / d x, row by row."""
    (product,) = torch.autograd.grad(x_0, x, v, retain_graph=True)
    return product


def _without_graph(denoised: Denoised) -> Denoised:
    mix = denoised.var_mix
    x_t, x_0, eps = denoised.x_t.detach(), denoised.x_0.detach(), denoised.eps.detach()
    return replace(denoised, x_t=x_t, x_0=x_0, eps=eps, var_mix=None if mix is None else mix.detach())
