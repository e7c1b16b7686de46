"""The ways to make a student of a diffusion run: one table, from which command, errors and documentation read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unnoise.aliases import Spec
from unnoise.runs.run import Run
from unnoise.training.pairs import affordable_pairs

ADVERSARIES: Spec = {
    "train.optimizer": "adamw",
    "train.learning_rate": 2e-4,
    "train.betas": [0.0, 0.99],
    "train.warmup": 20,
    "train.decay": 0.0,
    "train.ema": 0.995,
}


@dataclass(frozen=True)
class Method:
    """A way to make a student.

    Args:
        about: what it does, in one sentence.
        changes: what it changes in the teacher's configuration, by dotted keys.
        flow: whether its students are probability flows still, which solvers, inversion and other methods can take.
        timed: what else it changes, by the teacher, the student's folder, the minutes (0: no limit) and the device.
    """

    about: str
    changes: Spec
    flow: bool = False
    timed: Callable[[Run, Path, float, str | None], Spec] | None = None

    @property
    def objective(self) -> str:
        """The kind of its objective."""
        return self.changes["objective.kind"]


METHODS: dict[str, Method] = {
    "adversarial": Method(
        "the teacher's network as a generator of one call, against a discriminator on its own activations",
        {"objective.kind": "adversarial-diffusion", "sampler.kind": "renoise", "sampler.steps": 1, **ADVERSARIES},
    ),
    "consistency": Method(
        "the same x_0 from neighbouring times of a path of the teacher's flow",
        {
            "objective.kind": "consistency",
            "objective.teacher": True,
            # As Song et al. 2023: intervals drawn alike that weigh the same. 25 - 1 is a multiple of 1, 2, 3 and 4, so
            # that `Renoise` in as many steps visits times that were trained: a student knows no others.
            "objective.intervals": 25,
            "objective.most_intervals": 25,
            "objective.gap_power": 0.0,
            # the moments of Karras' grid
            "objective.timesteps": {"kind": "log-normal-sigma", "mean": 0.4, "std": 2.9},
            "sampler.kind": "renoise",
            "sampler.steps": 2,
        },
    ),
    "progressive": Method(
        "one step of DDIM in place of two of the teacher, again and again",
        {"objective.kind": "progressive", "sampler": {"kind": "ddim", "steps": 2, "grid": "trailing"}},
    ),
    "reflow": Method(
        "a flow trained again on the pairs of noise and image that the teacher joins, which is straighter",
        {"objective.kind": "reflow", "data.flip": False, "sampler.kind": "ddim", "sampler.steps": 4},
        flow=True,
        timed=affordable_pairs,
    ),
}
"""By name."""


def method_of(objective: str) -> str | None:
    """The name of the method that made a run with this kind of objective; None where it is no student."""
    return next((name for name, method in METHODS.items() if method.objective == objective), None)
