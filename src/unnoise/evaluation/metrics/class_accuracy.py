"""Whether class-conditional samples show the class they were drawn for."""

from __future__ import annotations

from typing import ClassVar

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics.metric import Metric
from unnoise.evaluation.metrics.need import Need


class ClassAccuracy(Metric):
    """The fraction of class-conditional samples that the classifier takes for the class they were drawn for."""

    names: ClassVar = ("class_accuracy",)
    summary: ClassVar = "fraction of class-conditional samples that the classifier takes for the class asked for"
    needs: ClassVar = (Need.SAMPLES, Need.CONDITIONAL, Need.CLASSES)
    columns: ClassVar = (Column("class_accuracy", "class accuracy"),)

    def compute(self, context: Context) -> Result:
        labels = context.drawn.labels
        assert labels is not None
        right = float((context.extractor.probabilities(context.samples).argmax(1).numpy() == labels).mean())
        return {"class_accuracy": right, "class_accuracy_stderr": (right * (1 - right) / len(labels)) ** 0.5}
