"""The tasks, for any Denoiser: restore, inpaint, outpaint, upscale, colourise, deblur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.editing.operators import Blur, Downsampling, Grey, Inpainting, Operator
from unnoise.editing.posterior import METHODS
from unnoise.editing.repaint import RePaint
from unnoise.editing.variation import spread_rows
from unnoise.guidance.clipping import Clipped
from unnoise.process.denoiser import Denoiser
from unnoise.registry import build
from unnoise.samplers import DDIM, Sampler
from unnoise.seeding import SeededNoise


def restore(
    denoiser: Denoiser,
    operator: Operator,
    observation: Tensor,
    *,
    method: str | dict[str, Any] = "pigdm",
    noise: float = 0.0,
    sampler: Sampler | None = None,
    seeds: Sequence[int] | None = None,
    cond: Any = None,
    clip: bool = True,
) -> Tensor:
    """Images (N, C, H, W) that explain observation = operator(image) + noise n, one per seed.

    observation: (N or 1, *). method: a name in `METHODS`, or its spec, {'kind': 'pigdm', 'data_std': 0.5}.
    noise: the deviation of the observation's noise; 8-bit pixels in [-1, 1] have 0.0023 from rounding alone.
    sampler: DDIM in 100 steps with eta = 1 unless given: fresh noise corrects what a step got wrong. seeds: by default
    one per observation. clip: keeps denoised images in [-1, 1].
    Raises ValueError for an unknown method or option, and for observations that are not one per seed.
    """
    seeds = range(len(observation)) if seeds is None else seeds
    rows = spread_rows(observation, len(seeds))
    conditioned = build(METHODS, method, "method", operator=operator, observation=rows, noise=noise)(denoiser)
    x_T = _prior(denoiser, operator.pseudo_inverse(rows), seeds)
    sampler = sampler or DDIM(steps=100, eta=1.0)
    return sampler.run(Clipped(conditioned) if clip else conditioned, x_T, seeds, cond)


def inpaint(
    denoiser: Denoiser, image: Tensor, known: Tensor, *, method: str | dict[str, Any] = "pigdm", **options: Any
) -> Tensor:
    """Images (N, C, H, W) that are `image` where `known`, to the bit, and drawn elsewhere.

    image: (N or 1, C, H, W); what it holds where it is not known does not matter, NaN included.
    known: bool, (H, W), (1 or C, H, W) or a row each. method, options: as in `restore`, or `repaint` instead.
    """
    operator = Inpainting(known)
    drawn = restore(denoiser, operator, operator.forward(image), method=method, **options)
    return torch.where(known.to(drawn.device), image.to(drawn), drawn)


def repaint(
    denoiser: Denoiser,
    image: Tensor,
    known: Tensor,
    *,
    steps: int = 100,
    jump: int = 10,
    repeats: int = 5,
    seeds: Sequence[int] | None = None,
    cond: Any = None,
    clip: bool = True,
) -> Tensor:
    """`inpaint` by RePaint's resampling, which takes about steps x repeats calls of the denoiser."""
    seeds = range(len(image)) if seeds is None else seeds
    image = torch.where(known.to(image.device), spread_rows(image, len(seeds)), 0.0)
    sampler = RePaint(steps=steps, jump=jump, repeats=repeats, image=image, known=known)
    return sampler.run(Clipped(denoiser) if clip else denoiser, _prior(denoiser, image, seeds), seeds, cond)


def outpaint(denoiser: Denoiser, image: Tensor, margins: tuple[int, int, int, int], **options: Any) -> Tensor:
    """Images that hold `image` to the bit, with `margins` (left, right, top, bottom) pixels drawn around it.

    The denoiser works at the enlarged size; one trained at a fixed size wants margins that add up to it.
    """
    if min(margins) < 0:
        raise ValueError(f"margins are at least 0 pixels, got {margins}")
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


def _prior(denoiser: Denoiser, like: Tensor, seeds: Sequence[int]) -> Tensor:
    return denoiser.schedule.prior_std * SeededNoise(seeds).normal(like)
