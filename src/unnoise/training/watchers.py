"""What watches a training beside its loss: sample grids, losses on held-out images, the guard of small sets."""

from __future__ import annotations

import numpy as np

from unnoise.data.buckets import first_rows, of_shape
from unnoise.models import CanSample, Diffusion
from unnoise.runs.run import Run
from unnoise.training.copy_watch import WATCHED, CopyWatch
from unnoise.training.guard import EVERY, Drawing, Guard
from unnoise.training.levels import LevelLosses, count_within
from unnoise.training.log import TrainLog
from unnoise.training.noise_watch import NoiseWatch
from unnoise.training.previews import Painter, draws, preview_rows
from unnoise.training.settings import OFF, STOP
from unnoise.training.setup import Setup
from unnoise.training.trainer import Trainer
from unnoise.training.validation import Validation
from unnoise.training.variety import VarietyWatch

FORWARD = 1 / 3
"""How long a forward pass takes, of a training step."""
LOOKED_AT = 64
"""Images that samples are compared with, to tell whether they are noise."""


class Watchers:
    """Makes them for a training whose plan is measured.

    Attributes:
        seconds_each: of a forward pass of one image, by the plan.
    """

    def __init__(self, run: Run, setup: Setup, trainer: Trainer, log: TrainLog) -> None:
        assert run.plan is not None
        assert run.plan.measured is not None
        self.setup, self.trainer, self.log, self.folder = setup, trainer, log, run.folder
        self.seconds_each = FORWARD * run.plan.measured.step_seconds / setup.settings.batch_size
        self._seconds = trainer.seconds + run.plan.measured.left
        self._held_out = setup.held_out()
        self._judged = setup.images if self._held_out is None else self._held_out
        # Where there are buckets: those of them that have the model's shape.
        self._main = of_shape(setup.images, setup.model.shape) or setup.images.buckets[0]
        self._shown = of_shape(self._judged, setup.model.shape) or self._main

    def painter(self) -> Painter | None:
        """None for a model that draws nothing, and where no samples are wanted."""
        setup, shown = self.setup, self._shown
        if not draws(setup.model) or not setup.settings.samples:
            return None
        batch = shown.batch(preview_rows(shown, setup.settings.samples), setup.engine.device)
        variety = VarietyWatch(self._main) if setup.model.default_sampler() is None else None
        noise = NoiseWatch(self._main.batch(range(min(LOOKED_AT, len(self._main)))).image)
        more = {"noise": noise, "variety": variety, "seconds_each": self.seconds_each}
        return Painter(setup.model, setup.sampler, batch, self.folder, self.log, **more)

    def validation(self) -> Validation:
        """On the held-out images, or on those of the training where there are none."""
        guard = self._guard()
        between = EVERY if guard is not None else max(EVERY, 60 * self.setup.settings.save_every)
        return Validation(self.setup.validation(self._judged), self.log, self._levels(between), guard)

    def _levels(self, between: float) -> LevelLosses | None:
        """between: seconds from one measurement to the next, roughly."""
        setup, held_out = self.setup, self._held_out
        if held_out is None or not setup.objective.denoises or not isinstance(setup.model, Diffusion):
            return None
        rows = self.trainer.loader.rows
        count = count_within(between, self.seconds_each, min(len(held_out), len(rows)))
        chosen = np.random.default_rng(setup.seed).permutation(rows)[:count]
        return LevelLosses(
            setup.model,
            setup.batches(held_out, first_rows(held_out, count)),
            setup.batches(setup.images, np.sort(chosen)),
        )

    def _guard(self) -> Guard | None:
        setup, held_out = self.setup, self._held_out
        wanted = setup.settings.guard
        small = len(self.trainer.loader.rows) <= WATCHED
        if wanted == OFF or not small or not isinstance(setup.model, CanSample):
            return None
        watch = CopyWatch(setup.training_images(), setup.data.mirrors, held_out)
        if not watch.can_tell:
            return None
        drawing = Drawing(
            setup.model, setup.sampler, self._judged, self._seconds, self.seconds_each, setup.settings.batch_size
        )
        stops = wanted == STOP and held_out is not None
        return Guard(self.trainer, stops, watch, drawing, self.folder, self.log)
