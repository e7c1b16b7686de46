"""Runs and their models, kept between tasks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from unnoise.aliases import Record
from unnoise.models import ImageModel
from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.run import Run
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.guidance_options import GuidanceOptions

KEPT = 3
_loaded: OrderedDict[tuple[str, int], ImageModel] = OrderedDict()


def open_run(folder: str) -> tuple[Run, ImageModel]:
    """A run and the model of its newest checkpoint."""
    run = Run.open(folder)
    saved = checkpoints(run.folder / "checkpoints")
    key = folder, saved[-1].step if saved else -1
    if key not in _loaded:
        _loaded[key] = run.load()
        while len(_loaded) > KEPT:
            _loaded.popitem(last=False)
    _loaded.move_to_end(key)
    return run, _loaded[key]


def asked_of(request: Record, run: Run, model: ImageModel) -> tuple[Any, Any]:
    """The conditions and the guidance of a request, as the model takes them."""
    conditions = SampleConditions(**{name: value for name, value in request["conditions"].items() if value is not None})
    cond = conditions.for_model(model, run.classes)
    return cond, GuidanceOptions(request["guidance"]).for_model(model, cond)
