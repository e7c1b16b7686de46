"""How many steps an edit takes on the schedule of a run."""

from __future__ import annotations

from unnoise.process.schedule import Schedule
from unnoise.progress import notice
from unnoise.samplers.grids import at_most_native


def native_steps(schedule: Schedule, asked: int, task: str) -> int:
    """As many as were asked for, or as the schedule has where those are fewer, which it says."""
    steps = at_most_native(schedule, asked)
    if steps < asked:
        notice(f"the run's schedule has {steps} steps: {task} takes {steps} in place of {asked}")
    return steps
