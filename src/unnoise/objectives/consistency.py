"""Consistency models: one network call from anywhere on a path of the probability flow to its end."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from unnoise.aliases import Conditions
from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import UNTOLD, Told
from unnoise.objectives.distillation import frozen_copy, replayed, teaching
from unnoise.objectives.objective import Loss, Objective
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.schedule import Schedule
from unnoise.process.timesteps import LogNormalSigma, TimestepDistribution
from unnoise.samplers.grids import GREATEST_RATIO, times
from unnoise.seeding import Noise

AMPLIFIED = 1000.0
"""The most that an error of the network may be enlarged in x_0: Eps on linear betas has 157 at x_T."""


class Consistency(Objective):
    """E[(rho_t - rho_s)^-gap_power d(f(x_t, t), f(x_s, s))], t and s neighbours on a path, rho = sigma / alpha, without
    a gradient through f(x_s, s). f(x_t, t) is the model's x_0, and f(x, 0) = x, which ties the path to its end.

    d = sqrt(||.||^2 + c^2) - c, c = 0.00054 sqrt(D). Times are Karras' grid of `intervals` intervals down to 0, which
    double every `double_every` steps up to `most_intervals`, or to as many as the schedule has native steps; with 0 at
    equal distances over the training, however long it is. timesteps: how often each interval is trained, by default
    log rho ~ N(-1.1, 2^2). All this and the average that f(x_s, s) does not take is from Song & Dhariwal 2023,
    section 3 and table 1; gap_power = 0 is the weight of Song et al. 2023.
    teacher = false: x_s has the clean image and the noise of x_t (consistency training). teacher = true: x_s is one
    step of Heun's method from x_t along the flow of the model as it was before the first step, so training has to
    start from a diffusion run, by `unnoise train --from` (consistency distillation, Song et al. 2023, algorithm 2).
    Raises UserError for a model whose f would be the network's answer enlarged beyond use, and for one that is not tied
    to f(x, 0) = x by its parametrization.
    """

    def __init__(
        self,
        model: Diffusion,
        teacher: bool = False,
        intervals: int = 10,
        most_intervals: int = 1280,
        double_every: int = 0,
        gap_power: float = 1.0,
        timesteps: TimestepDistribution | None = None,
    ) -> None:
        if not 1 <= intervals <= most_intervals or double_every < 0:
            raise UserError(
                "need 1 <= intervals <= most_intervals and double_every >= 0, got "
                f"{intervals}, {most_intervals} and {double_every}"
            )
        self._model, self.teacher = model, teacher
        self.intervals, self.most_intervals, self.double_every = intervals, most_intervals, double_every
        self.gap_power = gap_power
        self.timesteps = timesteps or LogNormalSigma(mean=-1.1, std=2.0)
        self._step, self._progress = 0, 0.0
        self._check_conditioned()
        self._teacher = frozen_copy(model) if teacher else None

    @property
    def model(self) -> Diffusion:
        return self._model

    def modules(self) -> dict[str, nn.Module]:
        if self._teacher is None:
            return {}
        return {"teacher": self._teacher.to(self.model.device)}

    def before_step(self, step: int, progress: float = 0.0) -> None:
        self._step, self._progress = step, progress
        if step == 0 and self._teacher is not None:
            self._teacher.load_state_dict(self.model.state_dict())

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        schedule, cond = self.model.schedule, self.model.conditions(batch)
        x_0 = self.model.encoded(batch)
        t, s = self.pair(noise.uniform(len(x_0)))
        eps = noise.normal(x_0)
        told = self.told(len(x_0), noise)
        drawn = Denoised(perturb(schedule, x_0, eps, t), x_0, eps, schedule=schedule, t=t)
        with torch.no_grad():
            x_s = self.neighbour(drawn, s, cond, told)
            with replayed(x_s):
                target = self.consistent(x_s, s, cond, told)
        distances = pseudo_huber(self.consistent(drawn.x_t, t, cond, told), target)
        weights = (ratio(schedule, t) - ratio(schedule, s)) ** -self.gap_power
        total = (per_row(weights, distances) * distances).mean()
        return Loss(total, {"loss": total.detach(), "intervals": torch.tensor(float(self.count()))})

    def consistent(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None, told: Told = UNTOLD) -> Tensor:
        """f(x_t, t) (B, C, H, W): where the path through x_t at time t (B,) ends; x_t itself at t = 0."""
        x_0 = self.model(x_t, _inside(t, self.model.schedule.t_max), cond, told).x_0
        return torch.where(per_row(t, x_t) > 0, x_0, x_t)

    def count(self) -> int:
        """How many intervals the path has at this step."""
        doublings = math.log2(self.most_intervals / self.intervals)
        done = self._step // self.double_every if self.double_every else int(self._progress * (doublings + 1))
        return min(self.intervals * 2 ** min(done, 30), self.most_intervals)

    def pair(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The ends t > s of the intervals that the timestep distribution's quantiles at u (B,) in [0, 1) fall into."""
        rising = path(self.model.schedule, self.count())
        right = torch.searchsorted(rising, self.timesteps.quantile(self.model.schedule, u)).clamp(1, len(rising) - 1)
        return rising[right], rising[right - 1]

    def told(self, count: int, noise: Noise) -> Told:
        """What the network is told of so many rows."""
        return UNTOLD

    def neighbour(self, drawn: Denoised, s: Tensor, cond: Conditions | None, told: Told) -> Tensor:
        """x_s (B, C, H, W) on the path through the x_t of an image and a noise."""
        if self._teacher is None:
            return drawn.lerp(self.model.schedule.alpha(s), self.model.schedule.sigma(s))
        assert drawn.t is not None
        with teaching(self._teacher, self.model.training, drawn.x_t, told) as teacher:
            return flow_step(teacher, drawn.x_t, drawn.t, s, cond)

    def _check_conditioned(self) -> None:
        rising = path(self.model.schedule, self.most_intervals)
        check_enlargement(self.model, rising[1:])
        _check_tied(self.model, rising[1])


def check_enlargement(model: Diffusion, t: Tensor) -> None:
    """Raises UserError where errors of the network's answer are enlarged beyond use in x_0 at a time of t (N,)."""
    schedule, parametrization = model.schedule, model.parametrization
    a, b = parametrization.row(schedule, t)
    sigma = schedule.sigma(t)
    worst = float((sigma / (schedule.alpha(t) * b - sigma * a)).abs().nan_to_num(math.inf).max())
    if worst > AMPLIFIED:
        raise UserError(
            f"{type(parametrization).__name__} on {schedule} enlarges the network's errors {worst:.0f} times in "
            "x_0, too much for a model that draws in one call; use a model with parametrization v, edm or x0"
        )


def _check_tied(model: Diffusion, least: Tensor) -> None:
    """Raises UserError for a model whose x_0 at the least time () of a path is mostly the network's answer: nothing
    would hold f(x, 0) = x, and training ends in an f that is the same for all x."""
    share = model.schedule.alpha(least) * model.parametrization.at_rows(model.schedule, least).x_0_of_x_t
    if float(share) < 0.5:
        raise UserError(
            f"{type(model.parametrization).__name__} is not tied to its input where there is little noise, as a "
            "consistency model has to be; use model.parametrization.kind=x0-skip, which takes the weights of x0, "
            "or v or edm"
        )


def flow_step(denoiser: Denoiser, x_t: Tensor, t: Tensor, s: Tensor, cond: Conditions | None = None) -> Tensor:
    """x_s by one step of Heun's method along the probability flow, for times s < t (B,); where s = 0, Euler's.

    The step is straight in the (alpha, sigma) plane, d x = x_0 d alpha + eps d sigma, as in `samplers.Heun`.
    """
    schedule = denoiser.schedule
    first = denoiser(x_t, t, cond)
    guess = first.lerp(schedule.alpha(s), schedule.sigma(s))
    second = denoiser(guess, _inside(s, schedule.t_max), cond)
    d_alpha, d_sigma = schedule.alpha(s) - schedule.alpha(t), schedule.sigma(s) - schedule.sigma(t)
    clean, noisy = (first.x_0 + second.x_0) / 2, (first.eps + second.eps) / 2
    corrected = x_t + per_row(d_alpha, x_t) * clean + per_row(d_sigma, x_t) * noisy
    return torch.where(per_row(s, x_t) > 0, corrected, guess)


def pseudo_huber(x: Tensor, y: Tensor) -> Tensor:
    """sqrt(||x - y||^2 + c^2) - c (B,), c = 0.00054 sqrt(D) (Song & Dhariwal 2023, section 3.3)."""
    c = 0.00054 * math.sqrt(x[0].numel())
    return ((x - y).flatten(1).square().sum(1) + c**2).sqrt() - c


@lru_cache(maxsize=64)
def path(schedule: Schedule, intervals: int) -> Tensor:
    """The rising times 0, ..., t_max of Karras' grid, float64: intervals + 1, or fewer where native steps run out and
    where their sigma / alpha lies past the grid's greatest."""
    native = intervals if schedule.grid is None else len(schedule.grid)
    rising = times(schedule, "karras", min(intervals, native)).flip(0)
    kept = rising[:-1][schedule.log_snr(rising[:-1]) > -2 * math.log(GREATEST_RATIO)]
    return torch.cat([kept, rising[-1:]])


def ratio(schedule: Schedule, t: Tensor) -> Tensor:
    """sigma / alpha, at most the grid's greatest: t_max stands for that one, however much further it lies."""
    return (schedule.sigma(t) / schedule.alpha(t)).clamp(max=GREATEST_RATIO)


def _inside(t: Tensor, otherwise: float) -> Tensor:
    """t, and another time where t = 0, at which networks are not asked: some are given log(sigma)."""
    return torch.where(t > 0, t, otherwise)
