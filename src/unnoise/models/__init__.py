"""What a run leaves behind: image models and the capabilities they claim."""

from unnoise.models.autoencoder import Autoencoder
from unnoise.models.classifier import Classifier
from unnoise.models.diffusion import Diffusion
from unnoise.models.gan import GAN
from unnoise.models.image_model import CanDenoise, CanReconstruct, CanSample, CanScore, ImageModel, require
from unnoise.models.vae import VAE

MODELS: dict[str, type[ImageModel]] = {
    "diffusion": Diffusion,
    "autoencoder": Autoencoder,
    "vae": VAE,
    "gan": GAN,
    "classifier": Classifier,
}

__all__ = [
    "GAN",
    "MODELS",
    "VAE",
    "Autoencoder",
    "CanDenoise",
    "CanReconstruct",
    "CanSample",
    "CanScore",
    "Classifier",
    "Diffusion",
    "ImageModel",
    "require",
]
