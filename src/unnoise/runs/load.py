"""`unnoise.load`: the model of a run, wherever it is."""

from __future__ import annotations

from pathlib import Path

from unnoise.models.image_model import ImageModel
from unnoise.runs.hub import is_hub, pulled
from unnoise.runs.run import Run


def load(run: Run | str | Path, device: str | None = None) -> ImageModel:
    """The trained model of a run: averaged weights, eval mode.

    Args:
        run: as `train` returns it; its folder; or a published one, `hf://USER/NAME` or `hf://USER/NAME@REVISION`, which
            is fetched into the cache once.
        device: by default the best there is.
    """
    if isinstance(run, str) and is_hub(run):
        return pulled(run).load(device)
    return Run.open(run).load(device)
