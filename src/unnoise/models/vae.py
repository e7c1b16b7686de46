"""The variational autoencoder: a prior on latents, a decoder that gives a distribution of images, an encoder that
approximates the posterior."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.models.likelihoods import LIKELIHOODS, Likelihood
from unnoise.models.log_likelihood import LogLikelihood
from unnoise.models.one_step import OneStep
from unnoise.networks.autoencoder import Decoder, Encoder, latent_shape
from unnoise.process.gaussian import gaussian_kl, gaussian_log_prob
from unnoise.registry import Count, Positive, Sizes, lookup
from unnoise.seeding import Noise, StepNoise

ROWS = 256
"""Images that are scored at once; fixed, so that a score is a function of the image, its index and the seed."""


class Posterior(NamedTuple):
    """q(z | x) = N(mean, exp(log_var)), both (B, *latent_shape)."""

    mean: Tensor
    log_var: Tensor

    def draw(self, noise: Noise) -> Tensor:
        """z = mean + std eps: the reparameterisation."""
        return self.mean + (self.log_var / 2).exp() * noise.normal(self.mean)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z | x) (B,), nats."""
        return gaussian_log_prob(z, self.mean, self.log_var).flatten(1).sum(1)

    def kl(self) -> Tensor:
        """KL(q(z | x) || N(0, I)) of each latent (B, *latent_shape), in nats."""
        zero = torch.zeros_like(self.mean)
        return gaussian_kl(self.mean, self.log_var, zero, zero)


class ElboTerms(NamedTuple):
    """log p(x | z) (B,) for one z ~ q(z | x), KL(q || p) (B, *latent_shape), both in nats, and the decoder's output.

    The ELBO is the difference of the first two, summed over the latents.
    """

    log_prob: Tensor
    kl: Tensor
    output: Tensor


class VAE(OneStep):
    """p(z) = N(0, I), p(x | z) = likelihood(decoder(z)), q(z | x) = N(mean, var) (Kingma & Welling 2014).

    latent: how many numbers, or, when spatial, how many channels of a small image (Rombach et al. 2022);
    channels, multipliers, blocks, patch: of the encoder and the decoder (`networks.autoencoder`); likelihood: a name in
    LIKELIHOODS. Calling the model on latents gives the likelihood's parameters.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: Positive = 32,
        likelihood: str = "bernoulli",
        spatial: bool = False,
        channels: Positive = 32,
        multipliers: Sizes = (1, 2),
        blocks: Count = 1,
        patch: Positive = 2,
    ) -> None:
        super().__init__(shape)
        self.latent, self.likelihood, self.spatial = latent, likelihood, spatial
        self.channels, self.multipliers, self.blocks, self.patch = channels, multipliers, blocks, patch
        self.pixels: Likelihood = lookup(LIKELIHOODS, likelihood, "likelihood")()
        count, size = shape[0], shape[1:]
        sizes = {"channels": channels, "multipliers": multipliers, "blocks": blocks, "patch": patch, "spatial": spatial}
        self.encoder = Encoder(count, 2 * latent, size, **sizes)
        self.decoder = Decoder(latent, count * self.pixels.outputs, size, **sizes)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one image's latents."""
        return latent_shape(self.latent, self.shape[1:], self.patch, self.multipliers, self.spatial)

    def posterior(self, image: Tensor) -> Posterior:
        """q(z | x) of images (B, C, H, W) in [-1, 1]."""
        mean, log_var = self.encoder(image).float().chunk(2, dim=1)
        return Posterior(mean, log_var.clamp(-30, 20))

    def encode(self, image: Tensor) -> Tensor:
        """The mean of q(z | x), (B, *latent_shape)."""
        return self.posterior(image).mean

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        """The expected image (B, C, H, W) in [-1, 1] of latents (B, *latent_shape); clamp: where the likelihood's mean
        is not in that range by itself."""
        return self.pixels.mean(self(z), clamp)

    def draw(self, z: Tensor, noise: Noise) -> Tensor:
        """x ~ p(x | z) (B, C, H, W) in [-1, 1] of latents (B, *latent_shape), whose mean is `decode`."""
        return self.pixels.draw(self(z), noise)

    def forward(self, z: Tensor) -> Tensor:
        return self.decoder(z).float()

    def elbo_terms(self, image: Tensor, noise: Noise) -> ElboTerms:
        """What the ELBO of images in [-1, 1] is made of.

        The KL is the closed form -(1 + log var - mean^2 - var) / 2 (Kingma & Welling 2014, appendix B).
        """
        x = self.pixels.target(image, noise)
        posterior = self.posterior(x)
        output = self(posterior.draw(noise))
        return ElboTerms(self.pixels.log_prob(x, output), posterior.kl(), output)

    def importance_weights(self, image: Tensor, samples: int, noise: Noise) -> Tensor:
        """log p(x, z_k) / q(z_k | x) (samples, B), z_k ~ q(z | x), nats."""
        x = self.pixels.target(image, noise)
        posterior = self.posterior(x)
        prior = Posterior(torch.zeros_like(posterior.mean), torch.zeros_like(posterior.mean))
        weights = []
        for _ in range(samples):
            z = posterior.draw(noise)
            weights.append(self.pixels.log_prob(x, self(z)) + prior.log_prob(z) - posterior.log_prob(z))
        return torch.stack(weights)

    @torch.no_grad()
    def log_likelihood(self, image: Tensor, *, samples: int = 1, seed: int = 0) -> LogLikelihood:
        """A lower bound of log p(x) per image: the ELBO, or with samples > 1 the importance-weighted bound

        log 1/K sum_k p(x, z_k) / q(z_k | x), which rises to log p(x) with K (Burda et al. 2016, equation 8).
        """
        if samples < 1:
            raise UserError(f"samples must be at least 1, got {samples}")
        rows = [self._bound(part, samples, StepNoise(seed, i)) for i, part in enumerate(image.split(ROWS))]
        return LogLikelihood(torch.cat(rows), exact=False, of=self.pixels.of)

    def _bound(self, image: Tensor, samples: int, noise: Noise) -> Tensor:
        if samples == 1:
            terms = self.elbo_terms(image, noise)
            return terms.log_prob - terms.kl.flatten(1).sum(1)
        return self.importance_weights(image, samples, noise).logsumexp(0) - math.log(samples)
