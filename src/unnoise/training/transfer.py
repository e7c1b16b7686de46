"""Starting from what another run has learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unnoise.errors import UserError
from unnoise.models import ImageModel
from unnoise.objectives.distillation import Distillation
from unnoise.objectives.objective import Objective
from unnoise.runs.config import SECTIONS, Config
from unnoise.runs.run import Run
from unnoise.training.methods import is_student, teacher_of

FOUND = ("hold_out",)
"""Keys of [data] whose default depends on the data."""


@dataclass(frozen=True)
class Carried:
    """How many tensors a model took from another run, and the names of those it could not."""

    taken: int
    left: tuple[str, ...]

    def line(self, run: Run) -> str:
        """What to say of it."""
        shown = ", ".join(self.left[:5]) + (f" and {len(self.left) - 5} more" if len(self.left) > 5 else "")
        rest = f"; not carried over, of another shape or not there: {shown}" if self.left else ""
        return f"starting from {run.folder}: {self.taken} tensors carried over{rest}"


def recipe_of(run: Run) -> Config:
    """The sections of a run's configuration, as a recipe for another run, without what it found of its own data."""
    data = {name: value for name, value in run.config["data"].items() if name not in FOUND}
    return {**{name: run.config[name] for name in SECTIONS if name in run.config}, "data": data}


@torch.no_grad()
def carry_over(model: ImageModel, run: Run) -> Carried:
    """Copies the averaged weights of `run` into `model` wherever name and shape are the same.

    Raises UserError when nothing fits.
    """
    known, taken, left = run.load("cpu").state_dict(), 0, []
    for name, value in model.state_dict().items():
        if name in known and known[name].shape == value.shape:
            value.copy_(known[name])
            taken += 1
        else:
            left.append(name)
    if taken == 0:
        raise UserError(f"nothing of {run.folder} fits this model: give the recipe that it was trained with")
    return Carried(taken, tuple(left))


def keep_teacher(objective: Objective, run: Run) -> None:
    """Where a student learns on from the student `run`, this one's teacher teaches."""
    if isinstance(objective, Distillation) and is_student(run):
        objective.taught_by(teacher_of(run).diffusion("teaching a student", "cpu"))
