"""The sentence that a diffusion model is, in a configuration: its parts by name, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.models.codec import CODECS
from unnoise.models.told import Scalars
from unnoise.networks import NETWORKS
from unnoise.networks.combined import build_conditioner
from unnoise.networks.conditioner import Conditioner
from unnoise.networks.own import check_known
from unnoise.process.parametrization import PARAMETRIZATIONS
from unnoise.process.schedule import SCHEDULES
from unnoise.registry import build, check_keys, fitted

PARTS: dict[str, Mapping[str, type]] = {
    "network": NETWORKS,
    "schedule": SCHEDULES,
    "parametrization": PARAMETRIZATIONS,
    "codec": CODECS,
}
"""The nouns that a diffusion model's sentence is made of, each with its table of names; a conditioner may join them."""

DEFAULTS = {"network": "unet", "schedule": "linear-betas", "parametrization": "eps", "codec": "pixels"}

FOUND = {
    "network": (
        "in_channels",
        "out_channels",
        "image_size",
        "vector_dim",
        "token_dim",
        "spatial_channels",
        "level_span",
        "scalars",
    ),
    "codec": ("image_shape",),
}
"""Arguments that come from the data or from another part, and are not keys of a configuration."""

OPTIONS = ("clip", "learned_variance", "jumps", "flow_map")
OF_STUDENTS = ("jumps", "flow_map")
"""Options that a configuration has where they are set."""
LORA = ("rank", "alpha", "where")
TYPES: Record = {"conditioner": str | Mapping | None, "lora": Mapping | None, **dict.fromkeys(OPTIONS, bool)}
TYPES["guidance_range"] = tuple[float, float] | None
"""Of what no table builds."""


def parts_of(spec: Spec, shape: tuple[int, int, int], classes: int) -> dict[str, Any]:
    """The arguments of `Diffusion` that a sentence writes: a spec for each of PARTS, and OPTIONS.

    Raises:
        UserError: for unknown keys and values, and parts that do not go together.
    """
    check_keys(spec, (*PARTS, *TYPES), "model")
    for name, hint in TYPES.items():
        if name in spec:
            fitted(spec[name], hint, f"model.{name}")
    parts = {**DEFAULTS, **spec}
    codec = build(CODECS, parts["codec"], "codec", image_shape=shape)
    conditioner = _conditioner(spec, shape, classes)
    learned_variance = bool(spec.get("learned_variance", False))
    guidance_range = None if spec.get("guidance_range") is None else tuple(spec["guidance_range"])
    scalars = Scalars(bool(spec.get("flow_map", False)), guidance_range)
    if guidance_range is not None and conditioner is None:
        raise UserError("model.guidance_range is for a conditional model: without a condition nothing guides")
    channels, *size = codec.latent_shape
    check_known(parts["network"].get("kind") if isinstance(parts["network"], Mapping) else parts["network"])
    parametrization = build(PARAMETRIZATIONS, parts["parametrization"], "parametrization")
    network = build(
        NETWORKS,
        parts["network"],
        "network",
        in_channels=channels,
        out_channels=channels * (2 if learned_variance else 1),
        image_size=tuple(size),
        level_span=parametrization.level_span,
        vector_dim=0 if conditioner is None else conditioner.vector_dim,
        token_dim=0 if conditioner is None else conditioner.token_dim,
        spatial_channels=0 if conditioner is None else conditioner.spatial_channels,
        scalars=scalars.count,
    )
    _check_told(network, scalars)
    return {
        "network": network,
        "schedule": build(SCHEDULES, parts["schedule"], "schedule"),
        "parametrization": parametrization,
        "shape": shape,
        "codec": codec,
        "conditioner": conditioner,
        "clip": bool(spec.get("clip", True)),
        "learned_variance": learned_variance,
        "jumps": bool(spec.get("jumps", False)),
        "flow_map": scalars.flow_map,
        "guidance_range": guidance_range,
        "lora": spec.get("lora"),
    }


def _conditioner(spec: Spec, shape: tuple[int, int, int], classes: int) -> Conditioner | None:
    if spec.get("conditioner") is None:
        return None
    conditioner = build_conditioner(spec["conditioner"], classes=classes, channels=shape[0])
    if "label" in conditioner.needs and classes == 0:
        raise UserError("model.conditioner needs labels, and the images have none: put each class in its own folder")
    return conditioner


def _check_told(network: nn.Module, scalars: Scalars) -> None:
    if scalars.count and getattr(network, "scalars", 0) != scalars.count:
        raise UserError(
            f"the network {type(network).__name__} takes no conditioning.scalars, which say where a step ends or how "
            "strong guidance is; unet, dit, unet2d, dit2d and linear-attention-unet do"
        )
