"""The diffusion model: a network, a schedule, a parametrization and a codec, read as a Denoiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.guidance.clipping import Clipped
from unnoise.models.codec import Codec, Pixels
from unnoise.models.image_model import ImageModel
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import per_row
from unnoise.process.parametrization import Parametrization
from unnoise.process.schedule import Schedule
from unnoise.samplers import DDIM, Point, Sampler
from unnoise.seeding import SeededNoise

Guidance = Callable[[Denoiser], Denoiser]


class Diffusion(ImageModel):
    """A Denoiser made of a network (Ho et al. 2020 and its successors).

    shape: (C, H, W) of the images. conditioner: turns a batch's conditions into a `Conditioning`, or None.
    clip: whether sampling clamps the denoised image to [-1, 1], as suits pixels.
    learned_variance: the network answers twice the channels; the second half v in [0, 1] mixes log beta and
    log beta-tilde (Nichol & Dhariwal 2021, equation 15).
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        parametrization: Parametrization,
        *,
        shape: tuple[int, int, int],
        codec: Codec | None = None,
        conditioner: nn.Module | None = None,
        clip: bool = True,
        learned_variance: bool = False,
    ) -> None:
        super().__init__(shape)
        self.network = network
        self.schedule = schedule
        self.parametrization = parametrization
        self.codec: Codec = codec or Pixels()
        self.conditioner = conditioner
        self.clip = clip
        self.learned_variance = learned_variance

    def predict(self, x_t: Tensor, t: Tensor, cond: Any = None) -> tuple[Tensor, Tensor | None]:
        """The network's answers: the target (B, C, H, W) and, where learned, v (B, C, H, W) in [0, 1].

        x_t (B, C, H, W); t () or (B,) float64 on the CPU; cond: a mapping such as {'label': (B,)}, or None.
        """
        scale = self.parametrization.input_scale(self.schedule, t)
        level = self.parametrization.noise_level(self.schedule, t).to(x_t.device, x_t.dtype).expand(len(x_t))
        conditioning = None if self.conditioner is None else self.conditioner(cond, len(x_t))
        output = self.network(per_row(scale, x_t) * x_t, level, conditioning)
        if not self.learned_variance:
            return output, None
        target, v = output.chunk(2, dim=1)
        return target, (v + 1) / 2

    def forward(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        """The Denoiser: what the network makes of x_t at time t."""
        output, var_mix = self.predict(x_t, t, cond)
        denoised = self.parametrization.invert(self.schedule, output, x_t, t)
        return replace(denoised, var_mix=var_mix)

    @torch.no_grad()
    def sample(
        self,
        seeds: Sequence[int] = range(16),
        cond: Any = None,
        sampler: Sampler | None = None,
        guidance: Guidance | None = None,
    ) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] on the CPU's or the model's device, image i from seed i alone.

        sampler: `default_sampler()` unless given. guidance: wraps the denoiser, for example a classifier-free guidance.
        """
        if len(seeds) == 0:
            return torch.empty(0, *self.shape, device=self.device)
        sampler = sampler or self.default_sampler()
        return self.codec.decode(sampler.run(self.guided(guidance), self.prior(seeds), seeds, cond))

    def stream(
        self,
        seeds: Sequence[int],
        cond: Any = None,
        sampler: Sampler | None = None,
        guidance: Guidance | None = None,
    ) -> Iterator[Point]:
        """The sampler's stream of Points for these seeds: what progress bars, strips and pages read."""
        sampler = sampler or self.default_sampler()
        return sampler.stream(self.guided(guidance), self.prior(seeds), seeds, cond)

    def guided(self, guidance: Guidance | None = None) -> Denoiser:
        """The denoiser that sampling uses: guided, then clipped where the model clips."""
        denoiser: Denoiser = self if guidance is None else guidance(self)
        return Clipped(denoiser) if self.clip else denoiser

    def prior(self, seeds: Sequence[int]) -> Tensor:
        """x_T ~ p(x_T), one row per seed, on the model's device."""
        like = torch.empty(len(seeds), *self.codec.shape(self.shape), device=self.device)
        return self.schedule.prior_std * SeededNoise(seeds).normal(like)

    def default_sampler(self) -> Sampler:
        """DDIM in 50 steps, or in as many as the schedule has."""
        native = self.schedule.grid
        return DDIM(steps=50 if native is None else min(50, len(native)))
