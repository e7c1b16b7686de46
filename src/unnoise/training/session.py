"""A training session: steps until a limit or a signal, with logs, checkpoints and sample grids on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from unnoise.data.batch import Batch
from unnoise.runs.checkpoint import prune, save_checkpoint
from unnoise.training.interrupt import Interrupt
from unnoise.training.log import TrainLog, peak_memory_gib
from unnoise.training.step import StepResult
from unnoise.training.trainer import Trainer


class Session:
    """One sitting of a run.

    folder: the run's. validation: fixed batches that decide which checkpoint is best. draw: writes a sample grid for a
    step from the averaged weights.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        log: TrainLog,
        validation: list[Batch],
        draw: Callable[[int], None] | None = None,
    ) -> None:
        self.trainer, self.folder, self.log, self.validation, self.draw = trainer, folder, log, validation, draw
        self.settings = trainer.settings
        self._begun, self._begun_seconds, self._begun_step = time.monotonic(), trainer.seconds, trainer.step
        self._saved = self._drawn = self._begun
        self._stepping = 0.0
        self.loss = math.nan
        self._warned: str | None = None

    def run(self) -> dict[str, Any]:
        """Trains to the end; returns steps, images, seconds, images_per_second, loss, stopped."""
        devices = [torch.cuda.current_device()] if self.trainer.engine.device.startswith("cuda") else []
        with Interrupt() as interrupt, torch.random.fork_rng(devices):
            while not self._finished() and not interrupt.asked:
                results = self._step()
                self.trainer.seconds = self._begun_seconds + time.monotonic() - self._begun
                if self.trainer.step % self.settings.log_every == 0 or self._finished():
                    self._report(results)
                if self._due(self._saved, self.settings.save_every):
                    self._save()
                if self._due(self._drawn, self.settings.draw_every):
                    self._draw()
            if interrupt.asked:
                self.log.say(f"{interrupt.asked}: finished step {self.trainer.step}, saving")
            if self.trainer.step > self._begun_step:
                self._save()
                self._draw()
        return self._summary(interrupt.asked or "done")

    def _finished(self) -> bool:
        minutes = self.settings.minutes
        return self.trainer.step >= self.settings.steps or 0 < minutes * 60 <= self.trainer.seconds

    def _due(self, last: float, minutes: float) -> bool:
        return not self._finished() and time.monotonic() - last >= minutes * 60

    def _report(self, results: dict[str, StepResult]) -> None:
        begun = time.monotonic()  # reading a value waits for the device, which is stepping time too
        values = {name: float(value) for result in results.values() for name, value in result.parts.items()}
        norms = {name: float(result.grad_norm) for name, result in results.items()}
        values["grad_norm"] = max(norms.values())
        if len(norms) > 1:
            values |= {f"grad_norm_{name}": norm for name, norm in norms.items()}
        self._stepping += time.monotonic() - begun
        self.loss = next(iter(values.values()))
        values["loss"] = self.loss
        if not math.isfinite(self.loss):
            raise FloatingPointError(
                f"the loss is {self.loss} at step {self.trainer.step}: lower train.learning_rate, or set "
                "train.precision=fp32; the same command resumes from the last checkpoint"
            )
        values["images_per_second"] = self._rate() * self.settings.batch_size
        values["memory_gib"] = peak_memory_gib(self.trainer.engine.device)
        self.log.record(self.trainer.step, {name: round(value, 6) for name, value in values.items()})
        self._warn(values)
        self.log.progress(self.trainer.step, self.trainer.seconds / 60, self._left(), values)

    def _warn(self, values: dict[str, float]) -> None:
        """Says what the objective finds wrong, once for as long as it lasts."""
        found = self.trainer.objective.diagnose(values)
        kind = None if found is None else found.split(":")[0]
        if found is not None and kind != self._warned:
            self.log.say(f"step {self.trainer.step}: {found}")
        self._warned = kind

    def _step(self) -> dict[str, StepResult]:
        begun = time.monotonic()
        results = self.trainer.advance()
        self._stepping += time.monotonic() - begun
        return results

    def _rate(self) -> float:
        """Steps per second of this session, without the time for checkpoints and pictures."""
        return (self.trainer.step - self._begun_step) / max(1e-9, self._stepping)

    def _left(self) -> float:
        by_steps = (self.settings.steps - self.trainer.step) / max(1e-9, self._rate())
        by_time = self.settings.minutes * 60 - self.trainer.seconds if self.settings.minutes else math.inf
        return min(by_steps, by_time)

    def _save(self) -> None:
        trainer = self.trainer
        value = trainer.validate(self.validation) if self.validation else math.inf
        if value < trainer.best[0]:
            trainer.best = (value, trainer.step)
        self.log.record(trainer.step, {"validation_loss": round(value, 6)})
        root = self.folder / "checkpoints"
        save_checkpoint(root, trainer.tensors(), [o.state_dict() for o in trainer.optimizers], trainer.state())
        prune(root, self.settings.keep, trainer.best[1])
        self._saved = time.monotonic()

    def _draw(self) -> None:
        if self.draw is not None and self.settings.samples:
            self.trainer.model.eval()
            with self.trainer.ema.applied():
                self.draw(self.trainer.step)
        self._drawn = time.monotonic()

    def _summary(self, stopped: str) -> dict[str, Any]:
        trainer = self.trainer
        return {
            "steps": trainer.step,
            "images": trainer.step * self.settings.batch_size,
            "seconds": round(trainer.seconds, 3),
            "images_per_second": round(self._rate() * self.settings.batch_size, 2),
            "loss": None if math.isnan(self.loss) else round(self.loss, 6),
            "stopped": stopped,
        }
