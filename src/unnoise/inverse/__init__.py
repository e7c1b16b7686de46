"""Editing with an unconditional model: tasks as inverse problems, and variations."""

from unnoise.inverse.latent import Decoded, Tangent
from unnoise.inverse.operators import OPERATORS, Blur, Downsampling, Grey, Inpainting, Measurement, Operator
from unnoise.inverse.posterior import DDNM, DPS, METHODS, MMPS, PiGDM, PosteriorSampler
from unnoise.inverse.repaint import RePaint
from unnoise.inverse.restore import colourise, deblur, inpaint, outpaint, repaint, restore, upscale
from unnoise.inverse.sdedit import Tail, vary

__all__ = [
    "DDNM",
    "DPS",
    "METHODS",
    "MMPS",
    "OPERATORS",
    "Blur",
    "Decoded",
    "Downsampling",
    "Grey",
    "Inpainting",
    "Measurement",
    "Operator",
    "PiGDM",
    "PosteriorSampler",
    "RePaint",
    "Tail",
    "Tangent",
    "colourise",
    "deblur",
    "inpaint",
    "outpaint",
    "repaint",
    "restore",
    "upscale",
    "vary",
]
