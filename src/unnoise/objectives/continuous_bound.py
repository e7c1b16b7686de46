"""Training on the variational bound in continuous time, with the noise schedule where that is learned."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.host import sent
from unnoise.metrics.bound import decoder_nll, prior_kl
from unnoise.metrics.grids import rising_times
from unnoise.metrics.rows import wide
from unnoise.models.diffusion import Diffusion
from unnoise.objectives.objective import Loss, Objective
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import discretised_log_prob, perturb
from unnoise.process.schedule import LearnedSchedule, Schedule
from unnoise.process.variance import Continuous
from unnoise.process.weight import half_gamma_rate
from unnoise.seeding import Noise, of_batch

DECODED = 8
"""One row in so many is of the first step, and estimates the decoder's term."""


class ContinuousBound(Objective):
    """KL(q(x_T|x_0) || p(x_T)) + E[-log p(x_0|x_1)] + 1/2 int gamma'(t) E ||eps - eps(x_t, t)||^2 / D dt, in nats per
    dimension, gamma = -log-SNR, t from the first step to the last (Kingma et al. 2021, equations 11 and 18).

    The times of a batch are evenly spaced from one random start, which lowers the variance (their appendix I.1). A part
    of a batch has its rows' times, and as much of the loss as its share of the batch makes the batch's.
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
        first = rising_times(schedule, None)[0]
        whole, rows, size = of_batch(noise, len(x_0))
        of_decoder = max(1, size // DECODED)
        t = torch.cat([first.expand(of_decoder), _even(first, schedule.t_max, size - of_decoder, whole)])
        t = sent(t[rows.start : rows.stop], _device(schedule))
        decoded = min(max(0, of_decoder - rows.start), len(rows))
        share = size / len(rows)
        eps = noise.normal(x_0)
        weighed: list[Tensor] = []
        with self._shape_gradient(weighed):
            x_t = perturb(schedule, x_0, eps, t)
            output, _ = self.model.predict(x_t, t, self.model.conditions(batch))
            denoised = parametrization.invert(schedule, output.to(x_0.dtype), x_t, t)
            errors = wide((eps - denoised.eps)[decoded:].square().flatten(1).mean(1))
            terms = (schedule.t_max - first) * sent(half_gamma_rate(schedule, t)[decoded:], errors.device) * errors
        if isinstance(schedule, LearnedSchedule):
            weighed.append(torch.cat([terms.new_zeros(decoded), 2 * terms.detach()]).to(t.device))
        decoder = self._decoder(x_0, denoised, t, decoded)
        parts = {
            "prior": prior_kl(schedule, x_0, torch.full_like(t[0], schedule.t_max)).mean(),
            "decoder": share * decoder.sum() / of_decoder,
            "denoising": share * terms.sum() / max(1, size - of_decoder),
        }
        total = sum((part.to(terms.device) for part in parts.values()), terms.new_zeros(()))
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
        ends = -schedule.log_snr(torch.linspace(1, schedule.T, 2, dtype=torch.float64, device=schedule.device))
        return {"gamma_0": ends[0], "gamma_1": ends[1]}


def _device(schedule: Schedule) -> torch.device:
    """Where times lie, so that nothing of the schedule is waited for."""
    return schedule.device if isinstance(schedule, LearnedSchedule) else torch.device("cpu")


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
