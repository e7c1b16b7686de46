"""Feature spaces by name; a distance between images is a distance in one of them, and is quoted with its name."""

from unnoise.features.classifier import ClassifierFeatures, train_classifier
from unnoise.features.dino import Dino
from unnoise.features.efficientnet_lite import ImageNet
from unnoise.features.extractor import FeatureExtractor
from unnoise.features.inception import Inception
from unnoise.features.pixels import Pixels

FEATURES: dict[str, type[FeatureExtractor]] = {
    cls.name: cls for cls in (Pixels, ClassifierFeatures, ImageNet, Inception, Dino)
}

__all__ = [
    "FEATURES",
    "ClassifierFeatures",
    "Dino",
    "FeatureExtractor",
    "ImageNet",
    "Inception",
    "Pixels",
    "train_classifier",
]
