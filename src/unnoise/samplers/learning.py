"""Times and coefficients of a solver, learnt by gradients through the solver itself.

What is learnt: when each step ends, what time the network is given there, and every coefficient of `Learned`. From
x_T alone: the target is the end of a fine trajectory of the same model, so no data are needed (S4S: Frankel et al.
2025; the time that the network is given: DyWeight, Zhao et al. 2026).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row
from unnoise.process.schedule_base import Schedule
from unnoise.samplers.learned import Learned, as_learned
from unnoise.samplers.sampler import Sampler

RATES = {"stride": 0.01, "shift": 0.01, "image": 0.003, "noise": 0.003}
"""Adam's learning rates; strides and shifts are of log(alpha / sigma)."""
BETAS = (0.9, 0.99)


def rms(x: Tensor, y: Tensor) -> Tensor:
    """The mean over rows of the root mean square difference."""
    return ((x - y).flatten(1).square().mean(1) + 1e-20).sqrt().mean()


def learn(
    denoiser: Denoiser,
    x_T: Tensor,
    ends: Tensor,
    start: Sampler,
    cond: Any = None,
    iterations: int = 300,
    checked: int = 4,
) -> Learned:
    """The coefficients, from those of `start` on, that bring x_T (B, *) nearest to `ends`, the fine trajectories' ends.

    Every `checked`-th row is left out of the gradient and decides which iteration's coefficients are kept.
    cond: a mapping of tensors with a row for each of x_T, or None.
    """
    held = torch.arange(len(x_T), device=x_T.device) % checked == 0
    fit, check = ((x_T[rows], ends[rows], _rows(cond, rows)) for rows in (~held, held))
    variables = Variables.of(as_learned(start, denoiser.schedule), denoiser.schedule)
    optimizer = torch.optim.Adam(variables.groups(), betas=BETAS)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, iterations))
    best = variables.sampler(), torch.inf
    for iteration in range(iterations + 1):
        with torch.no_grad():
            error = float(rms(variables.run(denoiser, check[0], check[2]), check[1]))
        if error < best[1] and variables.falls():
            best = variables.sampler(), error
        if iteration < iterations:
            with torch.enable_grad():
                loss = rms(variables.run(denoiser, fit[0], fit[2]), fit[1])
                for tensor, slope in zip(variables.tensors(), torch.autograd.grad(loss, variables.tensors()), strict=True):
                    tensor.grad = slope
            optimizer.step()
            decay.step()
    return best[0]


@dataclass
class Variables:
    """What is learnt: log(alpha / sigma) of the times after the first, how far from it the network is asked, and the
    two lower triangles of coefficients. float64, on the CPU."""

    schedule: Schedule
    t_max: float
    positions: Tensor
    shifts: Tensor
    image: Tensor
    noise: Tensor

    @classmethod
    def of(cls, start: Learned, schedule: Schedule) -> Variables:
        falling = start.times(schedule)[:-1]
        positions = 0.5 * schedule.log_snr(falling[1:])
        free = [positions, torch.zeros_like(positions), _tensor(start.image_weights), _tensor(start.noise_weights)]
        return cls(schedule, float(falling[0]), *(part.clone().requires_grad_(True) for part in free))

    def tensors(self) -> list[Tensor]:
        return [self.positions, self.shifts, self.image, self.noise]

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": [part], "lr": rate} for part, rate in zip(self.tensors(), RATES.values(), strict=True)]

    def run(self, denoiser: Denoiser, x: Tensor, cond: Any) -> Tensor:
        """x_0 as `sampler()` makes it, differentiable."""
        times, asked = self._times()
        alphas, sigmas = (torch.cat([f(times[1:]), end]) for f, end in ((self.schedule.alpha, ONE), (self.schedule.sigma, ZERO)))
        answers: list[Denoised] = []
        for index, t in enumerate(asked):
            new = denoiser(x, t.expand(len(x)), cond)
            x = per_row(alphas[index], x) * new.x_0 + per_row(sigmas[index], x) * new.eps
            begin = index * (index - 1) // 2
            for j, answer in enumerate(answers):
                x = x + per_row(self.image[begin + j], x) * (answer.x_0 - new.x_0)
                x = x + per_row(self.noise[begin + j], x) * (answer.eps - new.eps)
            answers.append(new)
        return x

    def falls(self) -> bool:
        """Whether the times are those of a sampler: falling, above 0."""
        times = self._times()[0].tolist()
        return all(a > b for a, b in pairwise([*times, 0.0]))

    def sampler(self) -> Learned:
        times, asked = (tuple(t.tolist()) for t in self._times())
        return Learned(len(times), times, tuple(self.image.tolist()), tuple(self.noise.tolist()), asked)

    def _times(self) -> tuple[Tensor, Tensor]:
        """The times of the steps, and those that the network is given, falling from t_max."""
        first = torch.tensor([self.t_max], dtype=torch.float64)
        ends, asked = (self.schedule.t(2 * place).clamp(max=self.t_max) for place in (self.positions, self.positions + self.shifts))
        return torch.cat([first, ends]), torch.cat([first, asked])


ONE, ZERO = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)


def _tensor(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _rows(cond: Any, rows: Tensor) -> Any:
    if cond is None:
        return None
    return {name: value[rows.to(value.device)] if isinstance(value, Tensor) else value for name, value in cond.items()}
