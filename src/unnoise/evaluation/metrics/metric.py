"""What a metric is: its names, what it needs, how it is computed, and how it is shown.

A new metric is one class and one row in `METRICS` (`evaluation/metrics/__init__.py`): `unnoise evaluate`, `unnoise
compare`, its page, the command line and its help read the rest from the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from unnoise.errors import NotApplicable
from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Entry, Figure, Result, Section
from unnoise.evaluation.metrics.need import Need, lacking

Line = tuple[str, str]
"""A heading and a text, as `unnoise evaluate` prints them."""


class Metric(ABC):
    """A measurement. The class attributes say what it is; `compute` makes its entries of a result.

    names: what `--metrics` takes it by; several where one computation gives several numbers. aliases: older names.
    summary: one sentence for help and documentation, with the source where there is one.
    """

    names: ClassVar[tuple[str, ...]]
    aliases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]] = (Need.SAMPLES,)
    columns: ClassVar[tuple[Column, ...]] = ()

    @property
    def of_samples(self) -> bool:
        """Whether it looks at samples; what does not is the same for every sampler."""
        return Need.SAMPLES in self.needs

    def measure(self, context: Context) -> Result:
        """The metric's entries of a result.

        Raises:
            NotApplicable: where this target, data or feature space does not have it.
        """
        self.check(context)
        return self.compute(context)

    def check(self, context: Context) -> None:
        """Raises NotApplicable where this target, data or feature space does not have it."""
        for need in self.needs:
            if reason := lacking(need, context):
                raise NotApplicable(f"{self.names[0]} {reason}")

    @abstractmethod
    def compute(self, context: Context) -> Result:
        """The entries, JSON all of them; everything in `needs` is there."""

    def lines(self, result: Result) -> list[Line]:
        """What `unnoise evaluate` prints of a result that has the metric."""
        found = [(column, column.of(result)) for column in self.columns]
        return [(column.title([result]), column.text(value)) for column, value in found if value is not None]

    def pairs(self, context: Context, result: Result) -> np.ndarray | None:
        """Pairs of images (K, 2, C, H, W) uint8 that the page of a comparison shows."""
        return None

    def warnings(self, entry: Entry) -> list[str]:
        """What a reader of an entry's numbers must know."""
        return []

    def figures(self, entries: Sequence[Entry]) -> list[Figure]:
        """Figures of a comparison; every entry has the metric or lacks it."""
        return []

    def sections(self, entries: Sequence[Entry]) -> list[Section]:
        """Tables and galleries of a comparison."""
        return []
