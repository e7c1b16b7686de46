"""`unnoise.load`: the model of a run, wherever it is."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from unnoise.models.image_model import ImageModel
from unnoise.networks.own import register
from unnoise.runs.hub import is_hub, pulled
from unnoise.runs.run import Run


def load(run: Run | str | Path, device: str | None = None, *, network: type[nn.Module] | None = None) -> ImageModel:
    """The trained model of a run: averaged weights, eval mode.

    Args:
        run: as `train` returns it; its folder; or a published one, `hf://USER/NAME` or `hf://USER/NAME@REVISION`, which
            is fetched into the cache once.
        device: by default the best there is.
        network: the class of a network of your own that the run was trained with; nothing is imported by a name in a
            file.
    """
    if network is not None:
        register(network)
    if isinstance(run, str) and is_hub(run):
        return pulled(run).load(device)
    return Run.open(run).load(device)
