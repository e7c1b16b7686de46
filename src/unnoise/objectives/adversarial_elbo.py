"""The evidence lower bound with a discriminator of patches beside it, for autoencoders of latent diffusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.vae import VAE
from unnoise.networks.gan import Discriminator
from unnoise.objectives.adversarial import GAMES, frozen
from unnoise.objectives.elbo import Elbo
from unnoise.objectives.objective import Loss, Phase
from unnoise.seeding import Noise


class AdversarialElbo(Elbo):
    """Elbo + perceptual * feature distance - adversarial * E[D(reconstruction)] (Rombach et al. 2022, appendix G).

    D judges patches by the hinge game (Isola et al. 2017). The feature distance is taken in D's own layers, each
    position's features scaled to length 1 (Larsen et al. 2016; Zhang et al. 2018), since no pretrained network comes
    with the package. The bound blurs what it cannot know; these terms make it sharp, and the bound a little worse.
    """

    def __init__(
        self,
        model: VAE,
        beta: float = 1.0,
        free_bits: float = 0.0,
        perceptual: float = 1.0,
        adversarial: float = 0.1,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2),
        patch: int = 2,
    ) -> None:
        super().__init__(model, beta, free_bits)
        for name, value in {"perceptual": perceptual, "adversarial": adversarial}.items():
            if value < 0:
                raise UserError(f"objective.{name} must be at least 0, got {value}")
        self.perceptual, self.adversarial = perceptual, adversarial
        self.channels, self.multipliers, self.patch = channels, multipliers, patch
        sizes = {"channels": channels, "multipliers": multipliers, "patch": patch}
        self.discriminator = Discriminator(model.shape[0], model.shape[1:], **sizes, batch_std=False, patches=True)
        self._game = GAMES["hinge"]

    def phases(self) -> list[Phase]:
        self.discriminator.to(self.model.device)
        return [
            *super().phases(),
            Phase("discriminator", list(self.discriminator.parameters()), self.discriminator_loss),
        ]

    def modules(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator}

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        """The autoencoder's."""
        terms = self.model.elbo_terms(batch.image, noise)
        bound = self.bound(terms)
        with frozen(self.discriminator):
            seen = self.discriminator.features(self.model.pixels.mean(terms.output))
            true = self.discriminator.features(batch.image)
            fooled = self._game.generator(self.discriminator.judge(seen[-1])).mean()
        distance = torch.stack([_distance(a, b) for a, b in zip(seen, true, strict=True)]).mean()
        total = bound.total + self.perceptual * distance + self.adversarial * fooled
        own = {"loss": total, "perceptual": distance, "adversarial": fooled}
        return Loss(total, {**bound.parts, **{name: value.detach() for name, value in own.items()}})

    def discriminator_loss(self, batch: Batch, noise: Noise) -> Loss:
        with torch.no_grad():
            reconstruction = self.model.pixels.mean(self.model.elbo_terms(batch.image, noise).output)
        real, fake = self.discriminator(batch.image), self.discriminator(reconstruction)
        total = self._game.discriminator(real, fake).mean()
        parts = {
            "discriminator": total.detach(),
            "accuracy_real": (real > 0).float().mean(),
            "accuracy_fake": (fake < 0).float().mean(),
        }
        return Loss(total, parts)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean over positions of ||a / |a| - b / |b|||^2, over the channels."""
    a, b = (F.normalize(h.float(), dim=1) for h in (a, b))
    return (a - b).square().sum(1).mean()
