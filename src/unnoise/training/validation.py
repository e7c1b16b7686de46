"""What is measured on held-out images whenever a checkpoint is saved, and which checkpoint is the best by it."""

from __future__ import annotations

import math
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

    def due(self) -> bool:
        """Whether the guard wants to look, whatever else is saved."""
        return self.guard is not None and self.guard.due()

    @property
    def cost(self) -> float:
        """Seconds that the guard's look takes at the end."""
        return 0.0 if self.guard is None else self.guard.cost

    @property
    def why(self) -> str:
        """Why the guard ends the training; '' where it does not."""
        return self.guard.why if self.guard is not None and self.guard.stops else ""

    def measure(self, trainer: Trainer, *, last: bool) -> None:
        """Validates and records where the training stands. last: whether it is at its end."""
        looking = self.due() or (last and self.guard is not None)
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
