"""Sampling as it happens: x_t beside x_0 after every step."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from unnoise.aliases import Record
from unnoise.models import CanDenoise, CanSample, ImageModel
from unnoise.models.image_model import require
from unnoise.registry import build, spec_of
from unnoise.runtime.precision import chosen_precision, computing_in
from unnoise.samplers import SAMPLERS, Point, Sampler
from unnoise.samplers.spec import sampler_text
from unnoise.sampling.conditions import rows_of
from unnoise.studio.tasks.models import asked_of, open_run
from unnoise.studio.tasks.pictures import sheet, tiles
from unnoise.studio.worker import Emit

FRAMES = 60
"""Steps that are shown at most; of more, as many at equal distances."""


@torch.no_grad()
def sample(request: Record, emit: Emit) -> Record:
    """Emits a frame for the noise and one after every step; gives the grid, and what draws it again."""
    run, model = open_run(request["run"])
    drawing = require(model, CanSample, "sampling")
    cond, guide = asked_of(request, run, model)
    chosen = None if request["sampler"] is None else build(SAMPLERS, request["sampler"], "sampler")
    sampler = chosen or model.default_sampler()
    seeds = range(request["seed"], request["seed"] + request["number"])
    begun = time.perf_counter()
    shown = _Shown(model, 1 if sampler is None else sampler.steps, emit)
    shown.noise(drawing, seeds)
    x = torch.empty(0)
    with computing_in(model.device, chosen_precision(model.device)):
        rows = rows_of(cond, 0, len(seeds))
        for point in drawing.stream(seeds, rows, sampler, guide):
            shown.step(drawing, point)
            x = point.x
    images = drawing.decode_point(x)
    return {
        "sheet": sheet(images),
        "tiles": tiles(images),
        "seconds": round(time.perf_counter() - begun, 3),
        "sampler": None if sampler is None else spec_of(SAMPLERS, sampler),
        "command": _command(request, sampler),
        "python": _python(request, sampler),
    }


class _Shown:
    """Turns a stream of points into frames."""

    def __init__(self, model: ImageModel, steps: int, emit: Emit) -> None:
        self.model, self.steps, self.emit = model, steps, emit
        self.every = max(1, math.ceil(steps / FRAMES))
        self.index = 0

    def noise(self, drawing: CanSample, seeds: Sequence[int]) -> None:
        """What it begins with, before the first network call."""
        if isinstance(self.model, CanDenoise):
            x, schedule = drawing.prior(seeds), self.model.schedule
            self._emit(schedule.t_max, _look(drawing, x / schedule.prior_std), None)

    def step(self, drawing: CanSample, point: Point) -> None:
        self.index += 1
        if self.index % self.every and self.index < self.steps:
            self.emit({"event": "step", "index": self.index, "of": self.steps})
            return
        scale = 1.0
        if isinstance(self.model, CanDenoise):
            schedule = self.model.schedule
            scale = max(1.0, float(schedule.alpha(point.t) ** 2 + schedule.sigma(point.t) ** 2) ** 0.5)
        x_0 = None if point.denoised is None else _look(drawing, point.denoised.x_0)
        self._emit(point.t, _look(drawing, point.x / scale), x_0)

    def _emit(self, t: float, x: str, x_0: str | None) -> None:
        log_snr = float(self.model.schedule.log_snr(t)) if isinstance(self.model, CanDenoise) and t > 0 else None
        frame = {"t": float(t), "log_snr": log_snr, "x": x, "x_0": x_0}
        self.emit({"event": "frame", "index": self.index, "of": self.steps, **frame})


def _look(drawing: CanSample, x: torch.Tensor) -> str:
    return tiles(drawing.decode_point(x))


def _python(request: Record, sampler: Sampler | None) -> str:
    """The call that gives the same images."""
    seeds = f"range({request['seed']}, {request['seed'] + request['number']})"
    chosen = "" if sampler is None else f", sampler=unnoise.samplers.{sampler!r}"
    return f"unnoise.load({_short(request['run'])!r}).sample(seeds={seeds}{chosen})"


def _short(folder: str) -> str:
    """Relative to the working folder where it lies in it, as one would type it."""
    path, here = Path(folder), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else folder


def _command(request: Record, sampler: Sampler | None) -> str:
    """The command line that gives the same picture."""
    options = [] if sampler is None else ["--sampler", sampler_text(sampler)]
    for name, value in request["conditions"].items():
        options += [] if value is None else [f"--{name}", str(value)]
    if request["guidance"] != 1:
        options += ["--guidance", f"{request['guidance']:g}"]
    how = ["-n", str(request["number"]), "--seed", str(request["seed"])]
    return shlex.join(["unnoise", "sample", _short(request["run"]), *how, *options, "--out", "samples.png"])
