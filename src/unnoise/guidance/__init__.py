"""Denoisers around Denoisers: whatever alters the score."""

from unnoise.guidance.classifier_free import ClassifierFree
from unnoise.guidance.clipping import Clipped

__all__ = ["ClassifierFree", "Clipped"]
