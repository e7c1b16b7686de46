"""What a run leaves behind: image models and the capabilities they claim."""

from unnoise.models.diffusion import Diffusion
from unnoise.models.image_model import CanReconstruct, CanSample, ImageModel

MODELS: dict[str, type[ImageModel]] = {"diffusion": Diffusion}

__all__ = ["MODELS", "CanReconstruct", "CanSample", "Diffusion", "ImageModel"]
