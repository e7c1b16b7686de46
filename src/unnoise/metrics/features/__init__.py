"""Feature spaces by name; a distance between images is a distance in one of them, and is quoted with its name."""

from unnoise.metrics.features.classifier import ClassifierFeatures, train_classifier
from unnoise.metrics.features.dino import Dino
from unnoise.metrics.features.efficientnet_lite import ImageNet
from unnoise.metrics.features.extractor import FeatureExtractor
from unnoise.metrics.features.inception import Inception
from unnoise.metrics.features.pixels import Pixels

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
