"""Training on the variational bound itself, alone or beside L_simple."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.host import sent
from unnoise.metrics.bound import decoder_nll, transition_kl
from unnoise.models.diffusion import Diffusion
from unnoise.networks.batch_part import all_rows
from unnoise.objectives.continuous_bound import refuse_learned_schedule
from unnoise.objectives.importance import LossHistory
from unnoise.objectives.objective import Loss, Objective
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import discretised_log_prob, per_row, perturb
from unnoise.process.timesteps import OnGrid
from unnoise.process.variance import Beta, Learned
from unnoise.registry import suggest
from unnoise.seeding import Noise

TIMES = ("uniform", "importance")


class Variational(Objective):
    """simple L_simple + bound L_vlb, on the native steps of a discrete schedule.

    L_vlb = T E_t[L_{t-1}] in nats per dimension: the KL of the step from t to t - 1, and at t = 1 minus the log
    probability of the discrete decoder (Ho et al. 2020, equations 5 and 13). With a learned variance it is the hybrid
    of Nichol & Dhariwal 2021 (equation 16: simple = 1, bound = 0.001), where L_vlb trains the variance alone
    (`detach_mean`); with simple = 0, bound = 1 it is the bound. Their code has L_vlb in bits: its weight of 0.001 is
    bound = 0.001 / log 2 = 0.00144 here.
    times: 'uniform', or 'importance', which draws the times whose L_{t-1} were large more often and weighs them less,
    so that the expectation stays and the noise falls (their equation 18); the losses of a step count in the next but
    one (`LossHistory`).
    """

    denoises = True

    def __init__(
        self,
        model: Diffusion,
        simple: float = 1.0,
        bound: float = 0.001,
        detach_mean: bool = True,
        times: str = "uniform",
    ) -> None:
        refuse_learned_schedule(model)
        if model.schedule.grid is None:
            raise UserError(
                f"the variational objective needs native steps, which {type(model.schedule).__name__} has not; "
                "use a *-betas schedule"
            )
        if detach_mean and not model.learned_variance:
            raise UserError("detach_mean leaves nothing to learn without model.learned_variance=true")
        if times not in TIMES:
            raise UserError(f"unknown times {times!r}; {suggest(times, TIMES)}")
        self._model, self.simple, self.bound, self.detach_mean = model, simple, bound, detach_mean
        self.times = times
        self._history = LossHistory(len(model.schedule.grid)) if times == "importance" else None
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._variance = Learned() if model.learned_variance else Beta()

    @property
    def model(self) -> Diffusion:
        return self._model

    def modules(self) -> dict[str, nn.Module]:
        return {} if self._history is None else {"loss_history": self._history}

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        schedule, parametrization = self.model.schedule, self.model.parametrization
        x_0 = self.model.encoded(batch)
        t, factor = self._draw(noise.uniform(len(x_0)))
        eps = noise.normal(x_0)
        x_t = perturb(schedule, x_0, eps, t)
        output, var_mix = self.model.predict(x_t, t, self.model.conditions(batch))
        target = parametrization.target(schedule, x_0, eps, t)
        errors = (output.to(x_0.dtype) - target).square()
        simple = (per_row(factor, errors) * errors).mean()
        kept = output.detach() if self.detach_mean else output
        denoised = parametrization.invert(schedule, kept.to(x_0.dtype), x_t, t)
        terms = self._bound_terms(x_0, replace(denoised, var_mix=var_mix), t)
        if self._history is not None:
            self._seen.append((all_rows(t), all_rows(terms.detach())))
        bound = schedule.t_max * (sent(factor, terms.device) * terms).mean()
        total = self.simple * simple + self.bound * bound
        return Loss(total, {"loss": total.detach(), "simple": simple.detach(), "bound": bound.detach()})

    def before_step(self, step: int, progress: float = 0.0) -> None:
        self._seen.clear()

    def after_step(self, step: int) -> None:
        if self._history is not None:
            self._history.record_later(*(torch.cat(parts) for parts in zip(*self._seen, strict=True)))
        self._seen.clear()

    def _draw(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The times for u (B,) and the factors that keep the expectation, both (B,) float64 on the CPU."""
        if self._history is not None:
            return self._history.draw(u)
        return OnGrid().quantile(self.model.schedule, u), torch.ones_like(u)

    def _bound_terms(self, x_0: Tensor, denoised: Denoised, t: Tensor) -> Tensor:
        """L_{t-1} of each row (B,), nats per dimension."""
        schedule, first = self.model.schedule, t == 1
        inner = torch.where(first, torch.full_like(t, 2.0), t)  # any t: these rows take the decoder's term instead
        kl = transition_kl(schedule, denoised, self._variance, x_0, inner, inner - 1)
        if not first.any():
            return kl
        which = first.nonzero().squeeze(1)
        rows = sent(which, x_0.device)
        nll = decoder_nll(schedule, _rows(denoised, rows), self._variance, x_0[rows], t[first], discretised_log_prob)
        return kl.index_copy(0, sent(which, kl.device), nll)


def _rows(denoised: Denoised, rows: Tensor) -> Denoised:
    var_mix = None if denoised.var_mix is None else denoised.var_mix[rows]
    return Denoised(denoised.x_t[rows], denoised.x_0[rows], denoised.eps[rows], var_mix)
