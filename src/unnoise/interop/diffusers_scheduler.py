"""diffusers' scheduler_config.json and our schedule, parametrization and sampler, in both directions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from unnoise.aliases import Record, Spec
from unnoise.errors import NotApplicable, UserError
from unnoise.process.parametrization import X0, Eps, Parametrization, V
from unnoise.process.schedule import Betas, CosineBetas, GivenBetas, LinearBetas, ScaledLinearBetas, Schedule
from unnoise.registry import lookup

MOST_STEPS = 4096
PREDICTIONS: dict[str, type[Parametrization]] = {"epsilon": Eps, "sample": X0, "v_prediction": V}
CLIPPING = ("DDPMScheduler", "DDIMScheduler")
"""Schedulers that clamp the denoised image unless they are configured not to."""
SAMPLERS: dict[str, dict[str, Any]] = {
    "DDPMScheduler": {"kind": "ddpm", "steps": 1000},
    "DDIMScheduler": {"kind": "ddim", "steps": 50},
    "PNDMScheduler": {"kind": "ddim", "steps": 50},
    "EulerDiscreteScheduler": {"kind": "euler", "steps": 50},
    "EulerAncestralDiscreteScheduler": {"kind": "ddim", "steps": 50, "eta": 1.0},
    "HeunDiscreteScheduler": {"kind": "heun", "steps": 25},
    "DPMSolverMultistepScheduler": {"kind": "dpm-solver++", "steps": 25},
    "DPMSolverSinglestepScheduler": {"kind": "dpm-solver++", "steps": 25},
    "UniPCMultistepScheduler": {"kind": "unipc", "steps": 25},
}
"""diffusers' scheduler -> the sampler that draws by default in its stead; all of them take the same network."""
SCHEDULES = {"linear": LinearBetas, "scaled_linear": ScaledLinearBetas}
COSINE = "squaredcos_cap_v2"
VARIANCES = {"beta": "fixed_large", "beta-tilde": "fixed_small", "learned": "learned_range"}
UNKNOWN = {
    "rescale_betas_zero_snr": "no signal is left at the last step, where this library divides by it",
    "thresholding": "dynamic thresholding has no counterpart",
    "use_flow_sigmas": "its times are those of a flow; only betas are read",
}
"""What a scheduler may be configured to do that has no counterpart, and why."""


class Process(NamedTuple):
    """What a scheduler says of a model: the process it was trained on, and how it is sampled."""

    schedule: Schedule
    parametrization: Parametrization
    clip: bool
    learned_variance: bool
    sampler: Record


def read_scheduler(config: Spec, where: str) -> Process:
    """The process of a scheduler_config.json.

    Raises:
        UserError: for schedulers, prediction types and options that have no counterpart here.
    """
    kind = str(config.get("_class_name"))
    sampler = dict(lookup(SAMPLERS, kind, f"scheduler in {where}"))
    for option, reason in UNKNOWN.items():
        if config.get(option):
            raise UserError(f"{where} has {option}: {reason}")
    clips = kind in CLIPPING and bool(config.get("clip_sample", True))
    if clips and config.get("clip_sample_range", 1.0) != 1.0:
        raise UserError(f"{where} clips to {config['clip_sample_range']}; only 1 has a counterpart")
    schedule = _schedule(config, where)
    sampler["steps"] = min(sampler["steps"], int(schedule.t_max))
    parametrization = lookup(PREDICTIONS, str(config.get("prediction_type", "epsilon")), f"prediction_type in {where}")
    variance = str(config.get("variance_type", "fixed_small"))
    if variance == "learned":
        raise UserError(f"{where} has variance_type 'learned'; only 'learned_range' has a counterpart")
    if kind == "DDPMScheduler":
        names = {there: here for here, there in VARIANCES.items()}
        sampler["variance"] = lookup(names, variance.removesuffix("_log"), f"variance_type in {where}")
    return Process(schedule, parametrization(), clips, variance == "learned_range", sampler)


def _schedule(config: Spec, where: str) -> Schedule:
    given, steps = config.get("trained_betas"), config.get("num_train_timesteps", 1000)
    if given is not None:
        if not isinstance(given, list) or not 1 <= len(given) <= MOST_STEPS:
            raise UserError(f"trained_betas in {where} must be a list of 1 to {MOST_STEPS} numbers")
        return GivenBetas(tuple(float(value) for value in given))
    if type(steps) is not int or not 1 <= steps <= MOST_STEPS:
        raise UserError(f"num_train_timesteps in {where} must be from 1 to {MOST_STEPS}, got {steps!r}")
    kind = config.get("beta_schedule", "linear")
    if kind == COSINE:
        return CosineBetas(steps)
    first, last = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    if kind == "sigmoid":
        rise = torch.linspace(-6, 6, steps, dtype=torch.float64).sigmoid()
        return GivenBetas(tuple((first + (last - first) * rise).tolist()))
    return lookup({**SCHEDULES}, str(kind), f"beta_schedule in {where}")(steps, first, last)


def scheduler_config(schedule: Schedule, parametrization: Parametrization, *, clip: bool, variance: str) -> Record:
    """The DDPMScheduler, which DDIM's pipeline reads too, of a process.

    Args:
        schedule: of native steps.
        parametrization: what the network predicts.
        clip: whether the denoised image is clamped.
        variance: of the ancestral sampler.

    Raises:
        NotApplicable: for what has no counterpart there.
    """
    predictions = {cls: name for name, cls in PREDICTIONS.items()}
    if type(parametrization) not in predictions:
        raise NotApplicable(
            f"diffusers has no prediction type for {type(parametrization).__name__}; it knows {', '.join(PREDICTIONS)}"
        )
    if not isinstance(schedule, Betas):
        raise NotApplicable(
            f"diffusers' DDPM and DDIM have fixed betas of steps 1..T, which {type(schedule).__name__} has not"
        )
    return {
        "_class_name": "DDPMScheduler",
        "_diffusers_version": "0.35.0",
        **_betas_config(schedule),
        "prediction_type": predictions[type(parametrization)],
        "clip_sample": clip,
        "clip_sample_range": 1.0,
        "timestep_spacing": "trailing",
        "variance_type": VARIANCES.get(variance, "fixed_small"),
    }


def _betas_config(schedule: Betas) -> Record:
    for name, cls in SCHEDULES.items():
        if isinstance(schedule, (LinearBetas, ScaledLinearBetas)) and type(schedule) is cls:
            ends = {"beta_start": schedule.beta_start, "beta_end": schedule.beta_end}
            return {"num_train_timesteps": schedule.T, "beta_schedule": name, "trained_betas": None, **ends}
    if schedule == CosineBetas(schedule.T):
        return {"num_train_timesteps": schedule.T, "beta_schedule": COSINE, "trained_betas": None}
    betas = schedule.betas.tolist()
    assert all(math.isfinite(beta) for beta in betas)
    return {"num_train_timesteps": schedule.T, "beta_schedule": "linear", "trained_betas": betas}
