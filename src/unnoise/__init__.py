"""unnoise: train, sample, measure and edit with generative image models, diffusion first, on your own images.

Names are imported on first use, so that `import unnoise` and `unnoise --help` stay quick: torch takes seconds to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "train": "unnoise.training.train",
    "load": "unnoise.runs.run",
    "Run": "unnoise.runs.run",
    "evaluate": "unnoise.evaluation",
    "compare": "unnoise.evaluation",
    "score": "unnoise.evaluation",
    "open_source": "unnoise.data",
    "LinearBetas": "unnoise.process.schedule",
    "CosineBetas": "unnoise.process.schedule",
    "GeometricBetas": "unnoise.process.schedule",
    "Cosine": "unnoise.process.schedule",
    "VP": "unnoise.process.schedule",
    "VE": "unnoise.process.schedule",
    "RectifiedFlow": "unnoise.process.schedule",
    "Straight": "unnoise.process.schedule",
    "Denoised": "unnoise.process.denoiser",
    "X0": "unnoise.process.parametrization",
    "Eps": "unnoise.process.parametrization",
    "Mean": "unnoise.process.parametrization",
    "V": "unnoise.process.parametrization",
    "Velocity": "unnoise.process.parametrization",
    "EDM": "unnoise.process.parametrization",
    "GaussianMixture": "unnoise.process.analytic",
    "UNet": "unnoise.networks.unet",
    "DiT": "unnoise.networks.dit",
    **dict.fromkeys(
        ("Ancestral", "DDIM", "Euler", "Heun", "DPMSolver", "UniPC", "Langevin", "Renoise"), "unnoise.samplers"
    ),
    "ClassifierFree": "unnoise.guidance",
    **dict.fromkeys(("Autoencoder", "Diffusion", "GAN", "VAE"), "unnoise.models"),
    **dict.fromkeys(
        ("Adversarial", "Consistency", "Denoising", "Elbo", "Reconstruction", "Variational"), "unnoise.objectives"
    ),
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unnoise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
