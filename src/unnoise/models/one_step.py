"""Models that draw an image in one step: latents z ~ p(z), and what is decoded from them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.models.generative import GenerativeModel
from unnoise.models.image_model import Conditions, Guidance
from unnoise.models.sample_arguments import SampleArguments
from unnoise.process.denoiser import Denoised
from unnoise.samplers import Point, Sampler
from unnoise.seeding import SeededNoise


class OneStep(GenerativeModel):
    """x = decode(z), z ~ N(0, I) of `latent_shape`."""

    @property
    @abstractmethod
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one image's latents."""

    @abstractmethod
    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of latents (B, *latent_shape)."""

    def prior(self, seeds: Sequence[int]) -> Tensor:
        """z ~ N(0, I) (N, *latent_shape), row i from seed i alone."""
        return SeededNoise(seeds).normal(torch.empty(len(seeds), *self.latent_shape, device=self.device))

    def _drawn(self, asked: SampleArguments) -> Tensor:
        if asked.sampler is not None or asked.guidance is not None:
            raise UserError(f"{self.kind} draws in one step: it takes neither a sampler nor a guidance")
        return self.decode(self.prior(asked.seeds))

    def stream(
        self,
        seeds: Sequence[int],
        cond: Conditions | None = None,
        sampler: Sampler | None = None,
        guidance: Guidance | None = None,
    ) -> Iterator[Point]:
        """One Point at t = 0, whose x are the images."""
        image = self.sample(seeds, cond, sampler, guidance)
        yield Point(0.0, image, Denoised(image, image, torch.zeros_like(image)))

    def decode_point(self, x: Tensor) -> Tensor:
        """The images that x already are."""
        return x
