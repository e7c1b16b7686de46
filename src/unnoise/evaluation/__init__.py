"""Numbers about runs, models and folders of images, each with its conditions: what was measured, how, on what."""

from unnoise.evaluation.compare import compare
from unnoise.evaluation.ddim_table import ddim_table
from unnoise.evaluation.evaluate import evaluate
from unnoise.evaluation.likelihood import score

__all__ = ["compare", "ddim_table", "evaluate", "score"]
