"""Learning against a discriminator, which is thrown away afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.gan import GAN
from unnoise.networks.batch_part import std_over_rows
from unnoise.networks.gan import Discriminator
from unnoise.objectives.objective import Loss, Objective, Phase
from unnoise.process.gaussian import per_row
from unnoise.registry import lookup
from unnoise.seeding import Noise


class Game(NamedTuple):
    """What both players minimise, of logits (B,). D = sigmoid(logit).

    discriminator: of (real, fake), elementwise. generator: of fake, elementwise.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z)))."""
    return F.softplus(-real) + F.softplus(fake)


GAMES: dict[str, Game] = {
    "minimax": Game(cross_entropy, lambda fake: -F.softplus(fake)),  # log(1 - D): Goodfellow et al. 2014, equation 1
    "non-saturating": Game(cross_entropy, lambda fake: F.softplus(-fake)),  # -log D: the same paper, section 3
    "hinge": Game(lambda real, fake: F.relu(1 - real) + F.relu(1 + fake), torch.neg),  # Lim & Ye 2017
    "wasserstein": Game(lambda real, fake: fake - real, torch.neg),  # Arjovsky et al. 2017
}

Penalty = Callable[[nn.Module, Tensor, Tensor, Noise], Tensor]


def no_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
    """0."""
    return torch.zeros((), device=real.device)


def r1(discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
    """E ||grad D(x)||^2 / 2 on data (Mescheder et al. 2018, equation 9)."""
    return _squared_gradient(discriminator, real).mean() / 2


def gradient_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
    """E (||grad D|| - 1)^2 on random points between data and samples (Gulrajani et al. 2017, equation 3)."""
    between = torch.lerp(real, fake, per_row(noise.uniform(len(real)), real))
    return ((_squared_gradient(discriminator, between) + 1e-12).sqrt() - 1).square().mean()


PENALTIES: dict[str, Penalty] = {"none": no_penalty, "r1": r1, "gradient": gradient_penalty}

COLLAPSED = 0.2
"""Of the diversity, below which a warning is due."""
WON = 0.98
VANISHED = 1e-2
"""Of the ratio of gradient norms, below which a warning is due when the discriminator has won."""


class Adversarial(Objective):
    """Two phases: the generator against the discriminator, and the discriminator against data and samples.

    game: a name in GAMES; penalty: a name in PENALTIES, times penalty_weight; the rest describes the discriminator
    (`networks.gan`). The parts say how the game stands: the fraction of data (accuracy_real) and of samples
    (accuracy_fake) that the discriminator tells for what they are, and the penalty. Near 1 and 1 it has won, and the
    minimax generator learns nothing any more; near 1/2 they are level. diversity: how much samples vary from image to
    image, relative to data; a collapsed generator draws one picture, and its diversity is near 0.
    """

    def __init__(
        self,
        model: GAN,
        game: str = "non-saturating",
        penalty: str = "r1",
        penalty_weight: float = 1.0,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 4),
        patch: int = 2,
        batch_std: bool = True,
        spectral: bool = False,
    ) -> None:
        self._model, self.game, self.penalty, self.penalty_weight = model, game, penalty, penalty_weight
        self.channels, self.multipliers, self.patch = channels, multipliers, patch
        self.batch_std, self.spectral = batch_std, spectral
        self._game, self._penalty = lookup(GAMES, game, "game"), lookup(PENALTIES, penalty, "penalty")
        if penalty_weight < 0:
            raise UserError(f"objective.penalty_weight must be at least 0, got {penalty_weight}")
        self.discriminator = Discriminator(
            model.shape[0],
            model.shape[1:],
            channels=channels,
            multipliers=multipliers,
            patch=patch,
            batch_std=batch_std,
            spectral=spectral,
        )

    @property
    def model(self) -> GAN:
        return self._model

    def phases(self) -> list[Phase]:
        self.discriminator.to(self.model.device)
        return [
            Phase("generator", list(self.model.parameters()), self.loss),
            Phase("discriminator", list(self.discriminator.parameters()), self.discriminator_loss),
        ]

    def modules(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator}

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        """The generator's."""
        with frozen(self.discriminator):
            logits = self.discriminator(self._samples(batch, noise))
        total = self._game.generator(logits).mean()
        return Loss(total, {"loss": total.detach()})

    def discriminator_loss(self, batch: Batch, noise: Noise) -> Loss:
        with torch.no_grad():
            samples = self._samples(batch, noise)
        real, fake = self.discriminator(batch.image), self.discriminator(samples)
        penalty = self._penalty(self.discriminator, batch.image, samples, noise)
        loss = self._game.discriminator(real, fake).mean()
        parts = {
            "discriminator": loss,
            "accuracy_real": (real > 0).float().mean(),
            "accuracy_fake": (fake < 0).float().mean(),
            "penalty": penalty,
            "diversity": std_over_rows(samples).mean() / std_over_rows(batch.image).mean().clamp(min=1e-6),
        }
        return Loss(loss + self.penalty_weight * penalty, {name: value.detach() for name, value in parts.items()})

    def diagnose(self, values: Mapping[str, float]) -> str | None:
        if values["diversity"] < COLLAPSED:
            return (
                f"mode collapse: samples vary {values['diversity']:.2f} times as much as data from image to image; "
                "lower train.learning_rate, or set objective.penalty=r1"
            )
        won = min(values["accuracy_real"], values["accuracy_fake"]) > WON
        if won and values["grad_norm_generator"] < VANISHED * values["grad_norm_discriminator"]:
            return (
                "vanishing gradient: the discriminator tells nearly every sample from data and the generator learns "
                "nothing any more; set objective.game=non-saturating, or lower train.learning_rate"
            )
        return None

    def after_step(self, step: int) -> None:
        self.discriminator.update_norms()

    def _samples(self, batch: Batch, noise: Noise) -> Tensor:
        return self.model(noise.normal(batch.image.new_empty(len(batch), self.model.latent)))


def _squared_gradient(discriminator: nn.Module, image: Tensor) -> Tensor:
    """||grad_x D(x)||^2 (B,)."""
    image = image.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(image).sum(), image, create_graph=True)
    return gradient.square().flatten(1).sum(1)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within, what is computed sends no gradients to the module's parameters."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
