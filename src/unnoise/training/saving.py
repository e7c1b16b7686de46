"""Where a training stands safely: its checkpoints, and the way back to the last of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from unnoise.errors import TrainingDiverged
from unnoise.runs.checkpoint import Checkpoint, UnsoundCheckpoint, prune, save_checkpoint
from unnoise.runs.run import CHECKPOINTS, is_run
from unnoise.training.log import TrainLog
from unnoise.training.trainer import Saved, Snapshot, Trainer
from unnoise.training.validation import Validation

SETBACKS = 5
"""How often a session goes back from numbers that are not finite before it gives up."""
SLOWER = 0.5
"""What the learning rate is multiplied by each time."""


class Saver:
    """Writes the checkpoints of a training, sound ones alone, and goes back to the last.

    Where several processes train, each has one: the first writes, and all go back together.

    Args:
        trainer: what is trained.
        folder: the run's.
        log: where setbacks are said and recorded.
        validation: what is measured before each checkpoint; None where another process does it.
        saved: the checkpoint that the trainer was restored from.
        clock: seconds.

    Attributes:
        at: when the last checkpoint was written.
        cost: seconds that it took.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        log: TrainLog,
        validation: Validation | None,
        saved: Checkpoint | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trainer, self.folder, self.log, self.validation = trainer, folder, log, validation
        self.clock, self.world = clock, trainer.world
        self.at, self.cost = clock(), 0.0
        self._sound: Saved = saved or Snapshot(trainer)
        self._step = trainer.step if saved else None
        self._end = trainer.finished_minutes
        self._setbacks = 0

    def save(self, last_allowed: float | None) -> bool:
        """Writes a checkpoint where there is none of this step yet; False where it was not sound and the run went back.

        last_allowed: of a training at its end, the seconds that the guard's last look may take.

        Raises:
            OSError: where the run's folder is gone, or cannot be written.
        """
        trainer = self.trainer
        if trainer.step == self._step and trainer.finished_minutes == self._end:
            return True
        begun = self.clock()
        (unsound,) = self.world.agree(self.world.is_first and not self._write(last_allowed))
        if unsound:
            self.go_back("the weights are not finite")
            return False
        self._sound = Checkpoint(self.folder / CHECKPOINTS / str(trainer.step))
        self._step, self._end = trainer.step, trainer.finished_minutes
        self.at = self.clock()
        self.cost = self.at - begun
        return True

    def _write(self, last_allowed: float | None) -> bool:
        """Validates and writes a checkpoint; False where a weight is not finite. One of this step that does not know
        yet that the run is at its end is written again, and not validated again."""
        trainer, root = self.trainer, self.folder / CHECKPOINTS
        if not is_run(self.folder):
            raise OSError(f"{self.folder} has been moved or removed while it was trained; step {trainer.step} is lost")
        if trainer.step != self._step:
            assert self.validation is not None
            self.validation.measure(trainer, last_allowed)
        try:
            with self.log.phase("saving"):
                save_checkpoint(root, trainer.tensors(), trainer.optimizer_states(), trainer.state())
        except UnsoundCheckpoint:
            return False
        prune(root, trainer.settings.keep, trainer.best[1])
        return True

    def go_back(self, reason: str) -> None:
        """To where the run was last sound, from where it goes on at a lower rate.

        Raises:
            TrainingDiverged: where that was done SETBACKS times already.
        """
        trainer, here, factor = self.trainer, self.trainer.step, self.trainer.rate_factor
        rate = trainer.learning_rate
        trainer.restore(self._sound)
        self._setbacks += 1
        where = f"step {trainer.step}" if trainer.step else "the start"
        if self._setbacks > SETBACKS:
            raise TrainingDiverged(
                f"step {here}: {reason} at learning rate {rate:.3g}, the {SETBACKS + 1}th time; the run is as it was "
                f"at {where}. Give the same command with a lower train.learning_rate, or train.precision=fp32"
            )
        trainer.rate_factor = SLOWER * factor
        self.log.drop_after(trainer.step)
        self.log.record(trainer.step, {"went_back_from": here, "rate_factor": trainer.rate_factor})
        text = f"{reason}; back from step {here} to {where}, at {trainer.rate_factor:g} times the learning rate"
        self.log.warn(trainer.step, text)
