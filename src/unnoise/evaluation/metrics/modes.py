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
from unnoise.metrics.precision_recall import inside

MANIFOLD = 5000
"""Reference images at most whose neighbourhoods say which samples look like the data."""
NEIGHBOUR = 5
"""The neighbour that a neighbourhood reaches to."""
SHOWN = 7
"""Rows of a comparison at most whose classes are drawn beside the data's."""


def _covered(result: Result) -> str | None:
    return f"{result['modes']['covered']}/{result['modes']['of']}" if "modes" in result else None


class Modes(Metric):
    """The fraction of every class among the samples, beside the data's: dropped modes show here.

    A classifier gives every image some class, noise too, so only samples in the neighbourhood of a reference image
    count.
    """

    names: ClassVar = ("modes",)
    summary: ClassVar = (
        "fraction of every class among the samples, classes that are missing, KL to the data's fractions"
    )
    needs: ClassVar = (Need.SAMPLES, Need.CLASSES)
    columns: ClassVar = (Column("modes", "modes", "{}", value=_covered),)

    def compute(self, context: Context) -> Result:
        predicted = context.extractor.probabilities(context.samples).argmax(1)
        counted = inside(context.samples, context.features_at(context.reference_images, MANIFOLD), k=NEIGHBOUR)
        names = context.train.classes
        labels = np.array(context.reference_images.labels)
        found = mode_coverage(predicted[counted], labels, classes=len(names))
        return {
            "modes": {
                "samples": len(counted),
                "counted": int(counted.sum()),
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
        divergence, perfect = (
            "infinite" if modes[key] is None else f"{modes[key]:.4f}" for key in ("kl", "kl_baseline")
        )
        kl = f"KL to the data {divergence} nats (perfect samples: {perfect})"
        counted = f"{modes['counted']} of {modes['samples']} samples look like the data and count"
        return [("modes", f"{modes['covered']} of {modes['of']}{missing}; {counted}; {kl}")]

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
