"""What a model can do, asked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unnoise.data import Batch
from unnoise.errors import NotApplicable
from unnoise.models import CanReconstruct, Diffusion, ImageModel
from unnoise.models.codec import Latents
from unnoise.samplers import Sampler
from unnoise.sampling.conditions import taken_by

CanDenoise = Diffusion


def condition_names(model: ImageModel) -> tuple[str, ...]:
    return taken_by(model)


def conditions(model: ImageModel, batch: Batch) -> Mapping[str, Any] | None:
    return model.conditions(batch) if isinstance(model, Diffusion) else None


def default_sampler(model: ImageModel) -> Sampler | None:
    return model.default_sampler() if isinstance(model, Diffusion) else None


def works_in_latents(model: ImageModel) -> bool:
    return isinstance(model, Diffusion) and isinstance(model.codec, Latents)


def reconstructor(model: ImageModel) -> CanReconstruct | None:
    if isinstance(model, Diffusion):
        return model.codec if isinstance(model.codec, Latents) else None
    return model if isinstance(model, CanReconstruct) else None


def require(model: ImageModel, capability: type[CanDenoise], purpose: str) -> CanDenoise:
    if not isinstance(model, capability):
        raise NotApplicable(f"{purpose} needs a diffusion model; this is {model.kind}")
    return model
