"""Models from the [model] section of a configuration, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unnoise.models.codec import CODECS
from unnoise.models.diffusion import Diffusion
from unnoise.models.image_model import ImageModel
from unnoise.networks import NETWORKS
from unnoise.networks.conditioning import CONDITIONERS
from unnoise.process.parametrization import PARAMETRIZATIONS
from unnoise.process.schedule import SCHEDULES
from unnoise.registry import build, check_keys, spec_of

PARTS: dict[str, dict[str, type]] = {
    "network": NETWORKS,
    "schedule": SCHEDULES,
    "parametrization": PARAMETRIZATIONS,
    "codec": CODECS,
    "conditioner": CONDITIONERS,
}
"""The nouns that a diffusion model's sentence is made of, each with its table of names."""

FOUND = {
    "network": ("in_channels", "out_channels", "image_size", "vector_dim"),
    "conditioner": ("classes",),
}
"""Arguments that come from the data or from another part, and are not keys of a configuration."""

OPTIONS = ("clip", "learned_variance")


def build_model(spec: Mapping[str, Any], shape: tuple[int, int, int], classes: int) -> ImageModel:
    """The model that `spec` describes, for images of `shape` (C, H, W) with `classes` labels (0: unlabelled)."""
    spec = {"kind": "diffusion", **spec}
    if spec.pop("kind") != "diffusion":
        raise ValueError("unknown model; allowed: diffusion")
    check_keys(spec, (*PARTS, *OPTIONS), "model")
    codec = build(CODECS, spec.get("codec", "pixels"), "codec")
    conditioner = _conditioner(spec, classes)
    learned_variance = bool(spec.get("learned_variance", False))
    channels, *size = codec.shape(shape)
    network = build(
        NETWORKS,
        spec.get("network", "unet"),
        "network",
        in_channels=channels,
        out_channels=channels * (2 if learned_variance else 1),
        image_size=tuple(size),
        vector_dim=0 if conditioner is None else conditioner.dim,
    )
    return Diffusion(
        network,
        build(SCHEDULES, spec.get("schedule", "linear-betas"), "schedule"),
        build(PARAMETRIZATIONS, spec.get("parametrization", "eps"), "parametrization"),
        shape=shape,
        codec=codec,
        conditioner=conditioner,
        clip=bool(spec.get("clip", True)),
        learned_variance=learned_variance,
    )


def model_spec(model: Diffusion) -> dict[str, Any]:
    """The [model] section that builds `model`, every default included."""
    parts = {
        name: spec_of(table, getattr(model, name), without=FOUND.get(name, ()))
        for name, table in PARTS.items()
        if getattr(model, name) is not None
    }
    return {"kind": "diffusion", **{name: getattr(model, name) for name in OPTIONS}, **parts}


def _conditioner(spec: Mapping[str, Any], classes: int) -> Any:
    if spec.get("conditioner") is None:
        return None
    if classes == 0:
        raise ValueError("model.conditioner needs labels, and the images have none: put each class in its own folder")
    return build(CONDITIONERS, spec["conditioner"], "conditioner", classes=classes)
