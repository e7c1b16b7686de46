"""Copies of training images among samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import REFERENCE_MOST, Context, some_rows
from unnoise.evaluation.entry import Entry, Result, Section, pair_cards
from unnoise.evaluation.metrics.metric import Metric
from unnoise.evaluation.metrics.need import Need
from unnoise.metrics.memorisation import memorisation


class Memorised(Metric):
    """The fraction of samples that lie nearer to a training image than held-out images do, and the closest pairs."""

    names: ClassVar = ("memorised",)
    summary: ClassVar = (
        "fraction of samples as near to a training image as the nearest 1 % of held-out images are "
        "(after Meehan et al. 2020)"
    )
    needs: ClassVar = (Need.SAMPLES, Need.HELD_OUT)
    columns: ClassVar = (Column("memorised", "memorised"),)

    def compute(self, context: Context) -> Result:
        assert context.test is not None
        held_out = context.features_at(context.test, len(context.samples))
        found = memorisation(context.samples, context.training, held_out)
        return {"memorised": found.fraction, "memorisation": found.summary()}

    def pairs(self, context: Context, result: Result) -> np.ndarray | None:
        """The samples nearest to a training image beside it."""
        rows = some_rows(context.train, REFERENCE_MOST)
        found = [(pair["sample"], rows[pair["training"]]) for pair in result["memorisation"]["closest"]]
        return np.stack([np.stack([context.drawn.pixels[i], context.train.pixels[j]]) for i, j in found])

    def sections(self, entries: Sequence[Entry]) -> list[Section]:
        cards = pair_cards(
            [(entry, _caption(entry.result)) for entry in entries if "memorised" in entry.result], "memorised"
        )
        text = (
            "The samples that lie closest to a training image, each with that image to its right. Copies look the "
            "same; new images of the same kind only look alike."
        )
        return [Section("Nearest training images", text, cards=cards)] if cards else []


def _caption(result: Result) -> str:
    return (
        f"{100 * result['memorised']:.1f} % of the samples lie as near to a training image as the nearest "
        f"{100 * result['memorisation']['expected']:.1f} % of held-out images do; much more than that would be copying."
    )
