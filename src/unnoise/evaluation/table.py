"""The table of a comparison, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unnoise.evaluation.column import Column
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics import METRICS
from unnoise.evaluation.target import Target
from unnoise.progress import duration
from unnoise.runs.checkpoint import to_load
from unnoise.runs.run import Run, is_run

IMAGES = 50_000
"""As many as published distances take: how long that is says more than the time for one."""

HOW = (
    Column("run", "run", "{}"),
    Column("sampler", "sampler", "{}", missing=""),
    Column("steps", "steps", "{}", missing=""),
    Column("guidance", "guidance", "{:g}", usual=1.0, missing=""),
)
COST = (
    Column("seconds_per_image", "s per image", "{:.4f}"),
    Column("seconds_50000", "50,000 images", duration),
    Column("parameters", "parameters", "{:,}"),
    Column("training_seconds", "training", duration),
    Column("lineage_seconds", "with what it began with", duration, missing=""),
)


def measured() -> list[Column]:
    """The columns of all metrics."""
    return [column for metric in METRICS for column in metric.columns]


def row_of(target: Target, result: Result) -> Result:
    """The values of one row: how it was sampled, what the metrics found, what it cost."""
    how = result.get("samples", {})
    seconds = how.get("seconds_per_image")
    return {
        "run": target.name,
        "kind": "images" if target.model is None else type(target.model).__name__.lower(),
        "sampler": None if target.sampler is None else type(target.sampler).__name__,
        "steps": how.get("steps"),
        "guidance": how.get("guidance"),
        "features": result.get("features"),
        "n": result.get("n"),
        **{column.key: column.of(result) for column in measured()},
        "seconds_per_image": seconds,
        "milliseconds": None if seconds is None else 1000 * seconds,
        "seconds_50000": None if seconds is None else seconds * IMAGES,
        "network_calls": how.get("network_calls"),
        "parameters": None if target.model is None else sum(p.numel() for p in target.model.parameters()),
        "training_seconds": None if target.run is None else training_seconds(target.run.folder),
        "lineage_seconds": None if target.run is None else lineage_seconds(target.run),
    }


def training_seconds(folder: Path) -> float | None:
    """How long the measured checkpoint of a run was trained."""
    checkpoint, _ = to_load(folder / "checkpoints")
    return None if checkpoint is None else checkpoint.state()["seconds"]


def lineage_seconds(run: Run) -> float | None:
    """The same with the runs that it began with, as a student with its teacher; None where it began with none, or with
    one that is gone."""
    trained = training_seconds(run.folder)
    start = run.config.get("start")
    if start is None or trained is None or not is_run(Path(start)):
        return None
    before = Run.open(start)
    earlier = lineage_seconds(before) or training_seconds(before.folder)
    return None if earlier is None else trained + earlier


def shown(rows: Sequence[Result], results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells; columns in which no row has anything to show are left out, runs are named briefly."""
    columns = [column for column in (*HOW, *measured(), *COST) if column.shown(rows)]
    names = brief_names([row["run"] for row in rows])
    cells = [[column.text({**row, "run": names[row["run"]]}.get(column.key)) for column in columns] for row in rows]
    return [column.title(results) for column in columns], cells


def brief_names(runs: Sequence[str]) -> Mapping[str, str]:
    """Runs by their folders' names alone, where these differ."""
    brief = {run: Path(run).name for run in runs}
    return brief if len(set(brief.values())) == len(brief) else {run: run for run in runs}
