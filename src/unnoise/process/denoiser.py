"""What a model makes of a noisy image, and what counts as such a model.

A Denoiser answers (x_t, t, cond) with a `Denoised`: the clean image and the noise that together make x_t. Guidance,
clipping and posterior sampling are Denoisers around Denoisers; samplers cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.process.gaussian import per_row
from unnoise.process.level import is_one_time
from unnoise.process.schedule_base import Schedule


@dataclass(frozen=True)
class Denoised:
    """A split of x_t into clean image and noise: x_t = alpha_t x_0 + sigma_t eps. Images (B, C, H, W) or any (B, *).

    var_mix (B, *), where a model learns its variance: the v of log var = v log beta + (1 - v) log beta-tilde
    (Nichol & Dhariwal 2021, equation 15), which holds for any pair (t, s).
    schedule and t, () or (B,), are those of x_t; without them there is no score, velocity or `with_x0`.
    """

    x_t: Tensor
    x_0: Tensor
    eps: Tensor
    var_mix: Tensor | None = None
    schedule: Schedule | None = None
    t: Tensor | None = None

    @property
    def score(self) -> Tensor:
        """The gradient of log q_t(x_t): -eps / sigma_t."""
        schedule, t = self._where()
        return -self.eps / per_row(schedule.sigma(t), self.eps)

    @property
    def velocity(self) -> Tensor:
        """d x_t / d t along the probability-flow ODE: alpha'_t x_0 + sigma'_t eps."""
        schedule, t = self._where()
        return per_row(schedule.d_alpha(t), self.x_0) * self.x_0 + per_row(schedule.d_sigma(t), self.eps) * self.eps

    def lerp(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """alpha x_0 + sigma eps: the same clean image and noise, mixed as at another time."""
        return per_row(alpha, self.x_0) * self.x_0 + per_row(sigma, self.eps) * self.eps

    def with_x0(self, x_0: Tensor) -> Denoised:
        """The same x_t with another clean image: eps = (x_t - alpha_t x_0) / sigma_t follows."""
        schedule, t = self._where()
        if is_one_time(t):
            here = schedule.at(t)
            eps = torch.sub(self.x_t, x_0, alpha=here.alpha) / here.sigma
        else:
            alpha, sigma = per_row(schedule.alpha(t), x_0), per_row(schedule.sigma(t), x_0)
            eps = (self.x_t - alpha * x_0) / sigma
        return Denoised(self.x_t, x_0, eps, self.var_mix, schedule, t)

    def _where(self) -> tuple[Schedule, Tensor]:
        if self.schedule is None or self.t is None:
            raise UserError("this Denoised was made without schedule and t, which score, velocity and with_x0 need")
        return self.schedule, self.t


class Denoiser(Protocol):
    """(x_t, t, cond) -> Denoised, for x_t (B, *), t () or (B,) float64 in (0, schedule.t_max]."""

    @property
    def schedule(self) -> Schedule: ...

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised: ...


@runtime_checkable
class TwoTimeDenoiser(Protocol):
    """A Denoiser that can be told where a step ends.

    Told of s, it answers with the x_0 and eps for which alpha_s x_0 + sigma_s eps is where the flow leads from x_t, so
    that eps - x_0 is the average velocity between the two on the straight clock u (Geng et al. 2025, equation 3; Boffi
    et al. 2024). Not told, it answers for s = t: with the velocity of the flow itself.
    """

    def towards(self, s: Tensor) -> Denoiser: ...


def towards(denoiser: Denoiser, s: Tensor) -> Denoiser:
    """The denoiser, told that the step ends at time s () or (B,); one that cannot be told is as it was."""
    return denoiser.towards(s) if isinstance(denoiser, TwoTimeDenoiser) else denoiser


@dataclass(frozen=True)
class Wrapped:
    """A Denoiser around another one, on its schedule; by itself, that one."""

    denoiser: Denoiser

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        return self.denoiser(x_t, t, cond)

    def towards(self, s: Tensor) -> Denoiser:
        """The same around denoisers that are told of s; itself where none of them can be told."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        told = {name: part.towards(s) for name, part in parts.items() if isinstance(part, TwoTimeDenoiser)}
        changed = {name: part for name, part in told.items() if part is not parts[name]}
        return cast(Denoiser, replace(self, **changed) if changed else self)


@dataclass(frozen=True)
class CountingDenoiser(Wrapped):
    """Calls `count` with the number of images of every call: what progress bars read."""

    count: Callable[[int], object]

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        self.count(len(x_t))
        return self.denoiser(x_t, t, cond)
