"""What the page of a run shows, from the files of the run and from where its training stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unnoise.aliases import Record
from unnoise.progress import duration
from unnoise.runs.charts import short
from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.config import to_toml
from unnoise.runs.metrics_file import Line, read_metrics
from unnoise.runs.pictures import COPIES, REAL_IMAGES, SAMPLES, drawn
from unnoise.runs.plan import NO_LIMIT
from unnoise.runs.run import CHECKPOINTS, Run
from unnoise.training.guard import ending
from unnoise.training.page_charts import charts
from unnoise.training.page_measured import measured_part

PAGE = "index.html"
EARLIER = 6
"""Grids that are shown beside the newest."""
WARNINGS = 12
SMALL = 64
"""Pixels a side, up to which pictures are shown with their pixels in sight."""


@dataclass(frozen=True)
class Standing:
    """Where a training stands.

    state: 'training', 'done', 'stopped' or 'failed'; why: of one that stopped or failed. copying: whether the guard
    ended it.
    fraction: of the training that is done; seconds: trained; left: seconds, None while the speed is unknown.
    best: the step of the checkpoint with the least held-out loss.
    """

    state: str
    step: int
    steps: int
    fraction: float
    seconds: float
    left: float | None
    learning_rate: float
    best: int | None = None
    why: str = ""
    copying: bool = False

    @property
    def going_on(self) -> bool:
        return self.state == "training"

    @property
    def ending(self) -> str:
        """How it ended and what is next, in sentences; '' while it goes on, and where all is done."""
        if not self.why:
            return ""
        if self.copying:
            return f"train.guard=stop ended it: {self.why}. Now {ending(self.best)}."
        how = "Stopped by" if self.state == "stopped" else "It ended with"
        return f"{how} {self.why}. The same command goes on from the newest checkpoint."


def content(run: Run, standing: Standing) -> Record:
    """What the template is filled with."""
    lines = read_metrics(run.folder)
    return {
        "name": run.folder.resolve().name,
        "standing": standing,
        "figures": _figures(lines, standing),
        "warnings": warnings(lines)[-WARNINGS:],
        "pictures": _pictures(run.folder),
        "charts": charts(lines),
        "facts": _facts(run),
        "config": to_toml(run.config),
        "measured": measured_part(run.folder / PAGE),
        "checkpoints": _checkpoints(run.folder, standing.best),
        "commands": run.next_commands(),
        "small": max(run.shape[1:]) <= SMALL,
        "written": time.time(),
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def warnings(lines: Sequence[Line]) -> list[tuple[int, str]]:
    """(step, text), oldest first."""
    return [(line["step"], str(line["warning"])) for line in lines if "warning" in line]


def _figures(lines: Sequence[Line], standing: Standing) -> list[tuple[str, str]]:
    """The numbers at the top: (what, value)."""
    newest: Record = {}
    for line in lines:
        newest |= {key: value for key, value in line.items() if value is not None}
    step = "step" if standing.steps >= NO_LIMIT else f"step of {standing.steps:,}"
    figures = [(step, f"{standing.step:,}"), ("trained", duration(standing.seconds))]
    if standing.going_on and standing.left is not None:
        figures.append(("left", duration(standing.left)))
    shown = (("loss", "loss"), ("validation_loss", "held-out loss"), ("images_per_second", "images per second"))
    figures += [(name, short(newest[key])) for key, name in shown if isinstance(newest.get(key), (int, float))]
    figures.append(("learning rate", short(standing.learning_rate)))
    if isinstance(newest.get("copies"), (int, float)):
        figures.append(("copies", f"{newest['copies']:.0%}"))
    return figures


def _pictures(folder: Path) -> Record | None:
    """The newest grid, real images beside it, and some earlier grids, as paths below the run's folder."""
    steps = drawn(folder)
    if not steps:
        return None
    shown = min(EARLIER, len(steps) - 1)
    earlier = [steps[at * (len(steps) - 1) // shown] for at in range(shown)]
    return {
        "newest": (steps[-1], f"{SAMPLES}/{steps[-1]}.png"),
        "real": f"{SAMPLES}/{REAL_IMAGES}" if (folder / SAMPLES / REAL_IMAGES).is_file() else None,
        "copies": f"{COPIES}/{copies[-1]}.png" if (copies := drawn(folder, COPIES)) else None,
        "earlier": [(step, f"{SAMPLES}/{step}.png") for step in earlier],
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    """The configuration in a few lines: (what, text)."""
    config = run.config
    kinds = {name: config.get(name) or {} for name in ("model", "objective", "sampler")}
    chosen = ", ".join(f"{name} {spec['kind']}" for name, spec in kinds.items() if "kind" in spec)
    planned = [] if run.plan is None else [line.split(maxsplit=1) for line in run.plan.lines()]
    return [
        ("recipe", f"{config['recipe']}: {chosen}"),
        ("source", str(config["source"])),
        *((words[0], words[1]) for words in planned if len(words) == 2),
    ]


def _checkpoints(folder: Path, best: int | None) -> list[tuple[str, str, str]]:
    """(step, size, note), newest first."""
    found = []
    for checkpoint in reversed(checkpoints(folder / CHECKPOINTS)):
        size = sum(file.stat().st_size for file in checkpoint.folder.iterdir())
        note = "least held-out loss" if checkpoint.step == best else ""
        found.append((f"{checkpoint.step:,}", f"{size / 2**20:.1f} MiB", note))
    return found
