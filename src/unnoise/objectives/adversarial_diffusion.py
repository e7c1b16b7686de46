"""A diffusion model that learns to draw in one call, against a discriminator that looks through its own eyes."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from unnoise.aliases import Conditions
from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.diffusion import Diffusion
from unnoise.networks.activations import Heads
from unnoise.networks.batch_part import std_over_rows
from unnoise.objectives.adversarial import GAMES, frozen
from unnoise.objectives.distillation import Distillation
from unnoise.objectives.objective import Loss, Phase
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.schedule import Schedule
from unnoise.registry import Amount, Bounds, Positive, lookup
from unnoise.samplers import Renoise
from unnoise.samplers.fewstep import noise_told
from unnoise.seeding import Noise

CALLS, START = 2, 0.75
"""Where a student begins was chosen on MNIST (docs/students.md)."""


class AdversarialDiffusion(Distillation):
    """G(x_t, t) = x_0(x_t, t) at the times that `Renoise` visits from `start` in 1 to `calls` calls, against a
    discriminator: two phases, no regression (Zheng et al. 2025; Sauer et al. 2024, latent adversarial diffusion
    distillation).

    x_t is noise alone at the first of these times and a noisy image elsewhere. The discriminator sees image and sample
    with new noise, as the network saw them before the first step: `Heads` on the activations of the frozen network,
    which alone learn. The noise level's angle atan(sigma / alpha) is uniform between `least` and `most` times a right
    angle; UserError where these are not 0 < least < most < 1. game: a name in GAMES. penalty: the weight of
    ||grad of the logits||^2 / 2 in the activations of images, R1 in that space.
    """

    teaches_scales = False

    def __init__(
        self,
        model: Diffusion,
        calls: Positive = CALLS,
        start: Annotated[float, Bounds(above=0, most=1)] = START,
        game: str = "hinge",
        penalty: Amount = 1e-3,
        channels: Positive = 64,
        least: float = 0.05,
        most: float = 0.7,
    ) -> None:
        super().__init__(model)
        if not 0 < least < most < 1:
            raise UserError(f"need 0 < objective.least < objective.most < 1, got {least} and {most}")
        self.calls, self.start = calls, start
        self.game, self.penalty, self.channels = game, penalty, channels
        self.least, self.most = least, most
        self._game = lookup(GAMES, game, "game")
        self._times = few_call_times(model.schedule, calls, start)
        self.heads = Heads(self._widths(), channels)

    def modules(self) -> dict[str, nn.Module]:
        return {**super().modules(), "heads": self.heads.to(self.model.device)}

    def phases(self) -> list[Phase]:
        self.modules()
        return [*super().phases(), Phase("discriminator", list(self.heads.parameters()), self.discriminator_loss)]

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        """The generator's."""
        cond = self.model.conditions(batch)
        with frozen(self.heads):
            logits = self.heads(self._seen(self._samples(batch, noise, cond), noise, cond))
        total = self._game.generator(logits).mean()
        return Loss(total, {"loss": total.detach()})

    def discriminator_loss(self, batch: Batch, noise: Noise) -> Loss:
        cond, image = self.model.conditions(batch), self.model.encoded(batch)
        with torch.no_grad():
            samples = self._samples(batch, noise, cond)
            real, fake = self._seen(image, noise, cond), self._seen(samples, noise, cond)
        real = [h.requires_grad_(self.penalty > 0) for h in real]
        of_real, of_fake = self.heads(real), self.heads(fake)
        loss = self._game.discriminator(of_real, of_fake).mean()
        penalty = squared_gradient(of_real, real).mean() / 2 if self.penalty else torch.zeros_like(loss)
        parts = {
            "discriminator": loss,
            "accuracy_real": (of_real > 0).float().mean(),
            "accuracy_fake": (of_fake < 0).float().mean(),
            "penalty": penalty,
            "diversity": std_over_rows(samples).mean() / std_over_rows(image).mean().clamp(min=1e-6),
        }
        return Loss(loss + self.penalty * penalty, {name: value.detach() for name, value in parts.items()})

    def _samples(self, batch: Batch, noise: Noise, cond: Conditions | None) -> Tensor:
        schedule, x_0 = self.model.schedule, self.model.encoded(batch)
        t = self._times[(noise.uniform(len(x_0)) * len(self._times)).long()]
        eps = noise.normal(x_0)
        begun = per_row(t, x_0) < self._times[0]
        alone = noise_told(schedule, self._times[0]) if self.start < 1 else schedule.prior_std
        x_t = torch.where(begun, perturb(schedule, x_0, eps, t), alone * eps)
        return self.model(x_t, t, cond).x_0

    def _seen(self, x_0: Tensor, noise: Noise, cond: Conditions | None) -> list[Tensor]:
        """The activations of x_0 with new noise."""
        schedule = self.model.schedule
        share = self.least + (self.most - self.least) * noise.uniform(len(x_0))
        t = schedule.t(-2 * (share * torch.pi / 2).tan().log())
        t = t if schedule.grid is None else t.round().clamp(1, schedule.t_max)
        return self.teacher.activations(perturb(schedule, x_0, noise.normal(x_0), t), t, cond)

    @torch.no_grad()
    def _widths(self) -> list[int]:
        """The channels of each layer's activations."""
        t = torch.tensor(self.model.schedule.t_max, dtype=torch.float64)
        x = torch.zeros(1, *self.model.codec.latent_shape)
        return [h.shape[1] for h in self.teacher.activations(x, t)]


def few_call_times(schedule: Schedule, calls: int, start: float) -> Tensor:
    """The times that `Renoise` visits from `start` in 1 to `calls` calls, falling, float64."""
    samplers = [Renoise(steps=steps, start=start) for steps in range(1, calls + 1)]
    return torch.cat([sampler.times(schedule)[:-1] for sampler in samplers]).unique().flip(0)


def squared_gradient(logits: Tensor, activations: list[Tensor]) -> Tensor:
    """||grad of the sum of a row's logits||^2 (B,), over all activations, with a graph."""
    gradients = torch.autograd.grad(logits.sum(), activations, create_graph=True)
    return torch.stack([gradient.square().flatten(1).sum(1) for gradient in gradients]).sum(0)
