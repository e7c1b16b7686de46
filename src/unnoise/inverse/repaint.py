"""RePaint: known pixels are laid over every step, and jumps back in time let the rest fit them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped
from unnoise.process.gaussian import perturb, transition
from unnoise.process.schedule import Schedule
from unnoise.samplers import Ancestral, Renoise, Step
from unnoise.seeding import Noise


@dataclass(frozen=True, kw_only=True, eq=False)
class RePaint(Ancestral):
    """DDPM's ancestral sampler with x_s = known ? q(x_s | image) : p(x_s | x_t), and resampling (Lugmayr et al. 2022,
    algorithm 1 and appendix B).

    image: (B or 1, C, H, W), right where known. known: bool, True where the image counts, broadcasting with it.
    After every `jump` steps the walk goes back up by as many, `repeats` - 1 times, so that the denoiser is called about
    steps x repeats times. Raises UserError for jump or repeats below 1.
    """

    image: Tensor
    known: Tensor
    jump: int = 10
    repeats: int = 5

    def __post_init__(self) -> None:
        if self.jump < 1 or self.repeats < 1:
            raise UserError(f"need jump and repeats of at least 1, got {self.jump} and {self.repeats}")

    def __eq__(self, other: object) -> bool:
        """Its images make each its own: the fields of the class above alone would call two of them the same."""
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def times(self, schedule: Schedule) -> Tensor:
        """The times visited: falling to 0 with rises in between, float64."""
        falling = super().times(schedule)
        return falling[list(_walk(len(falling) - 1, self.jump, self.repeats))]

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
        schedule = denoiser.schedule
        if s > t:
            alpha, var = transition(schedule, s, t)
            return Step(alpha.to(x.dtype) * x + var.sqrt().to(x.dtype) * noise.normal(x), state, state)
        drawn, denoised, _ = super().step(denoiser, x, t, s, None, noise, cond)
        image = self.image.to(x.device, x.dtype).expand_as(x)
        shown = image if s == 0 else perturb(schedule, image, noise.normal(x), s)
        return Step(torch.where(self.known.to(x.device), shown, drawn), denoised, denoised)


@dataclass(frozen=True, kw_only=True, eq=False)
class RenoisePaint(Renoise):
    """`Renoise` with x_0 = known ? image : f(x_t, t) at every step: inpainting by a model that jumps to the ends of
    paths (Song et al. 2023, algorithm 4). image and known as of `RePaint`."""

    image: Tensor
    known: Tensor

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

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
        return super().step(_Laid(denoiser, self.image, self.known), x, t, s, state, noise, cond)


@dataclass(frozen=True)
class _Laid(Wrapped):
    """Known pixels laid over the denoised image."""

    image: Tensor
    known: Tensor

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        denoised = self.denoiser(x_t, t, cond)
        image = self.image.to(x_t.device, x_t.dtype).expand_as(x_t)
        return replace(denoised, x_0=torch.where(self.known.to(x_t.device), image, denoised.x_0))


def _walk(steps: int, jump: int, repeats: int) -> Iterator[int]:
    """Indices into the falling times: jump forwards, jump back, repeats times over, then the next stretch."""
    yield 0
    for start in range(0, steps, jump):
        stretch = range(start + 1, min(start + jump, steps) + 1)
        for again in range(repeats):
            if again:
                yield start
            yield from stretch
