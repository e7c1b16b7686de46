"""Students of a trained flow on eight Gaussians in the plane: the table of docs/students.md, with less training."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from unnoise.models.diffusion import Diffusion
from unnoise.objectives.assembly import build_objective
from unnoise.samplers import DDIM
from unnoise.training.methods import METHODS

pytestmark = pytest.mark.slow
STEPS = 600


@pytest.fixture(scope="module")
def plane() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "students.py"
    spec = spec_from_file_location("students_in_the_plane", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def teacher(plane: ModuleType) -> Diffusion:
    torch.manual_seed(0)
    made = plane.model()
    plane.fit(build_objective({"kind": "denoising"}, made), STEPS, 0, 2e-3)
    return made


def test_every_method_is_in_the_table(plane: ModuleType) -> None:
    assert set(METHODS) <= set(plane.STUDENTS)


@pytest.mark.parametrize("method", ["consistency", "progressive", "reflow"])
def test_one_call_of_the_student_is_ten_times_nearer_than_one_of_the_teacher(
    plane: ModuleType, teacher: Diffusion, method: str
) -> None:
    spec, sampler, rate = plane.STUDENTS[method]
    student = plane.student_of(teacher, sampler)
    plane.fit(build_objective(spec, student), STEPS, 0, rate)
    options = {"grid": "trailing"} if method == "progressive" else {}
    assert plane.distance(student, sampler(steps=1, **options)) < plane.distance(teacher, DDIM(steps=1)) / 10
