"""How bright samples are beside the reference."""

from __future__ import annotations

from typing import Any, ClassVar

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.metrics import Metric


class Brightness(Metric):
    """The mean level of the samples minus that of the reference, 0 to 255. The entry point has the metric's name."""

    names: ClassVar = ("brightness",)
    summary: ClassVar = "mean level of the samples minus that of the reference"
    columns: ClassVar = (Column("brightness", "brightness"),)

    def compute(self, context: Context) -> dict[str, Any]:
        return {"brightness": float(context.drawn.pixels.mean()) - float(context.reference_images.pixels.mean())}
