"""The tasks, for any Denoiser: restore, inpaint, outpaint, upscale, colourise, deblur.

Each takes a `codec`, where the denoiser is that of a latent model: the images are then decoded from its latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.aliases import Conditions, Record
from unnoise.errors import UserError
from unnoise.guidance.clipping import Clipped
from unnoise.inverse.latent import Decoded
from unnoise.inverse.operators import Blur, Downsampling, Grey, Inpainting, Measurement, Operator
from unnoise.inverse.posterior import METHODS
from unnoise.inverse.repaint import RenoisePaint, RePaint
from unnoise.inverse.sdedit import repeated_rows
from unnoise.process.codec import Codec
from unnoise.process.denoiser import Denoiser
from unnoise.registry import build
from unnoise.samplers import DDIM, Sampler
from unnoise.samplers.grids import at_most_native
from unnoise.seeding import SeededNoise


def restore(
    denoiser: Denoiser,
    operator: Operator,
    observation: Tensor,
    *,
    method: str | Record | None = None,
    noise: float = 0.0,
    sampler: Sampler | None = None,
    seeds: Sequence[int] | None = None,
    cond: Conditions | None = None,
    clip: bool = True,
    codec: Codec | None = None,
) -> Tensor:
    """Images (N, C, H, W) that explain observation = operator(image) + noise n, one per seed.

    observation: (N or 1, *). method: a name in `METHODS`, or its spec, {'kind': 'pigdm', 'data_std': 0.5}; by default
    pigdm, and mmps through a codec, whose decoder makes no two directions of latents count alike.
    noise: the standard deviation of the observation's noise; 8-bit pixels in [-1, 1] have 0.0023 from rounding alone.
    sampler: DDIM in 100 steps with eta = 1 unless given: fresh noise corrects what a step got wrong. seeds: by default
    one per observation. clip: keeps denoised images in [-1, 1]; latents have no range and are not clipped.
    codec: of a latent model, whose denoiser is given; what the codec loses of the observation counts as noise too.
    Raises UserError for an unknown method or option, and for observations that are not one per seed.
    """
    seeds = range(len(observation)) if seeds is None else seeds
    rows = repeated_rows(observation, len(seeds))
    seen, total = _through(codec, operator, rows, noise)
    method = method or ("pigdm" if codec is None else "mmps")
    conditioned = build(METHODS, method, "method", operator=seen, observation=rows, noise=total)(denoiser)
    x_T = _prior(denoiser, seen.pseudo_inverse(rows), seeds)
    sampler = sampler or DDIM(steps=at_most_native(denoiser.schedule, 100), eta=1.0)
    drawn = sampler.run(Clipped(conditioned) if clip and codec is None else conditioned, x_T, seeds, cond)
    return drawn if codec is None else _decoded(codec, drawn)


def inpaint(denoiser: Denoiser, image: Tensor, known: Tensor, **options: Any) -> Tensor:
    """Images (N, C, H, W) that are `image` where `known`, to the bit, and drawn elsewhere.

    image: (N or 1, C, H, W); what it holds where it is not known does not matter, NaN included.
    known: bool, (H, W), (1 or C, H, W) or a row each. options: of `restore`.
    """
    operator = Inpainting(known)
    drawn = restore(denoiser, operator, operator.forward(image), **options)
    return torch.where(known.to(drawn.device), image.to(drawn), drawn)


def repaint(
    denoiser: Denoiser,
    image: Tensor,
    known: Tensor,
    *,
    steps: int = 100,
    jump: int = 10,
    repeats: int = 5,
    jumps: bool = False,
    start: float = 1.0,
    seeds: Sequence[int] | None = None,
    cond: Conditions | None = None,
    clip: bool = True,
    codec: Codec | None = None,
) -> Tensor:
    """`inpaint` by RePaint's resampling, which takes about steps x repeats calls of the denoiser.

    jumps: the denoiser's x_0 is where a path ends: `RenoisePaint` in so many steps from `start`, without resampling.

    With a codec, known latents are those whose pixels are all known (Rombach et al. 2022, section 4.5); the picture
    that was encoded is grey where nothing is known, which latents near the edge of the mask see.
    """
    seeds = range(len(image)) if seeds is None else seeds
    image = torch.where(known.to(image.device), repeated_rows(image, len(seeds)), 0.0)
    given, shown = (image, known) if codec is None else _coded(codec, image, known)
    sampler = (
        RenoisePaint(steps=steps, start=start, image=given, known=shown)
        if jumps
        else RePaint(steps=steps, jump=jump, repeats=repeats, image=given, known=shown)
    )
    clipped = Clipped(denoiser) if clip and codec is None else denoiser
    drawn = sampler.run(clipped, _prior(denoiser, given, seeds), seeds, cond)
    return drawn if codec is None else torch.where(known.to(image.device), image, _decoded(codec, drawn))


def outpaint(denoiser: Denoiser, image: Tensor, margins: tuple[int, int, int, int], **options: Any) -> Tensor:
    """Images that hold `image` to the bit, with `margins` (left, right, top, bottom) pixels drawn around it.

    The denoiser works at the enlarged size; one trained at a fixed size wants margins that add up to it.
    """
    if min(margins) < 0:
        raise UserError(f"margins are at least 0 pixels, got {margins}")
    known = F.pad(torch.ones(image.shape[-2:], dtype=torch.bool), margins)
    return inpaint(denoiser, F.pad(image, margins), known, **options)


def upscale(denoiser: Denoiser, image: Tensor, factor: int, **options: Any) -> Tensor:
    """Images `factor` times as large whose box means are `image` (N or 1, C, H, W). options: of `restore`."""
    return restore(denoiser, Downsampling(factor), image, **options)


def colourise(denoiser: Denoiser, image: Tensor, **options: Any) -> Tensor:
    """RGB images whose luma is `image` (N or 1, 1, H, W). options: of `restore`."""
    return restore(denoiser, Grey(), image, **options)


def deblur(denoiser: Denoiser, image: Tensor, std: float, *, border: str = "reflected", **options: Any) -> Tensor:
    """Images that a Gaussian of `std` pixels blurs to `image`. options: of `restore`; noise matters here."""
    return restore(denoiser, Blur(std, border), image, **options)


def _through(codec: Codec | None, operator: Operator, rows: Tensor, noise: float) -> tuple[Measurement, float | Tensor]:
    """What is seen of the things that are drawn, and the standard deviation of its noise."""
    if codec is None:
        return operator, noise
    decoded = Decoded(operator, codec)
    return decoded, (decoded.loss(rows).square() + noise**2).sqrt()


@torch.no_grad()
def _coded(codec: Codec, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The latents of an image, and which of them see known pixels alone, (H, W) of latents or a row each."""
    latents = codec.encode(image)
    lost = (~known).to(image).expand_as(image).amax(1, keepdim=True)
    return latents, F.adaptive_max_pool2d(lost, latents.shape[-2:]) == 0


@torch.no_grad()
def _decoded(codec: Codec, latents: Tensor) -> Tensor:
    return codec.decode(latents)


def _prior(denoiser: Denoiser, like: Tensor, seeds: Sequence[int]) -> Tensor:
    return denoiser.schedule.prior_std * SeededNoise(seeds).normal(like)
