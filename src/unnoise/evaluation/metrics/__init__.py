"""The metrics: one row each, in the order in which results are shown."""

from __future__ import annotations

from collections.abc import Iterable

from unnoise.evaluation.metrics.class_accuracy import ClassAccuracy
from unnoise.evaluation.metrics.frechet import FrechetDistance
from unnoise.evaluation.metrics.inception_score import InceptionScore
from unnoise.evaluation.metrics.kernel import KernelDistance
from unnoise.evaluation.metrics.likelihood import BitsPerDim, FlowLikelihood, OodAuroc
from unnoise.evaluation.metrics.memorised import Memorised
from unnoise.evaluation.metrics.metric import Metric
from unnoise.evaluation.metrics.modes import Modes
from unnoise.evaluation.metrics.precision_recall import PrecisionRecall
from unnoise.evaluation.metrics.reconstruction import Reconstruction
from unnoise.evaluation.metrics.restoration import Restoration
from unnoise.registry import Rows, lookup

__all__ = ["METRICS", "Metric", "find_metrics"]

METRICS: Rows[Metric] = Rows(
    "unnoise.metrics",
    (
        FrechetDistance(),
        KernelDistance(),
        InceptionScore(),
        PrecisionRecall(),
        Modes(),
        ClassAccuracy(),
        Memorised(),
        Restoration(),
        Reconstruction(),
        BitsPerDim(),
        FlowLikelihood(),
        OodAuroc(),
    ),
)


def named_metrics(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names, of which a text may hold several between commas, as on the command line."""
    return tuple(given.split(",") if isinstance(given, str) else given)


def find_metrics(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names or older names, each once.

    Raises:
        UserError: for a name that there is not.
    """
    known = {name: metric for metric in METRICS for name in metric.names}
    older = {alias: metric for metric in METRICS for alias in metric.aliases}
    return list(dict.fromkeys(older[name] if name in older else lookup(known, name, "metric") for name in names))
