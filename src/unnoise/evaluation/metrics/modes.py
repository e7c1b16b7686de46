"""Classes of the data among the samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Entry, Figure, Result
from unnoise.evaluation.metrics.metric import Line, Metric
from unnoise.evaluation.metrics.need import Need
from unnoise.evaluation.plots import bars
from unnoise.metrics.modes import mode_coverage

SHOWN = 7
"""Rows of a comparison at most whose classes are drawn beside the data's."""


def _covered(result: Result) -> str | None:
    return f"{result['modes']['covered']}/{result['modes']['of']}" if "modes" in result else None


class Modes(Metric):
    """The fraction of every class among the samples, beside the data's: dropped modes show here."""

    names: ClassVar = ("modes",)
    summary: ClassVar = (
        "fraction of every class among the samples, classes that are missing, KL to the data's fractions"
    )
    needs: ClassVar = (Need.SAMPLES, Need.CLASSES)
    columns: ClassVar = (Column("modes", "modes", "{}", value=_covered),)

    def compute(self, context: Context) -> Result:
        predicted = context.extractor.probabilities(context.samples).argmax(1)
        names = context.train.classes
        found = mode_coverage(predicted, np.array(context.reference_images.labels), classes=len(names))
        return {
            "modes": {
                "covered": found.covered,
                "of": len(names),
                "missing": [names[index] for index in found.missing],
                "missing_expected": found.missing_expected,
                "kl": found.kl,
                "kl_baseline": found.kl_baseline,
                "fractions": dict(zip(names, found.fractions.tolist(), strict=True)),
                "data_fractions": dict(zip(names, found.data_fractions.tolist(), strict=True)),
            }
        }

    def lines(self, result: Result) -> list[Line]:
        modes = result["modes"]
        missing = f", missing {', '.join(modes['missing'])}" if modes["missing"] else ""
        kl = f"KL to the data {modes['kl']:.4f} nats (perfect samples: {modes['kl_baseline']:.4f})"
        return [("modes", f"{modes['covered']} of {modes['of']}{missing}; {kl}")]

    def warnings(self, entry: Entry) -> list[str]:
        """Classes left out by more than chance explains (two standard deviations)."""
        if "modes" not in entry.result:
            return []
        modes = entry.result["modes"]
        expected = modes["missing_expected"]
        if len(modes["missing"]) <= expected + 2 * math.sqrt(expected):
            return []
        return [
            f"{entry.title} leaves out {len(modes['missing'])} of {modes['of']} classes "
            f"({', '.join(modes['missing'])}): mode collapse, or too little training"
        ]

    def figures(self, entries: Sequence[Entry]) -> list[Figure]:
        counted = [entry for entry in entries if "modes" in entry.result]
        if not counted:
            return []
        modes = counted[0].result["modes"]
        groups = {"data": list(modes["data_fractions"].values())}
        groups |= {entry.title: list(entry.result["modes"]["fractions"].values()) for entry in counted[:SHOWN]}
        return [Figure("Fraction of each class", bars(groups, list(modes["fractions"]), y="fraction"))]
