"""Denoisers around Denoisers: whatever alters the score."""

from unnoise.guidance.autoguidance import AutoGuidance
from unnoise.guidance.classifier import ClassifierGuidance
from unnoise.guidance.classifier_free import ClassifierFree
from unnoise.guidance.clipping import Clipped
from unnoise.guidance.interval import Interval
from unnoise.guidance.score import add_score, score_scale

GUIDANCE: dict[str, type] = {
    "classifier-free": ClassifierFree,
    "classifier": ClassifierGuidance,
    "autoguidance": AutoGuidance,
    "interval": Interval,
}

__all__ = [
    "GUIDANCE",
    "AutoGuidance",
    "ClassifierFree",
    "ClassifierGuidance",
    "Clipped",
    "Interval",
    "add_score",
    "score_scale",
]
