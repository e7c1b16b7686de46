"""Numbers about runs, models and folders of images, each with its conditions: what was measured, how, on what."""

from unnoise.evaluation.compare import compare
from unnoise.evaluation.evaluate import evaluate
from unnoise.evaluation.likelihood import score

__all__ = ["compare", "evaluate", "score"]
