"""Times and coefficients of a solver, learnt by gradients through the solver itself.

What is learnt: when each step ends, what time the network is given there, and every coefficient of `Learned`. From
x_T alone: the target is the end of a fine trajectory of the same model, so no data are needed (S4S: Frankel et al.
2025; the time that the network is given: DyWeight, Zhao et al. 2026).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row
from unnoise.process.schedule_base import Schedule
from unnoise.samplers.learned import Learned, as_learned, row_begin
from unnoise.samplers.sampler import Sampler

TIME_RATE, WEIGHT_RATE = 0.01, 0.003
"""Adam's first learning rates, of log(alpha / sigma) and of coefficients; both fall to 0 as a cosine."""
BETAS = (0.9, 0.99)


class Draws(NamedTuple):
    """x_T (B, *), the ends of their fine trajectories (B, *), and their conditions."""

    x_T: Tensor
    ends: Tensor
    cond: Conditions | None = None


def distance(x: Tensor, y: Tensor) -> Tensor:
    """The mean over rows of the root mean square difference."""
    return (x - y).flatten(1).square().mean(1).clamp(min=1e-20).sqrt().mean()


@torch.enable_grad()
def learn(denoiser: Denoiser, fit: Draws, check: Draws, start: Sampler, iterations: int = 300) -> Learned:
    """The coefficients, from those of `start` on, that lead from x_T nearest to the ends.

    Args:
        denoiser: differentiable, and not itself changed.
        fit: the draws that the gradient sees, all of them at every iteration.
        check: other draws, which decide which iteration's coefficients are returned.
        start: a deterministic sampler of one network call a step.
        iterations: of Adam; each costs about 3 steps network calls of `fit` and steps of `check`.

    Raises:
        NotApplicable: for a start that draws noise or calls the network more than once a step.
    """
    learnt = Coefficients.of(as_learned(start, denoiser.schedule), denoiser.schedule)
    best, least = learnt.sampler(), math.inf
    for _ in _descent(learnt, denoiser, fit, iterations):
        with torch.no_grad():
            error = float(distance(learnt.run(denoiser, check), check.ends))
        if error < least and learnt.falls():
            best, least = learnt.sampler(), error
    return best


def _descent(learnt: Coefficients, denoiser: Denoiser, fit: Draws, iterations: int) -> Iterator[None]:
    """Yields at the start and after every iteration."""
    times, weights = learnt.tensors()[:2], learnt.tensors()[2:]
    groups = [{"params": times, "lr": TIME_RATE}, {"params": weights, "lr": WEIGHT_RATE}]
    optimizer = torch.optim.Adam(groups, betas=BETAS)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, iterations))
    yield
    for _ in range(iterations):
        loss = distance(learnt.run(denoiser, fit), fit.ends)
        slopes = torch.autograd.grad(loss, learnt.tensors(), allow_unused=True)
        for tensor, slope in zip(learnt.tensors(), slopes, strict=True):
            tensor.grad = slope
        optimizer.step()
        decay.step()
        yield


@dataclass(frozen=True)
class Coefficients:
    """What is learnt: log(alpha / sigma) of the times after the first, how far from it the network is asked, and the
    two lower triangles of coefficients. float64, on the CPU."""

    schedule: Schedule
    positions: Tensor
    shifts: Tensor
    image: Tensor
    noise: Tensor

    @classmethod
    def of(cls, start: Learned, schedule: Schedule) -> Coefficients:
        positions = 0.5 * schedule.log_snr(start.times(schedule)[1:-1])
        weights = (torch.tensor(part, dtype=torch.float64) for part in (start.image_weights, start.noise_weights))
        free = (positions, torch.zeros_like(positions), *weights)
        return cls(schedule, *(part.clone().requires_grad_(True) for part in free))

    def tensors(self) -> list[Tensor]:
        return [self.positions, self.shifts, self.image, self.noise]

    def run(self, denoiser: Denoiser, draws: Draws) -> Tensor:
        """x_0 as `sampler()` makes it, differentiable."""
        times, network_times = self._times()
        alphas = [*self.schedule.alpha(times[1:]), torch.ones((), dtype=torch.float64)]
        sigmas = [*self.schedule.sigma(times[1:]), torch.zeros((), dtype=torch.float64)]
        x, answers = draws.x_T, list[Denoised]()
        for index, t in enumerate(network_times):
            new = denoiser(x, t.expand(len(x)), draws.cond)
            x = _scaled(alphas[index], new.x_0) + _scaled(sigmas[index], new.eps)
            for j, answer in enumerate(answers, row_begin(index)):
                x = x + _scaled(self.image[j], answer.x_0 - new.x_0) + _scaled(self.noise[j], answer.eps - new.eps)
            answers.append(new)
        return x

    def falls(self) -> bool:
        """Whether the times are those of a sampler: falling, above 0."""
        return all(a > b for a, b in pairwise([*self._times()[0].tolist(), 0.0]))

    def sampler(self) -> Learned:
        times, network_times = (tuple(t.tolist()) for t in self._times())
        return Learned(len(times), times, tuple(self.image.tolist()), tuple(self.noise.tolist()), network_times)

    def _times(self) -> tuple[Tensor, Tensor]:
        """The times of the steps, and those that the network is given; the first of both is t_max."""
        last = self.schedule.t_max
        first = torch.tensor([last], dtype=torch.float64)
        places = (self.positions, self.positions + self.shifts)
        steps, network = (self.schedule.t(2 * place).clamp(max=last) for place in places)
        return torch.cat([first, steps]), torch.cat([first, network])


def _scaled(factor: Tensor, x: Tensor) -> Tensor:
    return per_row(factor, x) * x
