"""Learning a variational autoencoder by the evidence lower bound."""

from __future__ import annotations

import math

from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.vae import VAE, ElboTerms
from unnoise.networks.batch_part import all_rows
from unnoise.objectives.objective import Loss, Objective
from unnoise.seeding import Noise


class Elbo(Objective):
    """-E[log p(x | z)] + beta KL(q(z | x) || p(z)), in nats per dimension (Kingma & Welling 2014, equation 3).

    beta = 1 is the bound of log p(x); other values trade reconstruction for latents nearer to the prior (Higgins et al.
    2017). free_bits: bits that each latent may carry, on average over the batch, at no cost (Kingma et al. 2016,
    equation 15). The parts are in nats per image: `bound` = -ELBO = distortion + rate.
    """

    def __init__(self, model: VAE, beta: float = 1.0, free_bits: float = 0.0) -> None:
        for name, value in {"beta": beta, "free_bits": free_bits}.items():
            if value < 0:
                raise UserError(f"objective.{name} must be at least 0, got {value}")
        self._model, self.beta, self.free_bits = model, beta, free_bits

    @property
    def model(self) -> VAE:
        return self._model

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        return self.bound(self.model.elbo_terms(batch.image, noise))

    def bound(self, terms: ElboTerms) -> Loss:
        distortion, rate = -terms.log_prob.mean(), terms.kl.flatten(1).sum(1).mean()
        total = (distortion + self.beta * self._charged(terms.kl)) / math.prod(self.model.shape)
        parts = {"loss": total, "bound": distortion + rate, "distortion": distortion, "rate": rate}
        return Loss(total, {name: value.detach() for name, value in parts.items()})

    def _charged(self, kl: Tensor) -> Tensor:
        """The rate that is paid for, nats per image."""
        kl = all_rows(kl) if self.free_bits else kl
        return kl.mean(0).clamp(min=self.free_bits * math.log(2)).sum()
