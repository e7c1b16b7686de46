"""The Inception Score."""

from __future__ import annotations

from typing import ClassVar

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics.metric import Metric
from unnoise.evaluation.metrics.need import Need
from unnoise.metrics.inception_score import inception_score

SPLITS = 10


class InceptionScore(Metric):
    """The Inception Score by the feature space's own classes."""

    names: ClassVar = ("inception_score",)
    summary: ClassVar = "exp E KL(p(y|x) || p(y)) by the classes of the feature space (Salimans et al. 2016)"
    needs: ClassVar = (Need.SAMPLES, Need.PROBABILITIES)
    columns: ClassVar = (Column("inception_score", "inception score", "{:.2f}"),)

    def compute(self, context: Context) -> Result:
        splits = min(SPLITS, len(context.samples))
        found = inception_score(context.extractor.probabilities(context.samples), splits=splits)
        return {"inception_score": found.mean, "inception_score_std": found.std}
