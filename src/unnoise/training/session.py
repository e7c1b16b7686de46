"""One sitting of a run: steps until a limit or a signal, with logs, checkpoints and sample grids on the way.

`train` makes one and runs it; it calls `Trainer.advance` for every step. Where several processes train, each runs a
session: the first writes, draws and looks at the clock, and what depends on these it decides for all.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch

from unnoise.aliases import Record
from unnoise.runs.checkpoint import Checkpoint
from unnoise.runtime.device import cuda_index
from unnoise.training.interrupt import Interrupt
from unnoise.training.log import TrainLog, peak_memory_gib
from unnoise.training.page import LivePage
from unnoise.training.page_content import Standing
from unnoise.training.previews import Painter
from unnoise.training.saving import Saver
from unnoise.training.trainer import StepResult, Trainer
from unnoise.training.validation import Validation

DONE, COPYING = "done", "copying"
QUICK = 5.0
"""Seconds that a sample grid may always take, however short the training, unless minutes are what it was given."""


class Session:
    """One sitting of a run.

    Args:
        trainer: what is trained, at the step where the run stands.
        folder: the run's, with a configuration in it.
        log: where progress is shown and recorded.
        validation: what is measured at every checkpoint; None where another process does it.
        painter: draws the sample grids; None for a model that draws nothing.
        page: the run's page; None where none is kept.
        saved: the checkpoint that the trainer was restored from.
        begun: when the sitting began, by `clock`: what came before the first step counts as well.
        clock: seconds.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        log: TrainLog,
        validation: Validation | None,
        painter: Painter | None = None,
        *,
        page: LivePage | None = None,
        saved: Checkpoint | None = None,
        begun: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trainer, self.folder, self.log, self.validation, self.painter = trainer, folder, log, validation, painter
        self.page = page
        self.settings, self.clock, self.world = trainer.settings, clock, trainer.world
        self.loss = math.nan
        self._saver = Saver(trainer, folder, log, validation, saved, clock)
        self._begun = clock() if begun is None else begun
        self._begun_seconds = trainer.seconds
        self._drawn = clock()
        self._stepping = 0.0
        self._steps = 0
        self._warned: str | None = None

    def run(self) -> Record:
        """Trains to the end; returns steps, images, seconds, images_per_second, loss, stopped, and why.

        Raises:
            TrainingDiverged: where numbers stop being finite again and again.
        """
        try:
            stopped = self._train()
        except BaseException as error:
            self._show("failed", str(error).rstrip(".") or type(error).__name__)
            raise
        if stopped == DONE and not self._steps:
            self.log.say(
                "nothing is left to train of what was asked for: --minutes and --steps count all sessions of a run"
            )
        self._show("done" if stopped == DONE else "stopped", self._why() or ("" if stopped == DONE else stopped))
        self._tick()
        return self._summary(stopped)

    def _train(self) -> str:
        """Steps until a limit, DONE, the guard, COPYING, or a signal, whose name is returned."""
        with Interrupt() as interrupt, torch.random.fork_rng(cuda_index(self.trainer.engine.device)):
            self._show()
            while True:
                while not (stopped := self._stops(interrupt)):
                    self._one_step()
                if stopped not in (DONE, COPYING):
                    self.log.say(f"{stopped}: finished step {self.trainer.step}, saving")
                elif self._steps and stopped == DONE:
                    self.trainer.finished_minutes = self.settings.minutes
                if not self._steps or self._save() or stopped != DONE:
                    break  # otherwise the run went back and is not at its end
            if self._steps and stopped in (DONE, COPYING):
                self._draw()
        self._tick()
        return COPYING if self._why() else stopped

    def _stops(self, interrupt: Interrupt) -> str:
        """Why all processes stop: the name of a signal that one of them got, DONE, COPYING, or '' where they go on."""
        number = signal.Signals[interrupt.asked] if interrupt.asked else 0
        finished, seconds = (self._finished(), self.trainer.seconds) if self.world.is_first else (False, 0.0)
        copying = bool(self._why())
        number, copying, finished, microseconds = self.world.agree(number, copying, finished, round(1e6 * seconds))
        if self.world.size > 1:  # one clock for all: learning rates follow it
            self.trainer.seconds = microseconds / 1e6
        if number:
            return signal.Signals(number).name
        return COPYING if copying else DONE if finished else ""

    def _why(self) -> str:
        """Why the guard ends the training, as the first process knows it."""
        return "" if self.validation is None else self.validation.why

    def _one_step(self) -> None:
        begun = self.clock()
        results = self.trainer.advance()
        self._steps += 1
        logged = self.trainer.step % self.settings.log_every == 0 or self.trainer.step >= self.settings.steps
        # Asking a GPU whether a number is finite waits for it, so it is asked only when a line is due.
        sound = _finite(results) if logged or self.trainer.engine.device == "cpu" else True
        self._stepping += self.clock() - begun
        self._tick()
        if not sound:
            self._saver.go_back("the loss or its gradient is not finite")
            return
        if logged or self._finished():
            self._report(results)
        since, cost = self.clock() - self._saver.at, self._saver.cost
        looking = self.validation is not None and self.validation.due(since, cost) and not self._finished()
        saving = self.world.is_first and (looking or self._due(self._saver.at, self.settings.save_every))
        (saving,) = self.world.agree(saving)
        if saving:
            self._save()
        if self._due(self._drawn, self.settings.draw_every):
            self._draw()
        if self.page is not None and self.page.due():
            self._show()

    def _finished(self) -> bool:
        if self.trainer.step >= self.settings.steps:
            return True
        if not self.settings.minutes or self.trainer.step == 0:
            return False
        if self.trainer.finished_minutes >= self.settings.minutes:
            return True
        step = 0.0 if not self._steps else self._stepping / self._steps
        return self.trainer.seconds + step + self._closing() > self.settings.minutes * 60

    def _closing(self) -> float:
        """Seconds that the last checkpoint, the last look for copies, the last grid and the last page will take."""
        drawing = 0.0 if self.painter is None else self.painter.expected(self._allowed())
        looking = 0.0 if self.validation is None else self.validation.closing(self._allowed())
        return self._saver.cost + looking + drawing + (0.0 if self.page is None else self.page.cost)

    def _allowed(self) -> float:
        """Seconds that the grid at the end may take, and the last look for copies."""
        if self.settings.minutes:
            return Painter.FRACTION * self.settings.minutes * 60
        return max(QUICK, Painter.FRACTION * self.trainer.seconds)

    def _tick(self) -> None:
        self.trainer.seconds = self._begun_seconds + self.clock() - self._begun

    def _due(self, last: float, minutes: float) -> bool:
        return not self._finished() and self.clock() - last >= minutes * 60

    def _report(self, results: dict[str, StepResult]) -> None:
        values = {name: float(value) for result in results.values() for name, value in result.parts.items()}
        norms = {name: float(result.grad_norm) for name, result in results.items()}
        values["grad_norm"] = max(norms.values())
        if len(norms) > 1:
            values |= {f"grad_norm_{name}": norm for name, norm in norms.items()}
        self.loss = values["loss"] = next(iter(values.values()))
        values["learning_rate"] = self.trainer.learning_rate
        values["images_per_second"] = self._rate() * self.settings.batch_size
        values["memory_gib"] = peak_memory_gib(self.trainer.engine.device)
        self.log.record(self.trainer.step, {name: float(f"{value:.6g}") for name, value in values.items()})
        self._warn(values)
        self.log.progress(self.trainer.step, self.trainer.seconds / 60, self._left(), values)

    def _warn(self, values: dict[str, float]) -> None:
        """Says what the objective finds wrong, once for as long as it lasts."""
        found = self.trainer.objective.diagnose(values)
        kind = None if found is None else found.split(":")[0]
        if found is not None and kind != self._warned:
            self.log.warn(self.trainer.step, found)
        self._warned = kind

    def _rate(self) -> float:
        """Steps per second of this session, without the time for checkpoints and pictures."""
        return self._steps / max(1e-9, self._stepping)

    def _left(self) -> float:
        by_steps = (self.settings.steps - self.trainer.step) / max(1e-9, self._rate())
        by_time = self.settings.minutes * 60 - self.trainer.seconds if self.settings.minutes else math.inf
        return max(0.0, min(by_steps, by_time))

    def _save(self) -> bool:
        """Writes a checkpoint; False where it was not sound and the run went back."""
        saved = self._saver.save(self._allowed() if self._finished() else None)
        if saved:
            self._announce()
        return saved

    def _draw(self) -> None:
        since, self._drawn = self.clock() - self._drawn, self.clock()
        if self.painter is None:
            return
        allowed = self._allowed() if self._finished() else max(QUICK, Painter.FRACTION * since)
        self.trainer.model.eval()
        with self.trainer.ema.applied(), self.trainer.engine.looking():
            self.painter.draw(self.trainer.step, allowed)
        self._drawn = self.clock()
        self._announce()

    def _announce(self) -> None:
        if self.page is not None:
            self.page.announce()

    def _show(self, state: str = "training", why: str = "") -> None:
        """Writes the run's page."""
        if self.page is None:
            return
        trainer = self.trainer
        self.page.write(
            Standing(
                state=state,
                why=why,
                step=trainer.step,
                steps=self.settings.steps,
                fraction=1.0 if state == "done" else min(1.0, trainer.progress),
                seconds=trainer.seconds,
                left=self._left() if self._steps else None,
                learning_rate=trainer.learning_rate,
                best=trainer.best[1],
                copying=bool(self._why()),
            )
        )

    def _summary(self, stopped: str) -> Record:
        trainer = self.trainer
        return {
            "steps": trainer.step,
            "images": trainer.step * self.settings.batch_size,
            "seconds": round(trainer.seconds, 3),
            "images_per_second": round(self._rate() * self.settings.batch_size, 2),
            "loss": None if math.isnan(self.loss) else round(self.loss, 6),
            "stopped": stopped,
            **({"why": self._why(), "best": trainer.best[1]} if stopped == COPYING else {}),
        }


def _finite(results: dict[str, StepResult]) -> bool:
    """Whether every gradient norm and every loss of a step is a number."""
    values = [value for result in results.values() for value in (result.grad_norm, *result.parts.values())]
    return all(math.isfinite(float(value)) for value in values)
