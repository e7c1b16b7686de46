"""A run folder around a model that somebody else trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

import unnoise
from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.files import claim
from unnoise.models.assembly import model_spec
from unnoise.objectives.assembly import objective_spec
from unnoise.registry import build, spec_of
from unnoise.runs.checkpoint import save_checkpoint
from unnoise.runs.config import plain, read_recipe, write_config
from unnoise.runs.run import CHECKPOINTS, CONFIG_FILE, Run
from unnoise.samplers import SAMPLERS
from unnoise.sources import resolved
from unnoise.training.settings import DataSettings, TrainSettings, section
from unnoise.training.setup import build_parts

RECIPE = "ddpm-diffusers"
"""Whose training settings an imported run has, for those who train on."""
OBJECTIVE = {"kind": "denoising"}
UNKNOWN_SOURCE = "imported"


def new_run(
    out: Path,
    model: Spec,
    weights: Mapping[str, Tensor],
    *,
    shape: tuple[int, int, int],
    classes: Sequence[str],
    sampler: Spec,
    objective: Spec = OBJECTIVE,
    raw: Mapping[str, Tensor] | None = None,
    source: str = "",
) -> Run:
    """A run with one checkpoint, of step 0.

    Args:
        out: its folder, which must be new or empty.
        model: the [model] section.
        weights: name in the model's state dict -> value; what is not among them keeps what the model is built with.
        shape: (C, H, W) of the images.
        classes: names of the classes.
        sampler: the [sampler] section.
        objective: the [objective] section, for those who train on.
        raw: the weights of which `weights` are an average, where both are known.
        source: the images that the model was trained on, where they are known.

    Raises:
        UserError: where the folder is taken, or the weights do not fit the model.
    """
    claim(out)
    recipe = read_recipe(RECIPE)
    with torch.random.fork_rng(devices=[]):
        built, trains = build_parts({"model": model, "objective": objective}, shape, len(classes))
    averages, own = (_fitted(built, found) for found in (weights, weights if raw is None else raw))
    channels, height, width = shape
    config = {
        "unnoise": unnoise.__version__,
        "recipe": RECIPE,
        "source": resolved(source) if source else UNKNOWN_SOURCE,
        "seed": 0,
        "found": {
            "images": 1,
            "channels": channels,
            "height": height,
            "width": width,
            "classes": list(classes),
            "fingerprint": "",
        },
        "data": asdict(section(DataSettings, recipe["data"], "data")),
        "model": model_spec(built),
        "objective": objective_spec(trains),
        "sampler": spec_of(SAMPLERS, build(SAMPLERS, sampler, "sampler")),
        "train": asdict(section(TrainSettings, recipe["train"], "train")),
    }
    save_checkpoint(out / CHECKPOINTS, {"model": own, "ema": averages}, [], {"step": 0})
    write_config(out / CONFIG_FILE, plain(config))
    return Run.open(out)


def _fitted(model: torch.nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's state with these weights; UserError names those that are missing, too many, or of another shape."""
    own = model.state_dict()
    unknown = sorted(set(weights) - set(own))
    # What a conditioner or a codec adds may stay as it is built; a network is read whole.
    missing = sorted(name for name in own if name.startswith("network.") and name not in weights)
    if unknown or missing:
        text = f"has no {missing[0]}" if missing else f"holds {unknown[0]}, which the network does not have"
        raise UserError(f"the weights do not fit the configuration beside them: the file {text}")
    for name, value in weights.items():
        if own[name].shape != value.shape:
            raise UserError(f"the weight {name} has the shape {tuple(value.shape)}, not {tuple(own[name].shape)}")
    return {**own, **weights}
