"""Samplers: from a Denoiser and noise to images."""

from unnoise.samplers.ancestral import DDIM, Ancestral
from unnoise.samplers.grids import GRIDS
from unnoise.samplers.sampler import Point, Sampler, Step

SAMPLERS: dict[str, type[Sampler]] = {"ddpm": Ancestral, "ddim": DDIM}

__all__ = ["DDIM", "GRIDS", "SAMPLERS", "Ancestral", "Point", "Sampler", "Step"]
