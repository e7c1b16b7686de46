"""What a person and a machine see of a training: a progress bar or plain lines, and metrics.jsonl."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from unnoise.aliases import Record
from unnoise.progress import duration, printable
from unnoise.runs.metrics_file import MetricsWriter, drop_after
from unnoise.training.trackers import Tracker

LINE_EVERY = 10.0
"""Seconds between plain lines where there is no terminal."""


class TrainLog:
    """Appends to metrics.jsonl and shows progress on standard error: a bar on a terminal, lines elsewhere.

    total: the last step, or the minutes at which the run stops when `by_time`. trackers: where numbers go as well.
    """

    def __init__(self, folder: Path, total: float, *, by_time: bool, trackers: Sequence[Tracker] = ()) -> None:
        self._folder, self._metrics = folder, MetricsWriter(folder)
        self._console = Console(stderr=True, highlight=False)
        self._total, self._by_time = total, by_time
        self._last_line = 0.0
        self._trackers = trackers
        text = TextColumn("{task.fields[text]}")
        columns = TextColumn("[bold]{task.description}"), BarColumn(), TaskProgressColumn(), text
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("training", total=total, text="", visible=False)

    def __enter__(self) -> TrainLog:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._to_terminal(self._bar.stop)
        self._metrics.close()
        for tracker in self._trackers:
            tracker.close()

    def say(self, message: str) -> None:
        """One line for people."""
        self._to_terminal(lambda: self._console.print(printable(message), markup=False, soft_wrap=True))

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """Within, work that is not a step has a bar of its own; yields what counts one of `total` parts as done."""
        task = self._bar.add_task(name, total=total, text="")
        try:
            yield lambda: self._bar.advance(task)
        finally:
            self._bar.remove_task(task)

    def record(self, step: int, values: Record, **more: Any) -> None:
        """One line of metrics.jsonl."""
        self._metrics.write({"step": step, "time": round(time.time(), 3), **values, **more})
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, (int, float))}
        for tracker in self._trackers:
            tracker.log(step, numbers)

    def warn(self, step: int, message: str) -> None:
        """One line for people, which the run's page shows too."""
        self.say(f"step {step}: {message}")
        self.record(step, {"warning": message})

    def drop_after(self, step: int) -> None:
        """Forgets the lines after `step`, from where the training goes on."""
        self._metrics.close()
        drop_after(self._folder, step)

    def progress(self, step: int, minutes: float, left: float, values: dict[str, float]) -> None:
        """Shows where the run stands. left: seconds; values: loss, images per second, gradient norm, memory."""
        text = "  ".join(
            (
                f"step {step}",
                f"loss {values['loss']:.4f}",
                f"{values['images_per_second']:.0f} images/s",
                f"grad {values['grad_norm']:.2f}",
                f"{values['memory_gib']:.1f} GiB",
                f"{duration(left)} left",
            )
        )
        self._bar.update(self._task, completed=minutes if self._by_time else step, text=text, visible=True)
        if self._bar.disable and time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            self.say(text)

    def _to_terminal(self, show: Callable[[], object]) -> None:
        """Shows something, until the terminal is gone: then the training still has to be saved."""
        if self._console.quiet:
            return
        try:
            show()
        except OSError:
            self._console.quiet = True


class SilentLog(TrainLog):
    """Of a process that leaves log and terminal to another."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1.0, by_time=False)
        self._bar.disable = True

    def say(self, message: str) -> None:
        pass

    def record(self, step: int, values: Record, **more: Any) -> None:
        pass

    def drop_after(self, step: int) -> None:
        pass

    def progress(self, step: int, minutes: float, left: float, values: dict[str, float]) -> None:
        pass


def peak_memory_gib(device: str) -> float:
    """The most memory held so far: the device's on CUDA, else this process's."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20
