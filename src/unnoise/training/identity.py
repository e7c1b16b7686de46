"""Whether a folder holds the run that a command describes, or another one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from unnoise.errors import UserError
from unnoise.models.assembly import model_spec
from unnoise.objectives.assembly import objective_spec
from unnoise.registry import build, spec_of
from unnoise.runs.config import Config, difference, plain, read_config
from unnoise.runs.run import CONFIG_FILE, Run, is_run
from unnoise.samplers import SAMPLERS
from unnoise.training.settings import BEFORE, DataSettings, TrainSettings, section
from unnoise.training.setup import build_parts

RATE_AND_PRECISION = tuple(
    f"train.{name}" for name in ("learning_rate", "warmup", "decay", "clip", "precision", "compile", "channels_last")
)
"""Keys that a resumed run may change although its steps then compute something else; the change is recorded."""

FREE_TO_CHANGE = {
    "unnoise",
    "recipe",
    "sampler.grid",  # only drawings depend on it, and what it is by default has changed
    "source",  # the images are compared themselves, by their fingerprint
    *(f"train.{name}" for name in ("steps", "minutes", "save_every", "draw_every", "log_every", "keep", "samples")),
    *("train.guard", "train.tensorboard", "train.trackers"),
    *RATE_AND_PRECISION,
}
"""Keys that a resumed run may give other values."""


def check_same(run: Run) -> dict[str, list[Any]]:
    """Compares a run with the configuration that its folder holds.

    Returns:
        What was changed of RATE_AND_PRECISION: key -> [before, now].

    Raises:
        UserError: where the folder holds another run.
    """
    if not is_run(run.folder):
        return {}
    stored = completed(read_config(run.folder / CONFIG_FILE)[0], run.folder)
    changed = difference(run.config, stored, FREE_TO_CHANGE)
    if changed:
        raise UserError(
            f"{run.folder} holds another run: {changed}; give the same options to resume it, or another --out"
        )
    before, now = stored["train"], run.config["train"]
    names = [key.removeprefix("train.") for key in RATE_AND_PRECISION]
    return {f"train.{name}": [before[name], now[name]] for name in names if before[name] != now[name]}


def completed(config: Config, folder: Path) -> Config:
    """A stored configuration with the defaults of keys that were unknown when it was written."""
    found = config["found"]
    shape = (found["channels"], found["height"], found["width"])
    with torch.random.fork_rng(devices=[]):  # building draws weights, which are thrown away
        model, objective = build_parts(config, shape, len(found["classes"]))
    sampler = config.get("sampler")
    return plain(
        {
            **config,
            "data": asdict(section(DataSettings, {**BEFORE, **config["data"]}, f"data in {folder}")),
            "model": model_spec(model),
            "objective": objective_spec(objective),
            "sampler": None if sampler is None else spec_of(SAMPLERS, build(SAMPLERS, sampler, "sampler")),
            "train": asdict(section(TrainSettings, config["train"], f"train in {folder}")),
        }
    )
