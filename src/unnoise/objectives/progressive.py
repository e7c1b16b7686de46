"""Progressive distillation: half as many steps of DDIM, again and again."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unnoise.aliases import Conditions
from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import UNTOLD, Told
from unnoise.objectives.distillation import Distillation
from unnoise.objectives.objective import Loss
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.schedule import Schedule
from unnoise.registry import Positive
from unnoise.samplers.grids import times
from unnoise.seeding import Noise

LAST_CALLS = 2


class Progressive(Distillation):
    """E[max(alpha_t^2 / sigma_t^2, 1) ||x-tilde - x_0(x_t, t)||^2 / D]: a step of DDIM from t to s = t - 1/N is to end
    where two of the teacher's end, which fixes the x-tilde it has to see (Salimans & Ho 2022, algorithm 2).

    N is `first` in the first stage, half as many in each that follows, and `calls` in the last; stages share the
    training evenly. Each begins with the student of the one before as its teacher, its weights as they are. Times:
    'trailing'. guidance: of the first teacher. Raises UserError where `first` is not `calls` times a power of two.
    """

    def __init__(
        self, model: Diffusion, first: Positive = 16, calls: Positive = LAST_CALLS, guidance: float = 1.0
    ) -> None:
        super().__init__(model, guidance)
        self.first, self.calls = first, calls
        halvings = math.log2(first / calls)
        if halvings < 0 or halvings != int(halvings):
            raise UserError(f"objective.first must be objective.calls times a power of two; got {first} and {calls}")
        self._stages = int(halvings) + 1
        self._stage = Stage()

    def modules(self) -> dict[str, nn.Module]:
        return {**super().modules(), "stage": self._stage}

    def before_step(self, step: int, progress: float = 0.0) -> None:
        super().before_step(step)
        due = min(int(progress * self._stages), self._stages - 1)
        if due > int(self._stage.number):
            self.teacher.load_state_dict(self.model.state_dict())
            self._stage.number.fill_(due)

    @property
    def steps(self) -> int:
        """N, in this stage."""
        return self.first // 2 ** int(self._stage.number)

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        schedule, cond = self.model.schedule, self.model.conditions(batch)
        x_0 = self.model.encoded(batch)
        falling = times(schedule, "trailing", 2 * self.steps)
        row = 2 * (noise.uniform(len(x_0)) * self.steps).long()
        t, middle, s = (falling[row + later] for later in range(3))
        eps = noise.normal(x_0)
        # At t_max a model is asked about noise alone when it draws.
        drawn = torch.where(per_row(t, x_0) < schedule.t_max, perturb(schedule, x_0, eps, t), schedule.prior_std * eps)
        told = self.told(len(x_0), noise)
        target = self._two_steps(drawn, t, middle, s, cond, told)
        errors = (self.model(drawn, t, cond, told).x_0 - target).square().flatten(1).mean(1)
        weights = schedule.log_snr(t).exp().clamp(min=1)
        total = (per_row(weights, errors) * errors).mean()
        return Loss(total, {"loss": total.detach(), "steps": torch.tensor(float(self.steps))})

    @torch.no_grad()
    def _two_steps(
        self, x_t: Tensor, t: Tensor, middle: Tensor, s: Tensor, cond: Conditions | None, told: Told = UNTOLD
    ) -> Tensor:
        """x-tilde (B, c, h, w): what x_0 has to be for one step from t to s to end where the teacher's two do."""
        schedule = self.model.schedule
        with self.teaching(x_t, told, guided=int(self._stage.number) == 0) as teacher:
            half = teacher(x_t, t, cond).lerp(schedule.alpha(middle), schedule.sigma(middle))
            x_s = teacher(half, middle, cond).lerp(schedule.alpha(s), schedule.sigma(s))
        return seen_at_once(schedule, x_t, x_s, t, s)


class Stage(nn.Module):
    """Which stage a training is in, saved with it."""

    number: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("number", torch.zeros((), dtype=torch.int64))


def seen_at_once(schedule: Schedule, x_t: Tensor, x_s: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The x_0 with which DDIM leads from x_t to x_s: (x_s - r x_t) / (alpha_s - r alpha_t), r = sigma_s / sigma_t."""
    ratio = schedule.sigma(s) / schedule.sigma(t)
    return (x_s - per_row(ratio, x_t) * x_t) / per_row(schedule.alpha(s) - ratio * schedule.alpha(t), x_t)
