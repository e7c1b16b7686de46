"""Rectified flow trained again on the pairs that the flow itself joins."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.data.batch import Batch
from unnoise.guidance import ClassifierFree, Clipped
from unnoise.models.cached_conditioning import CachedConditioning
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import Told
from unnoise.objectives.denoising import Denoising
from unnoise.objectives.distillation import Distillation
from unnoise.objectives.objective import Loss
from unnoise.process.timesteps import TimestepDistribution, UShaped
from unnoise.process.weight import Weight
from unnoise.registry import Count, Positive
from unnoise.samplers import IPNDM
from unnoise.samplers.grids import at_most_native
from unnoise.seeding import Noise

DRAW_STEPS = 10


class Reflow(Distillation):
    """`Denoising` on x_t = alpha_t x_0 + sigma_t eps where eps is the noise from which the teacher draws x_0 (Liu et
    al. 2023, section 2.2). Its paths cross less, so they are straighter; a straight one is walked in one step.

    On any schedule: the path is straight in the (alpha, sigma) plane, where DDIM and Euler step.
    guidance: of the teacher's samples. pairs: so many of them are drawn before the first step (`training.pairs`); 0
    draws them in every step. draw_steps: of the solver, iPNDM. timesteps: by default most at the ends. weight: by
    default 1.
    """

    def __init__(
        self,
        model: Diffusion,
        guidance: float = 1.0,
        pairs: Count = 4096,
        draw_steps: Positive = DRAW_STEPS,
        timesteps: TimestepDistribution | None = None,
        weight: Weight | None = None,
    ) -> None:
        super().__init__(model, guidance)
        self.pairs, self.draw_steps = pairs, draw_steps
        self._denoising = Denoising(model, timesteps or UShaped(), weight)
        self.timesteps, self.weight = self._denoising.timesteps, self._denoising.weight

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        cond = self.model.conditions(batch)
        t = self.timesteps.quantile(self.model.schedule, noise.uniform(len(batch)))
        if batch.noise is not None and batch.latents is not None:
            told = Told(scale=self.guidance if batch.scale is None else batch.scale)
            return self._denoising.loss_of(batch.latents, batch.noise, t, cond, told)
        told, eps = self.told(len(batch), noise), noise.normal(self.model.encoded(batch))
        x_0 = drawn(self.teacher, eps, cond, told.scale, self.draw_steps)
        return self._denoising.loss_of(x_0, eps, t, cond, told)


@torch.no_grad()
def drawn(model: Diffusion, eps: Tensor, cond: Conditions | None, guidance: float | Tensor, steps: int) -> Tensor:
    """x_0 (B, c, h, w), as the model draws it from the noise eps (B, c, h, w) in so many steps of iPNDM.

    guidance: for all rows or for each (B,); the model is asked with the condition and without, and told nothing of it.
    """
    sampler = IPNDM(steps=at_most_native(model.schedule, steps))
    guided = ClassifierFree(guidance)(model if model.conditioner is None else CachedConditioning(model))
    return sampler.run(Clipped(guided) if model.clip else guided, model.schedule.prior_std * eps, cond=cond)
