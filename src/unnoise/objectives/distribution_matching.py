"""A student whose samples are to be distributed as its teacher's, by the scores of both."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from unnoise.aliases import Conditions
from unnoise.data.batch import Batch
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import UNTOLD, Told
from unnoise.networks.batch_part import rows_now
from unnoise.objectives.distillation import frozen_copy
from unnoise.objectives.few_calls import CALLS, START, FewCalls, Start
from unnoise.objectives.objective import Loss, Phase
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.weight import P2
from unnoise.registry import Bounds, Positive
from unnoise.seeding import Noise

LEAST_ERROR = 1e-3
"""Of the teacher, by which a gradient is divided."""


class DistributionMatching(FewCalls):
    """`FewCalls` by the gradient of KL(p_student || p_teacher) between noisy samples x_t (Yin et al. 2024, distribution
    matching distillation, equations 7 and 8; Luo et al. 2023, Diff-Instruct): two phases, no images.

    A sample x moves by (x_0(x_t) of its own - x_0(x_t) of the teacher) / mean |x - x_0(x_t) of the teacher|. Whose own
    these are: a copy of the teacher that goes on learning to denoise, on what the student drew in this step, in
    `updates` steps for each of the student's (Yin et al. 2024b, section 4.2, two time scales) at `rate` times its
    learning rate.
    guidance: as of `Distillation`; the copy is told the scale, and the teacher is guided.
    """

    def __init__(
        self,
        model: Diffusion,
        guidance: float = 1.0,
        calls: Positive = CALLS,
        start: Start = START,
        updates: Positive = 2,
        rate: Annotated[float, Bounds(above=0)] = 6.0,
        least: float = 0.04,
        most: float = 0.98,
    ) -> None:
        super().__init__(model, guidance, calls, start, least, most)
        self.updates, self.rate = updates, rate
        self._own = frozen_copy(model).requires_grad_(True)
        self._weight = P2()
        self._drawn: dict[tuple[int, int] | None, tuple[Tensor, Told]] = {}

    def modules(self) -> dict[str, nn.Module]:
        return {**super().modules(), "own": self._own.to(self.model.device)}

    def phases(self) -> list[Phase]:
        self.modules()
        own = Phase("own", list(self._own.parameters()), self.own_loss, self.updates, self.rate)
        return [*super().phases(), own]

    def before_step(self, step: int, progress: float = 0.0) -> None:
        super().before_step(step, progress)
        self._drawn.clear()
        if step == 0:
            self._own.load_state_dict(self.teacher.state_dict())

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        """The student's."""
        cond, image = self.model.conditions(batch), self.model.encoded(batch)
        told = self.told(len(image), noise)
        drawn = self.samples(image, noise, cond, told)
        self._drawn[rows_now()] = drawn.detach(), told
        t = self.judged_at(len(image), noise)
        x_t = perturb(self.model.schedule, drawn.detach(), noise.normal(image), t)
        towards = self.gradient(drawn.detach(), x_t, t, cond, told)
        # Half the squared distance to a fixed point one gradient away, whose derivative is that gradient.
        total = ((drawn - (drawn.detach() - towards)).square() / 2).mean()
        return Loss(total, {"loss": total.detach()})

    @torch.no_grad()
    def gradient(self, drawn: Tensor, x_t: Tensor, t: Tensor, cond: Conditions | None, told: Told) -> Tensor:
        """By which the samples `drawn` (B, c, h, w) move; x_t are the same with noise, t (B,)."""
        with self.teaching(x_t, told) as teacher:
            known = teacher(x_t, t, cond).x_0
        with self.judging(self._own, x_t):
            own = self._own(x_t, t, cond, told).x_0
        size = (drawn - known).abs().flatten(1).mean(1).clamp(min=LEAST_ERROR)
        return (own - known) / per_row(size, drawn)

    def own_loss(self, batch: Batch, noise: Noise) -> Loss:
        """Of the copy that follows the student: `Denoising` on its samples, with the weight `P2`."""
        schedule = self.model.schedule
        cond, image = self.model.conditions(batch), self.model.encoded(batch)
        drawn, told = self._drawn_before(image, noise, cond)
        t, eps = self.judged_at(len(image), noise), noise.normal(image)
        parametrization = self.model.parametrization
        with self.judging(self._own, drawn):
            output, _ = self._own.predict(perturb(schedule, drawn, eps, t), t, cond, told)
        errors = (output - parametrization.target(schedule, drawn, eps, t)).square().flatten(1).mean(1)
        total = (per_row(self._weight(schedule, parametrization, t), errors) * errors).mean()
        return Loss(total, {"own": total.detach()})

    @torch.no_grad()
    def _drawn_before(self, image: Tensor, noise: Noise, cond: Conditions | None) -> tuple[Tensor, Told]:
        """What the student drew of these rows in this step, and was told; drawn now where it did not."""
        drawn, told = self._drawn.get(rows_now(), (None, UNTOLD))
        if drawn is not None and len(drawn) == len(image):
            return drawn, told
        told = self.told(len(image), noise)
        return self.samples(image, noise, cond, told), told
