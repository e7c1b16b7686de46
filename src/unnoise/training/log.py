"""What a person and a machine see of a training: a progress bar or plain lines, and metrics.jsonl."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from unnoise.errors import UserError
from unnoise.files import write_atomic
from unnoise.progress import duration

LINE_EVERY = 10.0
"""Seconds between plain lines where there is no terminal."""


class TrainLog:
    """Appends to metrics.jsonl and shows progress on standard error: a bar on a terminal, lines elsewhere.

    total: the last step, or the minutes at which the run stops when `by_time`.
    """

    def __init__(self, folder: Path, total: float, *, by_time: bool, tensorboard: bool = False) -> None:
        self._file = (folder / "metrics.jsonl").open("a", buffering=1)
        self._console = Console(stderr=True, highlight=False)
        self._total, self._by_time = total, by_time
        self._last_line = 0.0
        self._writer = _tensorboard_writer(folder) if tensorboard else None
        text = TextColumn("{task.fields[text]}")
        columns = TextColumn("[bold]{task.description}"), BarColumn(), TaskProgressColumn(), text
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("training", total=total, text="")

    def __enter__(self) -> TrainLog:
        return self

    def start(self) -> None:
        """Shows the bar."""
        self._bar.start()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._bar.stop()
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def say(self, message: str) -> None:
        """One line for people."""
        self._console.print(message, markup=False, soft_wrap=True)

    def record(self, step: int, values: dict[str, Any], **more: Any) -> None:
        """One line of metrics.jsonl."""
        self._file.write(json.dumps({"step": step, "time": round(time.time(), 3), **values, **more}) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

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
        self._bar.update(self._task, completed=minutes if self._by_time else step, text=text)
        if self._bar.disable and time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            self.say(text)


def drop_after(folder: Path, step: int) -> None:
    """Removes the lines of metrics.jsonl after `step`: a resumed run writes them again."""
    file = folder / "metrics.jsonl"
    if file.exists():
        lines = [line for line in file.read_text().splitlines() if _step_of(line) <= step]
        write_atomic(file, "".join(f"{line}\n" for line in lines))


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):  # half a line: the process died while writing it
        return float("inf")


def _tensorboard_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("train.tensorboard needs the extra: pip install 'unnoise[tensorboard]'") from error
    return SummaryWriter(folder / "tensorboard")


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
