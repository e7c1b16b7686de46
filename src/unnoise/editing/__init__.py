"""Editing with an unconditional model: tasks as inverse problems, and variations."""

from unnoise.editing.decoded import Codec, Decoded, Tangent
from unnoise.editing.operators import OPERATORS, Blur, Downsampling, Grey, Inpainting, Measurement, Operator
from unnoise.editing.posterior import DDNM, DPS, METHODS, MMPS, PiGDM, PosteriorSampler
from unnoise.editing.repaint import RePaint
from unnoise.editing.tasks import colourise, deblur, inpaint, outpaint, repaint, restore, upscale
from unnoise.editing.variation import Tail, vary

__all__ = [
    "DDNM",
    "DPS",
    "METHODS",
    "MMPS",
    "OPERATORS",
    "Blur",
    "Codec",
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
