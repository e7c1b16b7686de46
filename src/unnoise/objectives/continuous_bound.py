"""Training on the variational bound in continuous time, with the noise schedule where that is learned."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.metrics.bound import decoder_nll, prior_kl
from unnoise.metrics.grids import rising_times
from unnoise.metrics.rows import wide
from unnoise.models.diffusion import Diffusion
from unnoise.objectives.objective import Loss, Objective
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import discretised_log_prob, perturb
from unnoise.process.schedule import LearnedSchedule
from unnoise.process.variance import Continuous
from unnoise.process.weight import half_gamma_rate
from unnoise.seeding import Noise

DECODED = 8
"""One row in so many is of the first step, and estimates the decoder's term."""


class ContinuousBound(Objective):
    """KL(q(x_T|x_0) || p(x_T)) + E[-log p(x_0|x_1)] + 1/2 int gamma'(t) E ||eps - eps(x_t, t)||^2 / D dt, in nats per
    dimension, gamma = -log-SNR, t from the first step to the last (Kingma et al. 2021, equations 11 and 18).

    The times of a batch are evenly spaced from one random start, which lowers the variance (their appendix I.1).
    With `schedule.kind = learned` the bound trains gamma at both ends: the prior term reaches the last one, the decoder
    the first. Between them the bound is the same for every schedule, so there gamma's shape minimises the variance of
    the loss instead: the gradient of E[L^2], which is that of L times 2 L, row by row (appendix I.2).
    """

    denoises = True

    def __init__(self, model: Diffusion) -> None:
        self._model = model
        self._variance = Continuous()
        if isinstance(model.schedule, LearnedSchedule) and model.lora is None:
            model.schedule.requires_grad_(True)

    @property
    def model(self) -> Diffusion:
        return self._model

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        schedule, parametrization = self.model.schedule, self.model.parametrization
        x_0 = self.model.encoded(batch)
        decoded = max(1, len(x_0) // DECODED)
        first = rising_times(schedule, None)[0]
        t = torch.cat([first.expand(decoded), _even(first, schedule.t_max, len(x_0) - decoded, noise)])
        eps = noise.normal(x_0)
        weighed: list[Tensor] = []
        with self._shape_gradient(weighed):
            x_t = perturb(schedule, x_0, eps, t)
            output, _ = self.model.predict(x_t, t, self.model.conditions(batch))
            denoised = parametrization.invert(schedule, output.to(x_0.dtype), x_t, t)
            errors = wide((eps - denoised.eps)[decoded:].square().flatten(1).mean(1))
            terms = (schedule.t_max - first) * half_gamma_rate(schedule, t)[decoded:].to(errors.device) * errors
        weighed.append(torch.cat([torch.zeros(decoded).to(terms), 2 * terms.detach()]).cpu())
        decoder = self._decoder(x_0, denoised, t, decoded)
        parts = {
            "prior": prior_kl(schedule, x_0, torch.tensor(schedule.t_max, dtype=torch.float64)).mean(),
            "decoder": _mean(decoder),
            "denoising": _mean(terms),
        }
        total = sum((part.to(terms.device) for part in parts.values()), torch.zeros(()).to(terms))
        detached = {name: part.detach() for name, part in parts.items()}
        return Loss(total.float(), {"loss": total.detach(), **detached, **self._ends()})

    def _decoder(self, x_0: Tensor, denoised: Denoised, t: Tensor, count: int) -> Tensor:
        first = Denoised(denoised.x_t[:count], denoised.x_0[:count], denoised.eps[:count])
        return decoder_nll(self.model.schedule, first, self._variance, x_0[:count], t[:count], discretised_log_prob)

    def _shape_gradient(self, weighed: list[Tensor]) -> AbstractContextManager[None]:
        """The losses are known after the schedule has been asked, and before any gradient goes back."""
        schedule = self.model.schedule
        if not isinstance(schedule, LearnedSchedule):
            return nullcontext()
        return schedule.shape_gradient_times(lambda: weighed[0])

    @torch.no_grad()
    def _ends(self) -> dict[str, Tensor]:
        """gamma_0 and gamma_1, where they are learned: a log shows how they move."""
        schedule = self.model.schedule
        if not isinstance(schedule, LearnedSchedule):
            return {}
        ends = -schedule.log_snr(schedule.grid[[0, -1]])
        return {"gamma_0": ends[0], "gamma_1": ends[1]}


def _mean(terms: Tensor) -> Tensor:
    """0 of no terms: a batch of one image has none but the decoder's."""
    return terms.sum() / max(1, len(terms))


def _even(first: Tensor, last: float, count: int, noise: Noise) -> Tensor:
    """`count` times (count,) that are uniform on [first, last], each alone, and evenly spaced together."""
    u = (noise.uniform(1) + torch.arange(count) / max(1, count)) % 1
    return first + (last - first) * u


def refuse_learned_schedule(model: Diffusion) -> None:
    """Raises UserError where the schedule waits to be learned: any loss but the bound would fall fastest by a schedule
    without noise."""
    if isinstance(model.schedule, LearnedSchedule):
        raise UserError(
            "schedule.kind = learned is trained by the bound alone: --recipe vdm, or "
            "--set objective.kind=continuous-bound"
        )
