"""Learning to denoise: the objective of DDPM, EDM and rectified flow alike."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.models.diffusion import Diffusion
from unnoise.models.image_model import Conditions
from unnoise.models.told import UNTOLD, Told
from unnoise.objectives.clipped import squared_errors_in_range
from unnoise.objectives.continuous_bound import refuse_learned_schedule
from unnoise.objectives.objective import Loss, Objective
from unnoise.objectives.pairing import OPTIMAL_TRANSPORT, Pairing, optimal_pairing
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.timesteps import OnGrid, TimestepDistribution, Uniform
from unnoise.process.weight import Flat, Weight
from unnoise.seeding import Noise


class Denoising(Objective):
    """E[w(t) ||target - network(x_t, t)||^2 / D], t from `timesteps`, x_t = alpha_t x_0 + sigma_t eps.

    pairing: 'independent', or 'optimal-transport': the noises of a batch are dealt out to its images so that the sum of
    squared distances is least, which makes the paths of the flow straighter (Pooladian et al. 2023; Tong et al. 2024).
    With Eps, native steps and the weight 1 this is L_simple (Ho et al. 2020, equation 14). timesteps: by default
    uniform on the native steps, or on (0, t_max] where there are none. weight: by default 1.
    clipped: the error is that of the x_0 that sampling uses, in [-1, 1] (`clipped_answer`). E[x_0 | x_t] lies there,
    so the minimum is the same, and where images are at the end of the range the network need only answer beyond it.
    """

    denoises = True

    def __init__(
        self,
        model: Diffusion,
        timesteps: TimestepDistribution | None = None,
        weight: Weight | None = None,
        pairing: Pairing = "independent",
        clipped: bool = False,
    ) -> None:
        refuse_learned_schedule(model)
        self.clipped = clipped
        self.pairing = pairing
        self._model = model
        self.timesteps = timesteps or (Uniform() if model.schedule.grid is None else OnGrid())
        self.weight = weight or Flat()
        self.timesteps.quantile(model.schedule, torch.zeros(1))  # fails here, not later, where the schedule lacks it

    @property
    def model(self) -> Diffusion:
        return self._model

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        x_0 = self.model.encoded(batch)
        t = self.timesteps.quantile(self.model.schedule, noise.uniform(len(x_0)))
        return self.loss_of(x_0, self.noise_for(x_0, noise), t, self.model.conditions(batch))

    def noise_for(self, x_0: Tensor, noise: Noise) -> Tensor:
        """The eps (B, C, H, W) that x_0 is mixed with."""
        return optimal_pairing(x_0, noise.normal(x_0)) if self.pairing == OPTIMAL_TRANSPORT else noise.normal(x_0)

    def loss_of(self, x_0: Tensor, eps: Tensor, t: Tensor, cond: Conditions | None, told: Told = UNTOLD) -> Loss:
        """The weighted error on x_t = alpha_t x_0 + sigma_t eps, for times t (B,)."""
        errors = self._squared_errors(x_0, eps, t, cond, told)
        total = (per_row(self._weights(t), errors) * errors).mean()
        return Loss(total, {"loss": total.detach()})

    def _squared_errors(self, x_0: Tensor, eps: Tensor, t: Tensor, cond: Conditions | None, told: Told) -> Tensor:
        """The mean squared error of the target, per row (B,)."""
        schedule, parametrization = self.model.schedule, self.model.parametrization
        x_t = perturb(schedule, x_0, eps, t)
        output, _ = self.model.predict(x_t, t, cond, told)
        output = output.to(x_0.dtype)
        target = parametrization.target(schedule, x_0, eps, t)
        errors = squared_errors_in_range(self.model, output, target, x_t, t) if self.clipped else (output - target) ** 2
        return errors.flatten(1).mean(1)

    def _weights(self, t: Tensor) -> Tensor:
        return self.weight(self.model.schedule, self.model.parametrization, t)
