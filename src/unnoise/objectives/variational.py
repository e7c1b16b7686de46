"""Training on the variational bound itself, alone or beside L_simple."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.metrics.bound import decoder_nll, transition_kl
from unnoise.models.diffusion import Diffusion
from unnoise.objectives.objective import Loss, Objective
from unnoise.process.denoiser import Denoised
from unnoise.process.density import Density, OnGrid
from unnoise.process.gaussian import discretised_log_prob, perturb
from unnoise.process.variance import Beta, Learned
from unnoise.seeding import Noise


class Variational(Objective):
    """simple L_simple + bound L_vlb, on the native steps of a discrete schedule.

    L_vlb = T E_t[L_{t-1}] in nats per dimension: the KL of the step from t to t - 1, and at t = 1 minus the log
    probability of the discrete decoder (Ho et al. 2020, equations 5 and 13). With a learned variance it is the hybrid
    of Nichol & Dhariwal 2021 (equation 16: simple = 1, bound = 0.001), where L_vlb trains the variance alone
    (`detach_mean`); with simple = 0, bound = 1 it is the bound.
    """

    def __init__(
        self,
        model: Diffusion,
        simple: float = 1.0,
        bound: float = 0.001,
        detach_mean: bool = True,
    ) -> None:
        if model.schedule.grid is None:
            raise ValueError(
                f"the variational objective needs native steps, which {type(model.schedule).__name__} has not; "
                "use a *-betas schedule"
            )
        if detach_mean and not model.learned_variance:
            raise ValueError("detach_mean leaves nothing to learn without model.learned_variance=true")
        self._model, self.simple, self.bound, self.detach_mean = model, simple, bound, detach_mean
        self._density: Density = OnGrid()
        self._variance = Learned() if model.learned_variance else Beta()

    @property
    def model(self) -> Diffusion:
        return self._model

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        schedule, parametrization = self.model.schedule, self.model.parametrization
        x_0 = self.model.codec.encode(batch.image)
        t, eps = self._density.quantile(schedule, noise.uniform(len(x_0))), noise.normal(x_0)
        x_t = perturb(schedule, x_0, eps, t)
        output, var_mix = self.model.predict(x_t, t, batch.cond)
        target = parametrization.target(schedule, x_0, eps, t)
        simple = (output.to(x_0.dtype) - target).square().mean()
        kept = output.detach() if self.detach_mean else output
        denoised = parametrization.invert(schedule, kept.to(x_0.dtype), x_t, t)
        bound = schedule.t_max * self._bound_terms(x_0, replace(denoised, var_mix=var_mix), t).mean()
        total = self.simple * simple + self.bound * bound
        return Loss(total, {"loss": total.detach(), "simple": simple.detach(), "bound": bound.detach()})

    def _bound_terms(self, x_0: Tensor, denoised: Denoised, t: Tensor) -> Tensor:
        """L_{t-1} of each row (B,), nats per dimension."""
        schedule, first = self.model.schedule, t == 1
        inner = torch.where(first, torch.full_like(t, 2.0), t)  # any t: these rows take the decoder's term instead
        kl = transition_kl(schedule, denoised, self._variance, x_0, inner, inner - 1)
        if not first.any():
            return kl
        rows = first.nonzero().squeeze(1).to(x_0.device)
        nll = decoder_nll(schedule, _rows(denoised, rows), self._variance, x_0[rows], t[first], discretised_log_prob)
        return kl.index_copy(0, rows.to(kl.device), nll)


def _rows(denoised: Denoised, rows: Tensor) -> Denoised:
    var_mix = None if denoised.var_mix is None else denoised.var_mix[rows]
    return Denoised(denoised.x_t[rows], denoised.x_0[rows], denoised.eps[rows], var_mix)
