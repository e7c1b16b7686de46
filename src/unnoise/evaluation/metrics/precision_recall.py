"""Precision, recall, density and coverage."""

from __future__ import annotations

from typing import ClassVar

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics.metric import Line, Metric
from unnoise.metrics.precision_recall import precision_recall


class PrecisionRecall(Metric):
    """Fidelity and variety apart, against as many reference images as there are samples."""

    names: ClassVar = ("precision", "recall", "density", "coverage")
    summary: ClassVar = (
        "fractions of samples and of data in each other's neighbourhoods, k = 3 (Kynkaanniemi et al. 2019), and with "
        "k = 5, robust to outliers (Naeem et al. 2020)"
    )
    columns: ClassVar = tuple(Column(name, name) for name in ("precision", "recall", "density", "coverage"))

    def compute(self, context: Context) -> Result:
        reference = context.as_many(context.reference)
        found = precision_recall(context.samples, reference)
        parts = {name: getattr(found, name) for name in self.names}
        return {
            **{name: estimate.value for name, estimate in parts.items()},
            **{f"{name}_stderr": estimate.stderr for name, estimate in parts.items()},
            "stderr_of": "repetitions that draw samples and reference images anew",
            "neighbours": {"k": found.k, "density_k": found.density_k, "references": len(reference)},
        }

    def lines(self, result: Result) -> list[Line]:
        return [(name, f"{result[name]:.4f}{_error(result[f'{name}_stderr'])}") for name in self.names]


def _error(value: float | None) -> str:
    return "" if value is None else f" +- {value:.4f}"
