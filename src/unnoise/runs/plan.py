"""The figures of a run before it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from unnoise.progress import duration


@dataclass(frozen=True)
class Plan:
    """The figures of a run before it starts.

    flops: forward, per image; memory: bytes; step_seconds: one step, measured; left: seconds until it stops.
    """

    run: str
    images: int
    shape: tuple[int, int, int]
    classes: int
    broken: int
    parameters: int
    flops: float
    memory: int
    device: str
    how: str
    step: int
    steps: int
    minutes: float
    step_seconds: float
    left: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The plan for people."""
        channels, height, width = self.shape
        classes = f", {self.classes} classes" if self.classes else ""
        files = "file" if self.broken == 1 else "files"
        broken = f", {self.broken} broken {files} skipped" if self.broken else ""
        limit = f"{self.minutes:g} minutes or {self.steps} steps" if self.minutes else f"{self.steps} steps"
        from_step = f" from step {self.step}" if self.step else ""
        return [
            f"data    {self.images:,} images {width}x{height}, {channels} channels{classes}{broken}",
            f"model   {self.parameters / 1e6:.2f} M parameters, {self.flops / 1e9:.2f} GFLOP per image forward",
            f"device  {self.device}, {self.how}; about {self.memory / 2**30:.1f} GiB for the step",
            f"files   {self.run}",
            f"stops   after {limit}{from_step}: about {duration(self.left)} at {self.step_seconds:.2f} s a step",
            *(f"note    {note}" for note in self.notes),
        ]
