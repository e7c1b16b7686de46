"""A diffusion model that learns to draw in one call, against a discriminator that looks through its own eyes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unnoise.aliases import Conditions
from unnoise.data.batch import Batch
from unnoise.models.diffusion import Diffusion
from unnoise.networks.activations import Heads
from unnoise.networks.batch_part import std_over_rows
from unnoise.objectives.adversarial import GAMES, frozen
from unnoise.objectives.few_calls import CALLS, START, FewCalls, Start
from unnoise.objectives.objective import Loss, Phase
from unnoise.process.gaussian import perturb
from unnoise.registry import Amount, Positive, lookup
from unnoise.seeding import Noise


class AdversarialDiffusion(FewCalls):
    """`FewCalls` against a discriminator: two phases, no regression (Zheng et al. 2025; Sauer et al. 2024, latent
    adversarial diffusion distillation).

    The discriminator sees image and sample with new noise, as the network saw them before the first step: `Heads` on
    the activations of the frozen network, which alone learn. game: a name in GAMES. penalty: the weight of
    ||grad of the logits||^2 / 2 in the activations of images, R1 in that space.
    """

    teaches_scales = False

    def __init__(
        self,
        model: Diffusion,
        calls: Positive = CALLS,
        start: Start = START,
        game: str = "hinge",
        penalty: Amount = 1e-3,
        channels: Positive = 64,
        least: float = 0.05,
        most: float = 0.7,
    ) -> None:
        super().__init__(model, 1.0, calls, start, least, most)
        self.game, self.penalty, self.channels = game, penalty, channels
        self._game = lookup(GAMES, game, "game")
        self.heads = Heads(self._widths(), channels)

    def modules(self) -> dict[str, nn.Module]:
        return {**super().modules(), "heads": self.heads.to(self.model.device)}

    def phases(self) -> list[Phase]:
        self.modules()
        return [*super().phases(), Phase("discriminator", list(self.heads.parameters()), self.discriminator_loss)]

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        """The generator's."""
        cond, image = self.model.conditions(batch), self.model.encoded(batch)
        with frozen(self.heads):
            logits = self.heads(self._seen(self.samples(image, noise, cond), noise, cond))
        total = self._game.generator(logits).mean()
        return Loss(total, {"loss": total.detach()})

    def discriminator_loss(self, batch: Batch, noise: Noise) -> Loss:
        cond, image = self.model.conditions(batch), self.model.encoded(batch)
        with torch.no_grad():
            samples = self.samples(image, noise, cond)
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

    def _seen(self, x_0: Tensor, noise: Noise, cond: Conditions | None) -> list[Tensor]:
        """The activations of x_0 with new noise."""
        t = self.judged_at(len(x_0), noise)
        x_t = perturb(self.model.schedule, x_0, noise.normal(x_0), t)
        with self.judging(self.teacher, x_t):
            return self.teacher.activations(x_t, t, cond)

    @torch.no_grad()
    def _widths(self) -> list[int]:
        """The channels of each layer's activations."""
        t = torch.tensor(self.model.schedule.t_max, dtype=torch.float64)
        x = torch.zeros(1, *self.model.codec.latent_shape)
        return [h.shape[1] for h in self.teacher.activations(x, t)]


def squared_gradient(logits: Tensor, activations: list[Tensor]) -> Tensor:
    """||grad of the sum of a row's logits||^2 (B,), over all activations, with a graph."""
    gradients = torch.autograd.grad(logits.sum(), activations, create_graph=True)
    return torch.stack([gradient.square().flatten(1).sum(1) for gradient in gradients]).sum(0)
