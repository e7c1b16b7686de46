"""The figures of a run before it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from unnoise.aliases import Record
from unnoise.progress import counted, duration
from unnoise.runs.estimate import Estimate

NO_LIMIT = 10_000_000
"""Steps of a training that its minutes end."""


@dataclass(frozen=True)
class Measured:
    """What a first image and a trial step showed.

    flops: forward, per image; memory: bytes of a step; step_seconds: of one step; left: seconds until the run stops;
    parts: how many a batch is computed in.
    """

    flops: float
    memory: int
    step_seconds: float
    left: float
    parts: int = 1


@dataclass(frozen=True)
class Plan:
    """The figures of a run before it starts: known at once, and `measured` a little later.

    estimate: for other devices, where it was asked for.
    weights_memory: bytes of weights, gradients, moments and average.
    """

    run: str
    images: int
    shape: tuple[int, int, int]
    classes: int
    broken: int
    parameters: int
    weights_memory: int
    device: str
    how: str
    step: int
    steps: int
    minutes: float
    measured: Measured | None = None
    estimate: Estimate | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> Record:
        """One flat mapping."""
        figures = asdict(self)
        return {**figures, **(figures.pop("measured") or {})}

    def lines(self) -> list[str]:
        """The plan for people."""
        elsewhere = [] if self.estimate is None else self.estimate.lines()
        return [*self.known(), *self.found(), *elsewhere]

    def known(self) -> list[str]:
        """The lines that are known without measuring."""
        channels, height, width = self.shape
        classes = f", {self.classes} classes" if self.classes else ""
        files = "file" if self.broken == 1 else "files"
        broken = f", {self.broken} broken {files} skipped" if self.broken else ""
        limits = [counted(self.minutes, "minute")] if self.minutes else []
        limits += [] if self.minutes and self.steps >= NO_LIMIT else [counted(self.steps, "step")]
        from_step = f" from step {self.step}" if self.step else ""
        return [
            f"data    {self.images:,} images {width}x{height}, {counted(channels, 'channel')}{classes}{broken}",
            f"model   {self.parameters / 1e6:.2f} M parameters, {self.weights_memory / 2**30:.2f} GiB with moments",
            f"device  {self.device}, {self.how}",
            f"files   {self.run}",
            f"stops   after {' or '.join(limits)}{from_step}",
            *(f"note    {note}" for note in self.notes),
        ]

    def found(self) -> list[str]:
        """The lines of what was measured."""
        if self.measured is None:
            return []
        parts = f", a batch in {self.measured.parts} parts" if self.measured.parts > 1 else ""
        return [
            f"cost    {self.measured.flops / 1e9:.2f} GFLOP per image forward, about "
            f"{self.measured.memory / 2**30:.1f} GiB for the step{parts}",
            f"time    about {duration(self.measured.left)} at {self.measured.step_seconds:.2f} s a step",
        ]
