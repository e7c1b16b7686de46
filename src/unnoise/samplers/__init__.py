"""Samplers: from a Denoiser and noise to images."""

from unnoise.registry import Table
from unnoise.samplers.ancestral import DDIM, Ancestral
from unnoise.samplers.fewstep import FlowMap, Renoise
from unnoise.samplers.grids import GRIDS
from unnoise.samplers.inversion import interpolate, invert, slerp
from unnoise.samplers.learned import Learned
from unnoise.samplers.multistep import IPNDM, AdamsBashforth, DPMSolver
from unnoise.samplers.ode import RK45, Euler, Heun
from unnoise.samplers.sampler import Point, Sampler, Step
from unnoise.samplers.sde import Langevin, SDEDPMSolver
from unnoise.samplers.unipc import UniPC

SAMPLERS: Table[type[Sampler]] = Table(
    "unnoise.samplers",
    {
        "ddpm": Ancestral,
        "ddim": DDIM,
        "euler": Euler,
        "heun": Heun,
        "dpm-solver++": DPMSolver,
        "sde-dpm-solver++": SDEDPMSolver,
        "unipc": UniPC,
        "adams-bashforth": AdamsBashforth,
        "ipndm": IPNDM,
        "learned": Learned,
        "langevin": Langevin,
        "rk45": RK45,
        "renoise": Renoise,
        "flow-map": FlowMap,
    },
)

__all__ = [
    "DDIM",
    "GRIDS",
    "IPNDM",
    "RK45",
    "SAMPLERS",
    "AdamsBashforth",
    "Ancestral",
    "DPMSolver",
    "Euler",
    "FlowMap",
    "Heun",
    "Langevin",
    "Learned",
    "Point",
    "Renoise",
    "SDEDPMSolver",
    "Sampler",
    "Step",
    "UniPC",
    "interpolate",
    "invert",
    "slerp",
]
