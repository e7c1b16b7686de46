"""Objectives from the [objective] section of a configuration, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unnoise.models.diffusion import Diffusion
from unnoise.objectives import OBJECTIVES, Objective
from unnoise.process.density import DENSITIES
from unnoise.process.weight import WEIGHTS
from unnoise.registry import build, spec_of

PARTS: dict[str, dict[str, type]] = {"density": DENSITIES, "weight": WEIGHTS}


def build_objective(spec: Mapping[str, Any], model: Diffusion) -> Objective:
    """The objective that `spec` describes, for a model."""
    spec = {"kind": "denoising", **spec}
    parts = {name: build(table, spec.pop(name), name) for name, table in PARTS.items() if name in spec}
    return build(OBJECTIVES, {**spec, **parts}, "objective", model=model)


def objective_spec(objective: Objective) -> dict[str, Any]:
    """The [objective] section that builds `objective`, every default included."""
    spec = spec_of(OBJECTIVES, objective, without=("model",))
    return {name: spec_of(PARTS[name], value) if name in PARTS else value for name, value in spec.items()}
