"""Objectives from the [objective] section of a configuration, and back."""

from __future__ import annotations

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.models.diffusion import Diffusion
from unnoise.models.image_model import ImageModel
from unnoise.objectives import OBJECTIVES, Objective
from unnoise.process.timesteps import TIMESTEP_DISTRIBUTIONS
from unnoise.process.weight import WEIGHTS
from unnoise.registry import build, describe, lookup, spec_of

PARTS: dict[str, dict[str, type]] = {"timesteps": TIMESTEP_DISTRIBUTIONS, "weight": WEIGHTS}


def build_objective(spec: Spec, model: ImageModel) -> Objective:
    """The objective that `spec` describes, for a model; UserError when it is for another kind of model."""
    spec = {"kind": "denoising", **spec}
    _check_model(lookup(OBJECTIVES, spec["kind"], "objective"), spec["kind"], model)
    _check_scales(spec["kind"], model)
    parts = {name: build(table, spec.pop(name), name) for name, table in PARTS.items() if name in spec}
    return build(OBJECTIVES, {**spec, **parts}, "objective", model=model)


def objective_spec(objective: Objective) -> Record:
    """The [objective] section that builds `objective`, every default included."""
    spec = spec_of(OBJECTIVES, objective, without=("model",))
    return {name: spec_of(PARTS[name], value) if name in PARTS else value for name, value in spec.items()}


def _check_model(cls: type[Objective], kind: str, model: ImageModel) -> None:
    """The annotation of the constructor's `model` says what it trains."""
    wanted = next(option.type for option in describe(cls) if option.name == "model")
    if not isinstance(model, wanted):
        raise UserError(f"objective {kind!r} trains a {wanted.__name__}; model.kind gives a {type(model).__name__}")


def _check_scales(kind: str, model: ImageModel) -> None:
    if isinstance(model, Diffusion) and model.guidance_range is not None and not OBJECTIVES[kind].teaches_scales:
        able = ", ".join(name for name, objective in OBJECTIVES.items() if objective.teaches_scales)
        raise UserError(
            f"objective {kind!r} learns the data for each condition, where a guidance scale means nothing: leave "
            f"model.guidance_range out, or learn from a guided run by {able}"
        )
