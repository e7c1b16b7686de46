"""unnoise: train, sample, measure and edit with generative image models, diffusion first, on your own images.

Names are imported on first use, so that `import unnoise` and `unnoise --help` stay quick: torch takes seconds to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "train": "unnoise.training.train",
    "load": "unnoise.runs.load",
    "Run": "unnoise.runs.run",
    "show": "unnoise.sampling.show",
    **dict.fromkeys(("evaluate", "compare", "score"), "unnoise.evaluation"),
    "open_source": "unnoise.sources",
    **dict.fromkeys(
        (
            "LinearBetas",
            "CosineBetas",
            "GeometricBetas",
            "Cosine",
            "VP",
            "VE",
            "RectifiedFlow",
            "Straight",
            "LearnedSchedule",
        ),
        "unnoise.process.schedule",
    ),
    "Denoised": "unnoise.process.denoiser",
    **dict.fromkeys(("X0", "X0Skip", "Eps", "Mean", "V", "Velocity", "EDM"), "unnoise.process.parametrization"),
    "GaussianMixture": "unnoise.process.analytic",
    "UNet": "unnoise.networks.unet",
    "DiT": "unnoise.networks.dit",
    **dict.fromkeys(
        ("Ancestral", "DDIM", "Euler", "FlowMap", "Heun", "DPMSolver", "UniPC", "Langevin", "Renoise"),
        "unnoise.samplers",
    ),
    "ClassifierFree": "unnoise.guidance",
    **dict.fromkeys(("Autoencoder", "Diffusion", "GAN", "VAE"), "unnoise.models"),
    **dict.fromkeys(
        (
            "Adversarial",
            "Consistency",
            "ContinuousBound",
            "Denoising",
            "Elbo",
            "MeanFlow",
            "Reconstruction",
            "Variational",
        ),
        "unnoise.objectives",
    ),
}
"""Name -> the module that has it: what is imported on first use. Type checkers and editors read the block below."""

if TYPE_CHECKING:
    from unnoise.evaluation import compare as compare
    from unnoise.evaluation import evaluate as evaluate
    from unnoise.evaluation import score as score
    from unnoise.guidance import ClassifierFree as ClassifierFree
    from unnoise.models import GAN as GAN
    from unnoise.models import VAE as VAE
    from unnoise.models import Autoencoder as Autoencoder
    from unnoise.models import Diffusion as Diffusion
    from unnoise.networks.dit import DiT as DiT
    from unnoise.networks.unet import UNet as UNet
    from unnoise.objectives import Adversarial as Adversarial
    from unnoise.objectives import Consistency as Consistency
    from unnoise.objectives import ContinuousBound as ContinuousBound
    from unnoise.objectives import Denoising as Denoising
    from unnoise.objectives import Elbo as Elbo
    from unnoise.objectives import MeanFlow as MeanFlow
    from unnoise.objectives import Reconstruction as Reconstruction
    from unnoise.objectives import Variational as Variational
    from unnoise.process.analytic import GaussianMixture as GaussianMixture
    from unnoise.process.denoiser import Denoised as Denoised
    from unnoise.process.parametrization import EDM as EDM
    from unnoise.process.parametrization import X0 as X0
    from unnoise.process.parametrization import Eps as Eps
    from unnoise.process.parametrization import Mean as Mean
    from unnoise.process.parametrization import V as V
    from unnoise.process.parametrization import Velocity as Velocity
    from unnoise.process.parametrization import X0Skip as X0Skip
    from unnoise.process.schedule import VE as VE
    from unnoise.process.schedule import VP as VP
    from unnoise.process.schedule import Cosine as Cosine
    from unnoise.process.schedule import CosineBetas as CosineBetas
    from unnoise.process.schedule import GeometricBetas as GeometricBetas
    from unnoise.process.schedule import LearnedSchedule as LearnedSchedule
    from unnoise.process.schedule import LinearBetas as LinearBetas
    from unnoise.process.schedule import RectifiedFlow as RectifiedFlow
    from unnoise.process.schedule import Straight as Straight
    from unnoise.runs.load import load as load
    from unnoise.runs.run import Run as Run
    from unnoise.samplers import DDIM as DDIM
    from unnoise.samplers import Ancestral as Ancestral
    from unnoise.samplers import DPMSolver as DPMSolver
    from unnoise.samplers import Euler as Euler
    from unnoise.samplers import FlowMap as FlowMap
    from unnoise.samplers import Heun as Heun
    from unnoise.samplers import Langevin as Langevin
    from unnoise.samplers import Renoise as Renoise
    from unnoise.samplers import UniPC as UniPC
    from unnoise.sampling.show import show as show
    from unnoise.sources import open_source as open_source
    from unnoise.training.train import train as train

__all__ = [*_HOMES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unnoise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
