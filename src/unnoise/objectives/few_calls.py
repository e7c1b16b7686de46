"""Students that draw in a few calls, at the times of `Renoise`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import UNTOLD, Told
from unnoise.objectives.distillation import Distillation, replayed
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.schedule import Schedule
from unnoise.registry import Bounds
from unnoise.samplers import Renoise
from unnoise.samplers.fewstep import noise_told
from unnoise.samplers.grids import at_shares
from unnoise.seeding import Noise

CALLS, START = 2, 0.7
"""Where a student begins was chosen on MNIST (docs/students.md)."""
Start = Annotated[float, Bounds(above=0, most=1)]


class FewCalls(Distillation):
    """G(x_t, t) = x_0(x_t, t) at the times that `Renoise` visits from `start` in 1 to `calls` calls: x_t is noise alone
    at the first of these times, and elsewhere what the student itself has drawn until then, with noise (Yin et al.
    2024b, section 4.5, backward simulation). So it corrects its own errors, and no image is needed.

    What is drawn is what sampling would draw, in range: a background of -1 is then clean where the answer lies
    below, and moves no further. It is judged with new noise, at angles atan(sigma / alpha) that are uniform between
    `least` and `most` times a right angle; UserError where these are not 0 < least < most < 1. All that judge drop
    the conditions that the student drops.
    """

    def __init__(self, model: Diffusion, guidance: float, calls: int, start: float, least: float, most: float) -> None:
        super().__init__(model, guidance)
        if not 0 < least < most < 1:
            raise UserError(f"need 0 < objective.least < objective.most < 1, got {least} and {most}")
        self.calls, self.start, self.least, self.most = calls, start, least, most
        self._paths = few_call_paths(model.schedule, calls, start)

    def samples(self, like: Tensor, noise: Noise, cond: Conditions | None, told: Told = UNTOLD) -> Tensor:
        """What the student draws in one call, (B, c, h, w), at one of its times for each row; in shape as `like`."""
        schedule, paths = self.model.schedule, self._paths
        times = paths[(noise.uniform(len(like)) * len(paths)).long()].T
        alone = noise_told(schedule, paths[0, 0]) if self.start < 1 else schedule.prior_std
        x = alone * noise.normal(like)
        for t, s in pairwise(times):
            with torch.no_grad():
                later = perturb(schedule, self._drawn_at(x, t, cond, told), noise.normal(like), s)
            x = torch.where(per_row(s, x) < paths[0, 0], later, x)
        return self._drawn_at(x, times[-1], cond, told)

    def _drawn_at(self, x: Tensor, t: Tensor, cond: Conditions | None, told: Told) -> Tensor:
        with replayed(x):
            return self.model.in_range(self.model(x, t, cond, told).x_0)

    @contextmanager
    def judging(self, judge: Diffusion, x: Tensor) -> Iterator[None]:
        """Within, a copy of the model that is called with as many rows drops the conditions that `samples` drops."""
        if judge.conditioner is not None:
            judge.conditioner.train(self.model.training)
        with replayed(x):
            yield

    def judged_at(self, count: int, noise: Noise) -> Tensor:
        """The times (count,) at which what was drawn is judged, native where the schedule has native steps."""
        schedule = self.model.schedule
        t = at_shares(schedule, self.least + (self.most - self.least) * noise.uniform(count))
        return t if schedule.grid is None else t.round().clamp(1, schedule.t_max)


def few_call_paths(schedule: Schedule, calls: int, start: float) -> Tensor:
    """For each time that `Renoise` visits from `start` in 1 to `calls` calls, falling: those on the way there, and it,
    (J, calls) float64. Shorter ones wait at the first. Each is there as often as it has calls: what the last call
    makes is what is seen, and the earlier ones have less to be exact in."""
    found: dict[float, list[list[float]]] = {}
    for steps in range(1, calls + 1):
        visited = Renoise(steps=steps, start=start).times(schedule)[:-1].tolist()
        for index, t in enumerate(visited):
            way = [visited[0]] * (calls - index - 1) + visited[: index + 1]
            found.setdefault(t, [way] * (index + 1))
    return torch.tensor([way for t in sorted(found, reverse=True) for way in found[t]], dtype=torch.float64)
