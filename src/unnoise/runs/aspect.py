"""Which of a run's buckets is meant by an aspect ratio."""

from __future__ import annotations

import re

from unnoise.errors import UserError
from unnoise.io.geometry import nearest_bucket
from unnoise.models import ImageModel
from unnoise.runs.run import Run

ASPECT = re.compile(r"(\d{1,5}(?:\.\d{1,5})?):(\d{1,5}(?:\.\d{1,5})?)", re.ASCII)


def at_aspect(run: Run, model: ImageModel, aspect: str | None) -> ImageModel:
    """The model of a run for images of the bucket that is nearest to an aspect ratio; as it is without one.

    Args:
        run: trained with data.fit=buckets, where an aspect ratio is given.
        model: of the run.
        aspect: 'W:H', such as '3:2'; None for the bucket with most images.

    Raises:
        UserError: for a text that is no aspect ratio, and for a run with one shape.
    """
    if aspect is None:
        return model
    found = ASPECT.fullmatch(aspect)
    width, height = (float(side) for side in found.groups()) if found else (0.0, 0.0)
    if not width or not height:
        raise UserError(f"an aspect ratio is written W:H, such as 3:2; got {aspect!r}")
    if not run.buckets:
        _, high, wide = run.shape
        raise UserError(
            f"{run.folder} draws images of {wide}x{high} only: leave --aspect out, or train with --set data.fit=buckets"
        )
    return model.resized(run.buckets[nearest_bucket(run.buckets, width, height)])
