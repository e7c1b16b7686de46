"""The ways to make a student of a diffusion run: one table, from which command, errors and documentation read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unnoise.aliases import Spec
from unnoise.objectives.few_calls import CALLS, START
from unnoise.objectives.progressive import LAST_CALLS
from unnoise.runs.run import Run
from unnoise.training.pairs import affordable_pairs


@dataclass(frozen=True)
class Method:
    """A way to make a student.

    Args:
        about: what it does, in one sentence.
        changes: what it changes in the teacher's configuration, by dotted keys.
        sampler: how its students draw, by the options of their objective.
        flow: whether its students are probability flows still, which solvers, inversion and other methods can take.
        for_calls: whether its students are made for a number of network calls, `objective.calls`.
        straightens: whether the flow is to become straighter.
        goes_on: the methods whose students it takes further, with the teacher that they have.
        fitted: what else it changes, by the teacher, the student's folder, the minutes (0: no limit) and the device.
    """

    about: str
    changes: Spec
    sampler: Callable[[Spec], Spec]
    flow: bool = False
    for_calls: bool = False
    straightens: bool = False
    goes_on: tuple[str, ...] = ()
    fitted: Callable[[Run, Path, float, str | None], Spec] | None = None

    @property
    def objective(self) -> str:
        """The kind of its objective."""
        return self.changes["objective.kind"]


def _from_start(options: Spec) -> Spec:
    """Of `FewCalls`: the calls that it trains."""
    return {"kind": "renoise", "steps": options.get("calls", CALLS), "start": options.get("start", START)}


def _tied(base: Run, folder: Path, minutes: float, device: str | None) -> Spec:
    """A network that predicts x_0 gets the boundary of a consistency model, f(x, 0) = x, which others have."""
    predicts = base.config["model"]["parametrization"]["kind"]
    return {"model.parametrization.kind": "x0-skip"} if predicts == "x0" else {}


def _as_its_teacher(base: Run, folder: Path, minutes: float, device: str | None) -> Spec:
    """A student that goes on answers and computes as its teacher does, whose weights are to fit it."""
    if not is_student(base):
        return {}
    teacher = teacher_of(base).config
    return {
        "model.parametrization.kind": teacher["model"]["parametrization"]["kind"],
        "train.precision": teacher["train"]["precision"],
    }


METHODS: dict[str, Method] = {
    "adversarial": Method(
        "the teacher's network as a generator of one call, against a discriminator on its own activations",
        {
            "objective.kind": "adversarial-diffusion",
            "model.jumps": True,
            "train.optimizer": "adamw",
            "train.learning_rate": 6e-4,
            "train.betas": [0.0, 0.99],
            "train.warmup": 20,
            "train.decay": 0.0,
            "train.ema": 0.995,
        },
        _from_start,
        for_calls=True,
    ),
    "consistency": Method(
        "the same x_0 from two times of a path, which are far apart at first and near in the end",
        {
            "objective.kind": "easy-consistency",
            "model.jumps": True,
            "train.optimizer": "adamw",
            "train.learning_rate": 3e-4,
            "train.warmup": 20,
            "train.precision": "fp32",  # what neighbouring times differ by is lost in bf16
        },
        lambda _: {"kind": "renoise", "steps": 2},
        fitted=_tied,
    ),
    "distribution-matching": Method(
        "samples distributed as the teacher's, by what it and a copy that follows the student make of them",
        {
            "objective.kind": "distribution-matching",
            "model.jumps": True,
            "train.optimizer": "adamw",
            "train.learning_rate": 2e-4,
            "train.betas": [0.9, 0.99],
            "train.warmup": 20,
            "train.decay": 0.8,
            "train.ema": 0.99,
        },
        _from_start,
        for_calls=True,
        goes_on=("consistency",),
        fitted=_as_its_teacher,
    ),
    "meanflow": Method(
        "the average velocity of the teacher's flow between any two times, by its derivative along the path",
        {
            "objective.kind": "meanflow-distillation",
            "model.flow_map": True,
            "train.optimizer": "adamw",
            "train.learning_rate": 3e-4,
            "train.warmup": 20,
            "train.precision": "fp32",  # a derivative is lost in bf16
            "train.compile": "off",  # compiled blocks have no forward-mode derivative
        },
        lambda _: {"kind": "flow-map", "steps": 1},
        flow=True,
    ),
    "progressive": Method(
        "one step of DDIM in place of two of the teacher, again and again",
        {"objective.kind": "progressive", "model.jumps": True},
        lambda options: {"kind": "ddim", "steps": options.get("calls", LAST_CALLS), "grid": "trailing"},
        for_calls=True,
    ),
    "reflow": Method(
        "a flow trained again on the pairs of noise and image that the teacher joins, which is straighter",
        {"objective.kind": "reflow", "data.flip": False},
        lambda _: {"kind": "ddim", "steps": 4},
        flow=True,
        straightens=True,
        fitted=affordable_pairs,
    ),
}
"""By name."""


OTHERS = {"consistency": "consistency"}
"""Kinds of objective by which students were made before, and their methods."""


def method_of(objective: str) -> str | None:
    """The name of the method that makes runs with this kind of objective; None where it is no student."""
    kinds = {**OTHERS, **{method.objective: name for name, method in METHODS.items()}}
    return kinds.get(objective)


def is_student(run: Run) -> bool:
    """Whether a run jumps to the ends of paths, so that it denoises no more and cannot teach."""
    return bool(run.config["model"].get("jumps", False))


def teacher_of(student: Run) -> Run:
    """The run that a student comes from.

    Raises:
        UserError: where it is no longer there.
    """
    return Run.open(student.config["start"])
