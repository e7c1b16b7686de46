"""diffusers' UNet2DModel and our `UNet2D`: configurations and weights in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.networks import UNet2D
from unnoise.networks.unet2d import DOWN_BLOCKS, UP_BLOCKS
from unnoise.registry import check_keys, describe

KIND = "UNet2DModel"
OURS_ALONE = (
    *("image_size", "vector_dim", "spatial_channels", "token_dim", "scalars", "class_embed_type"),
    *("attention_heads", "time_features_dim"),
)
SHARED = tuple(option.name for option in describe(UNet2D) if option.name not in OURS_ALONE)
"""Options that have the same name and meaning there."""
THEIRS = (*SHARED, "sample_size", "class_embed_type", "num_class_embeds")
DEFAULTS: Record = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (224, 448, 672, 896),
    "down_block_types": ("DownBlock2D", *("AttnDownBlock2D",) * 3),
    "up_block_types": (*("AttnUpBlock2D",) * 3, "UpBlock2D"),
    "attention_head_dim": 8,
}
"""What diffusers takes where a config says nothing, unless `UNet2D` takes the same."""
MOST_LEVELS, MOST_CLASSES, LARGEST_WIDTH, MOST_LAYERS, LARGEST_SIDE = 8, 2**20, 4096, 64, 2**16
PREFIX = "UNetRes"
"""Of block names in old files."""


class Conditions(NamedTuple):
    """What a UNet2DModel is conditioned on. kind: '', 'classes', 'identity' or 'timestep'; rows: of the
    table of class embeddings."""

    kind: str
    rows: int = 0


class Described(NamedTuple):
    """spec: a [model.network] section; shape: (C, H, W) of what it denoises, H and W 0 where the file does not say."""

    spec: Record
    shape: tuple[int, int, int]
    outputs: int
    conditions: Conditions

    @property
    def is_dit(self) -> bool:
        return self.spec["kind"] == "dit2d"


def read_unet(config: Spec, where: str) -> Described:
    """A network's config.json.

    Raises:
        UserError: for another class, unknown options and blocks, and numbers out of bounds.
    """
    if config.get("_class_name") != KIND:
        raise UserError(f"{where} is of a {config.get('_class_name')}; the networks that are read are {KIND}s")
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    check_keys(given, THEIRS, where)
    chosen = {**DEFAULTS, **{key: value for key, value in given.items() if key in SHARED}}
    _check_bounds(chosen, where)
    spec = {key: value for key, value in chosen.items() if key not in ("in_channels", "out_channels")}
    spec["down_block_types"] = _blocks(chosen["down_block_types"], DOWN_BLOCKS, where)
    spec["up_block_types"] = _blocks(chosen["up_block_types"], UP_BLOCKS, where)
    spec["mid_block_type"] = spec.get("mid_block_type", "UNetMidBlock2D") or "none"
    spec["num_train_timesteps"] = spec.get("num_train_timesteps") or 1000
    if spec.get("time_embedding_type") == "fourier":
        raise UserError(
            f"{where} has time_embedding_type 'fourier', of the logarithm of the timestep, and the schedulers that are "
            "read begin at the timestep 0"
        )
    conditions = _conditions(config, where)
    spec["class_embed_type"] = {"": "linear", "classes": "identity"}.get(conditions.kind, conditions.kind)
    network = {"kind": "unet2d", **{key: value for key, value in spec.items() if value is not None}}
    return Described(network, (chosen["in_channels"], *_size(config, where)), chosen["out_channels"], conditions)


def _check_bounds(options: Spec, where: str) -> None:
    widths = options["block_out_channels"]
    whole = isinstance(widths, (list, tuple)) and all(type(width) is int for width in widths)
    if not whole or not 1 <= len(widths) <= MOST_LEVELS or not all(0 < width <= LARGEST_WIDTH for width in widths):
        raise UserError(f"{where}: block_out_channels {widths} are out of bounds")
    for key, most in (
        ("layers_per_block", MOST_LAYERS),
        ("in_channels", LARGEST_WIDTH),
        ("out_channels", LARGEST_WIDTH),
    ):
        value = options.get(key, 1)
        if type(value) is not int or not 1 <= value <= most:
            raise UserError(f"{where}: {key} must be a whole number from 1 to {most}, got {value!r}")


def _blocks(names: Any, known: Mapping[str, str], where: str) -> tuple[str, ...]:
    plain = tuple(str(name).removeprefix(PREFIX) for name in names)
    for name in plain:
        if name not in known:
            raise UserError(
                f"{where} has the block {name}, which has no counterpart; those that have: {', '.join(known)}"
            )
    return plain


def _size(config: Spec, where: str) -> tuple[int, int]:
    size = config.get("sample_size")
    if size is None:
        return 0, 0
    sides = list(size) if isinstance(size, (list, tuple)) else [size, size]
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides):
        raise UserError(f"{where}: sample_size must be one or two whole numbers, got {size!r}")
    return sides[0], sides[1]


def _conditions(config: Spec, where: str) -> Conditions:
    kind, count = config.get("class_embed_type"), config.get("num_class_embeds")
    if kind in ("identity", "timestep"):
        return Conditions(str(kind))
    if kind is not None:
        raise UserError(f"{where} has class_embed_type {kind!r}; those with a counterpart: identity, timestep")
    if count is None:
        return Conditions("")
    if type(count) is not int or not 1 <= count <= MOST_CLASSES:
        raise UserError(f"{where}: num_class_embeds must be from 1 to {MOST_CLASSES}, got {count!r}")
    return Conditions("classes", count)


def unet_config(network: UNet2D, *, classes: int = 0, takes_vectors: bool = False) -> Record:
    """The config.json of a network that `why_no_unet2d` has no reason against.

    Args:
        network: it.
        classes: rows of its class embedding, 0 for none.
        takes_vectors: whether what it is told are vectors, or times, in place of classes.
    """
    height, width = network.image_size
    shared = {name: getattr(network, name) for name in SHARED}
    return {
        "_class_name": KIND,
        "_diffusers_version": "0.35.0",
        **shared,
        "attention_head_dim": _head_dim(network),
        "mid_block_type": None if network.mid_block_type == "none" else network.mid_block_type,
        "sample_size": height if height == width else [height, width],
        "class_embed_type": network.class_embed_type if takes_vectors else None,
        "num_class_embeds": classes or None,
    }


def _head_dim(network: UNet2D) -> int | None:
    """Channels of an attention head, which diffusers has one number of for all widths."""
    if network.attention_heads is None:
        return network.attention_head_dim
    return network.attended[0] // network.attention_heads if network.attended else None


def without_classes(weights: Mapping[str, Tensor], conditions: Conditions) -> tuple[dict[str, Tensor], Tensor | None]:
    """The weights of the network itself, and the class embedding (classes, width) where it is a table."""
    rest = dict(weights)
    table = rest.pop("class_embedding.weight", None) if conditions.kind == "classes" else None
    return rest, table


def folded_table(network: UNet2D, vectors: Tensor) -> Tensor:
    """What vectors (N, vector_dim) add to the time embedding: (N, width)."""
    assert network.class_embedding is not None
    with torch.no_grad():
        return network.class_embedding(vectors)
