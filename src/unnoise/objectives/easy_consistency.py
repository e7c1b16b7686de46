"""Consistency tuning of a diffusion run: intervals that are long at first and tighten."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import UNTOLD, Told
from unnoise.objectives.consistency import Consistency, path, ratio
from unnoise.objectives.distillation import frozen_copy, teaching, told_scales
from unnoise.process.denoiser import Denoised
from unnoise.process.timesteps import TimestepDistribution
from unnoise.registry import Amount, Positive
from unnoise.seeding import Noise

CURVE, KNEE = 8.0, 1.0
"""k and b of n(rho) = 1 + k sigmoid(-b rho)."""


class EasyConsistency(Consistency):
    """`Consistency` without a teacher on t and s with rho_s = rho_t (1 - n(rho_t) / 2^a), rho = sigma / alpha and
    n(rho) = 1 + 8 sigmoid(-rho) (Geng et al. 2024, easy consistency tuning, section 3.2).

    a is 1 in the first of `stages` equal parts of the training and grows by one in each. In the first, s is 0 wherever
    noise is weak: the objective is that of a diffusion model, with which it begins, and f turns into the map to the end
    of the path as the intervals tighten. timesteps: by default log rho ~ N(-1.1, 2^2). gap_power: as of Consistency.
    Of a model that is told the guidance scale w, the path is the guided one of the run that the training starts from:
    (x_0, eps) + (w - 1) (D(x_t | cond) - D(x_t)) stand in place of x_0 and eps, whose mean is that of the guided model.
    """

    teaches_scales = True

    def __init__(
        self,
        model: Diffusion,
        stages: Positive = 8,
        gap_power: Amount = 1.0,
        timesteps: TimestepDistribution | None = None,
    ) -> None:
        super().__init__(model, gap_power=gap_power, timesteps=timesteps)
        if model.guidance_range is not None:
            self._teacher = frozen_copy(model)
        self.stages = stages
        self._stage = 1

    def before_step(self, step: int, progress: float = 0.0) -> None:
        super().before_step(step, progress)
        self._stage = 1 + min(int(progress * self.stages), self.stages - 1)

    def told(self, count: int, noise: Noise) -> Told:
        return told_scales(self.model, count, noise)

    def neighbour(self, drawn: Denoised, s: Tensor, cond: Conditions | None, told: Told) -> Tensor:
        schedule = self.model.schedule
        if self._teacher is None:
            return super().neighbour(drawn, s, cond, told)
        assert drawn.t is not None
        with teaching(self._teacher, self.model.training, drawn.x_t, told) as teacher:
            guided = teacher(drawn.x_t, drawn.t, cond)
        with teaching(self._teacher, self.model.training, drawn.x_t, UNTOLD) as teacher:
            plain = teacher(drawn.x_t, drawn.t, cond)
        x_0, eps = drawn.x_0 + guided.x_0 - plain.x_0, drawn.eps + guided.eps - plain.eps
        return replace(drawn, x_0=x_0, eps=eps).lerp(schedule.alpha(s), schedule.sigma(s))

    def count(self) -> int:
        """2^a: about how many intervals a path has where noise is strong."""
        return 2**self._stage

    def pair(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The times t, quantiles at u (B,), and s < t. Native steps past the greatest ratio of the weight are t_max, as
        on `path`: between two of them the weight would be infinite."""
        schedule = self.model.schedule
        t = self.timesteps.quantile(schedule, u)
        last = schedule.t_max if schedule.grid is None else float(path(schedule, len(schedule.grid))[-2])
        if schedule.grid is not None:
            t = t.round().clamp(min=1)
            t = torch.where(t > last, schedule.t_max, t)
        here = ratio(schedule, t)
        there = here * (1 - (1 + CURVE * torch.sigmoid(-KNEE * here)) / self.count())
        s = schedule.t(-2 * there.clamp(min=1e-12).log()).clamp(max=schedule.t_max)
        s = torch.where(there > 0, s, torch.zeros_like(s))
        s = s if schedule.grid is None else torch.minimum(s.round(), t - 1)
        return t, s.clamp(min=0, max=last)
