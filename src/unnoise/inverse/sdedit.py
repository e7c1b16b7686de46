"""Variations: an image, noised part of the way and drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.codec import Codec
from unnoise.process.denoiser import Denoiser
from unnoise.process.gaussian import perturb
from unnoise.process.schedule import Schedule
from unnoise.samplers import DDIM, Sampler, Step
from unnoise.samplers.grids import at_most_native
from unnoise.seeding import Noise, SeededNoise


@dataclass(frozen=True, kw_only=True)
class Tail(Sampler):
    """The last steps of another sampler: those from its time number `start` on, 0 for all of them."""

    sampler: Sampler
    start: int

    @property
    def draws_noise(self) -> bool:
        return self.sampler.draws_noise

    def times(self, schedule: Schedule) -> Tensor:
        return self.sampler.times(schedule)[self.start :]

    def step(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        s: Tensor,
        state: State,
        noise: Noise,
        cond: Conditions | None = None,
    ) -> Step:
        return self.sampler.step(denoiser, x, t, s, state, noise, cond)


def vary(
    denoiser: Denoiser,
    image: Tensor,
    strength: float,
    *,
    sampler: Sampler | None = None,
    seeds: Sequence[int] | None = None,
    cond: Conditions | None = None,
    codec: Codec | None = None,
) -> Tensor:
    """SDEdit: x_t ~ q(x_t | image) at the time where `strength` of the sampler's steps remain, then those steps (Meng
    et al. 2022, algorithm 1).

    image: (B or 1, C, H, W); one row per seed comes out (default: one per image). strength in [0, 1]: 0 gives the image
    back, 1 starts from pure noise and forgets it, which is a plain sample of the same seeds.
    sampler: DDIM in 50 steps unless given. codec: of a latent model, whose latents are noised: strength 0 then gives
    what the codec makes of the image. Raises UserError for a strength out of range.
    """
    if not 0 <= strength <= 1:
        raise UserError(f"the strength of a variation lies in [0, 1], got {strength}")
    if codec is not None:
        with torch.no_grad():
            varied = vary(denoiser, codec.encode(image), strength, sampler=sampler, seeds=seeds, cond=cond)
            return codec.decode(varied)
    seeds = range(len(image)) if seeds is None else seeds
    sampler = sampler or DDIM(steps=at_most_native(denoiser.schedule, 50))
    image = repeated_rows(image, len(seeds))
    times = sampler.times(denoiser.schedule)
    start = len(times) - 1 - round(strength * (len(times) - 1))
    if start == len(times) - 1:
        return image.clone()
    eps = SeededNoise(seeds).normal(image)
    x_t = denoiser.schedule.prior_std * eps if start == 0 else perturb(denoiser.schedule, image, eps, times[start])
    return Tail(sampler=sampler, start=start).run(denoiser, x_t, seeds, cond)


def repeated_rows(x: Tensor, count: int) -> Tensor:
    """(count, *): x itself, or its only row repeated. Raises UserError for any other number of rows."""
    if len(x) not in (1, count):
        raise UserError(f"need one row for all {count} seeds, or one each; got {len(x)}")
    return x.expand(count, *x.shape[1:])
