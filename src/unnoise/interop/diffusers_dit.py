"""diffusers' DiTTransformer2DModel and our `DiT2D`: its config.json, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.interop.diffusers_unet import Conditions, Described
from unnoise.networks.dit2d import DiT2D
from unnoise.registry import check_keys, describe

KINDS = ("DiTTransformer2DModel", "Transformer2DModel")
"""The second is what files from before the first say."""
OURS_ALONE = (
    *("in_channels", "out_channels", "image_size", "num_train_timesteps"),
    *("vector_dim", "spatial_channels", "token_dim", "scalars"),
)
SHARED = tuple(option.name for option in describe(DiT2D) if option.name not in OURS_ALONE)
"""Options that have the same name and meaning there."""
THEIRS = (
    *SHARED,
    *("in_channels", "out_channels", "sample_size", "num_embeds_ada_norm", "norm_type"),
    *("norm_num_groups", "upcast_attention"),  # nothing in a DiT is normalised in groups; float32 is not upcast
)
OLD: Record = {
    "attention_type": "default",
    "caption_channels": None,
    "cross_attention_dim": None,
    "double_self_attention": False,
    "num_vector_embeds": None,
    "only_cross_attention": False,
    "use_linear_projection": False,
    "interpolation_scale": None,
    "use_additional_conditions": None,
}
"""Options of Transformer2DModel -> what they are for a DiT."""
DEFAULTS: Record = {
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "num_layers": 28,
    "in_channels": 4,
    "sample_size": 32,
    "num_embeds_ada_norm": 1000,
}
"""What diffusers takes where a config says nothing, unless `DiT2D` takes the same."""
LARGEST: Record = {
    "num_attention_heads": 256,
    "attention_head_dim": 1024,
    "num_layers": 128,
    "in_channels": 4096,
    "out_channels": 4096,
    "patch_size": 64,
    "sample_size": 2**16,
    "num_embeds_ada_norm": 2**20,
}
TABLE = "transformer_blocks.{}.norm1.emb.class_embedder.embedding_table.weight"


def read_dit(config: Spec, where: str) -> Described:
    """A transformer's config.json.

    Raises:
        UserError: for another class, unknown options, and numbers out of bounds.
    """
    if config.get("_class_name") not in KINDS:
        raise UserError(f"{where} is of a {config.get('_class_name')}; the transformers that are read are {KINDS[0]}s")
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    check_keys(given, (*THEIRS, *OLD), where)
    for key, value in OLD.items():
        if given.get(key, value) != value:
            raise UserError(f"{where} has {key} = {given[key]!r}, which a DiT has not")
    if given.get("norm_type", "ada_norm_zero") != "ada_norm_zero":
        raise UserError(f"{where} has norm_type {given['norm_type']!r}; a DiT has 'ada_norm_zero'")
    chosen = {**DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    _check_bounds(chosen, where)
    spec = {"kind": "dit2d", **{key: chosen[key] for key in SHARED if key in chosen}, "num_train_timesteps": 1000}
    channels, side = chosen["in_channels"], chosen["sample_size"]
    outputs = chosen.get("out_channels", channels)
    return Described(spec, (channels, side, side), outputs, Conditions("classes", chosen["num_embeds_ada_norm"] + 1))


def _check_bounds(options: Mapping[str, Any], where: str) -> None:
    for key, most in LARGEST.items():
        value = options.get(key, 1)
        if type(value) is not int or not 1 <= value <= most:
            raise UserError(f"{where}: {key} must be a whole number from 1 to {most}, got {value!r}")


def without_tables(weights: Mapping[str, Tensor], layers: int, where: str) -> tuple[dict[str, Tensor], Tensor]:
    """The weights of the network itself, and what it adds for a class, (classes + 1, layers dim), the last for none.

    Raises:
        UserError: where a block has no such table.
    """
    rest, tables = dict(weights), []
    for layer in range(layers):
        name = TABLE.format(layer)
        if name not in rest:
            raise UserError(f"{where} has no {name}")
        tables.append(rest.pop(name))
    return rest, torch.cat(tables, dim=1)
