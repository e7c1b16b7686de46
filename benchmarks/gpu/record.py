"""What a step of the kit writes as it goes: one JSON file, whole at every moment."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unnoise.files import write_atomic


@dataclass
class Recording:
    """file: where the figures go; deadline: of `time.time`; small: a form that a CPU finishes in seconds.
    figures: begin with what the file has from before."""

    file: Path
    device: str
    deadline: float
    small: bool = False
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.is_file():
            self.figures = json.loads(self.file.read_text())

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.time()

    def write(self, name: str, figure: Any) -> None:
        """Adds a figure; what was there stays."""
        self.figures[name] = figure
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.file, json.dumps(self.figures, indent=1) + "\n")
        print(f"{self.file.stem}: {name} ({self.left():.0f} s left)", flush=True)
