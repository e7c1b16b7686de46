"""What is measured on held-out images whenever a checkpoint is saved, and which checkpoint is the best by it."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass

from unnoise.data import Batch
from unnoise.training.guard import Guard
from unnoise.training.levels import LevelLosses
from unnoise.training.log import TrainLog
from unnoise.training.trainer import Trainer


@dataclass(frozen=True)
class Validation:
    """batches: fixed ones, whose loss decides which checkpoint is best. levels: the losses by noise level, of a
    diffusion model with held-out images. guard: of a small set."""

    batches: list[Batch]
    log: TrainLog
    levels: LevelLosses | None = None
    guard: Guard | None = None

    def due(self, since: float, saving: float) -> bool:
        """Whether the guard wants to look, and so a checkpoint is wanted.

        since: seconds since the last one; saving: seconds that it took.
        """
        return self.guard is not None and self.guard.due(since, saving)

    def closing(self, allowed: float) -> float:
        """Seconds that the guard's look at the end takes, which is left away where it takes more than allowed."""
        return self.guard.cost if self.guard is not None and self.guard.cost <= allowed else 0.0

    @property
    def why(self) -> str:
        """Why the guard ends the training; '' where it does not."""
        return self.guard.why if self.guard is not None and self.guard.stops else ""

    def measure(self, trainer: Trainer, last_allowed: float | None) -> None:
        """Validates and records where the training stands.

        last_allowed: of a training at its end, the seconds that the guard's last look may take.
        """
        looking = (self.guard is not None and self.guard.due()) or (
            last_allowed is not None and self.closing(last_allowed) > 0
        )
        with self.guard.timed() if self.guard is not None and looking else nullcontext():
            with self.log.phase("validating"):
                value = trainer.validate(self.batches) if self.batches else math.inf
                wanted = self.levels is not None and (looking or self.levels.due())
                losses = self.levels.measure(trainer) if self.levels is not None and wanted else None
            by_level = {} if losses is None else losses.record()
            self.log.record(trainer.step, {"validation_loss": round(value, 6), **by_level})
            if looking and self.guard is not None:
                self.guard.look(losses)
        before_copying = self.guard is None or not self.guard.why or trainer.best[1] is None
        if value < trainer.best[0] and before_copying:
            trainer.best = (value, trainer.step)
