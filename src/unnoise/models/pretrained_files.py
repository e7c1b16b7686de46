"""Reading published autoencoders: what the network is, and its weights. Nothing is ever unpickled into objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from torch import Tensor

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.io.json_file import read_json
from unnoise.models.tensor_files import read_torch, read_weights, state_dict, whole
from unnoise.registry import Bounds, Items, fitted

Found = tuple[dict[str, Any], dict[str, Tensor]]
"""The spec of an autoencoder, and its state dict in float32."""

WEIGHTS = "diffusion_pytorch_model"
MOST_LEVELS = 8
Width = Annotated[int, Bounds(1, 4096)]
Widths = Annotated[tuple[Width, ...], Items(1)]
DEFAULTS: Record = {
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 32,
    "mid_block_add_attention": True,
    "use_quant_conv": True,
}
"""What diffusers takes where a config says nothing."""
VQ_DEFAULTS: Record = {**DEFAULTS, "latent_channels": 3, "num_vq_embeddings": 256, "vq_embed_dim": None}
TYPES: Record = {name: bool if isinstance(value, bool) else Width for name, value in DEFAULTS.items()}
TYPES |= {"num_vq_embeddings": Annotated[int, Bounds(1, 2**20)], "vq_embed_dim": Width}
ONLY: Record = {"act_fn": "silu", "norm_type": "group"}
"""Options with one value that is read."""
CLASSES: Record = {"AutoencoderKL": DEFAULTS, "VQModel": VQ_DEFAULTS}
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
OLD_NAME = re.compile(rf"(\.attentions\.\d+)\.({'|'.join(OLD_ATTENTION)})\.")
LAYER = re.compile(r"(\d{1,4})\.weight")
BLOCKS = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}


def read_pretrained(folder: Path) -> Found | None:
    """The autoencoder in a folder of diffusers' (config.json) or of TAESD's (*encoder.*, *decoder.*); None for neither.

    Raises UserError for kinds, blocks and files that cannot be read.
    """
    if (folder / "config.json").is_file():
        return _diffusers(folder)
    encoder, decoder = (_weights_file(folder, f"*{part}") for part in ("encoder", "decoder"))
    return None if encoder is None or decoder is None else _tiny(encoder, decoder)


def _diffusers(folder: Path) -> Found:
    config = read_json(folder / "config.json")
    kind = str(config.get("_class_name"))
    if kind not in CLASSES:
        raise UserError(f"{folder} holds a {kind}; diffusers folders of kind {' and '.join(CLASSES)} can be a codec")
    _check_options(config, folder)
    for key, known in BLOCKS.items():
        others = set(map(str, fitted(config.get(key, []), list, f"{key} in {folder}"))) - {known}
        if others:
            raise UserError(f"{folder}: {key} has {', '.join(sorted(others))}; only {known} is supported")
    widths = fitted(config.get("block_out_channels"), Widths, f"block_out_channels in {folder}")
    if len(widths) > MOST_LEVELS:
        raise UserError(f"{folder}: block_out_channels {widths} has more than {MOST_LEVELS} levels")
    file = _weights_file(folder, WEIGHTS)
    if file is None:
        raise UserError(f"{folder} has no {WEIGHTS}.safetensors")
    defaults = CLASSES[kind]
    given = {**defaults, **{key: value for key, value in config.items() if key in defaults}}
    chosen = {key: fitted(value, TYPES[key], f"{key} in {folder}") for key, value in given.items() if value is not None}
    spec = {
        "channels": chosen["in_channels"],
        "widths": widths,
        "blocks": chosen["layers_per_block"],
        "groups": chosen["norm_num_groups"],
        "attention": chosen["mid_block_add_attention"],
        **(_vq(chosen) if kind == "VQModel" else _kl(chosen)),
    }
    return spec, dict(renamed(name, value) for name, value in _tensors(file).items())


def _kl(chosen: Record) -> Record:
    return {"kind": "autoencoderkl", "latent": chosen["latent_channels"], "quantised": chosen["use_quant_conv"]}


def _vq(chosen: Record) -> Record:
    inner = chosen["latent_channels"]
    entry = chosen.get("vq_embed_dim", inner)
    return {"kind": "vq", "latent": entry, "inner": inner, "entries": chosen["num_vq_embeddings"]}


def _check_options(config: Spec, folder: Path) -> None:
    for key, value in ONLY.items():
        if config.get(key, value) != value:
            raise UserError(f"{folder}: {key} is {config[key]!r}; only {value!r} is read")
    if config.get("out_channels", config.get("in_channels", 3)) != config.get("in_channels", 3):
        raise UserError(f"{folder}: its images have other numbers of channels than those that it is given")


def renamed(name: str, value: Tensor) -> tuple[str, Tensor]:
    """A weight of diffusers with its attention as it is called today; old files also have its matrices as 1x1
    convolutions."""
    name = OLD_NAME.sub(lambda found: f"{found[1]}.{OLD_ATTENTION[found[2]]}.", name)
    is_matrix = ".attentions." in name and value.ndim == 4
    return name, value.flatten(1) if is_matrix else value


def _tiny(encoder_file: Path, decoder_file: Path) -> Found:
    encoder, decoder = _tensors(encoder_file), _tensors(decoder_file)
    layers = {int(found[1]): value for name, value in encoder.items() if (found := LAYER.fullmatch(name))}
    if 0 not in layers or any(value.ndim != 4 for value in layers.values()):
        raise UserError(f"{encoder_file} is no encoder of TAESD's: it has no convolution '0.weight'")
    spec = {
        "kind": "taesd",
        "channels": layers[0].shape[1],
        "latent": len(layers[max(layers)]),
        "wide": any(".pool." in name for name in encoder),
    }
    return spec, {f"encoder.{k}": v for k, v in encoder.items()} | {f"decoder.{k}": v for k, v in decoder.items()}


def _weights_file(folder: Path, stem: str) -> Path | None:
    """The first of stem.safetensors and stem.pth."""
    return next((file for suffix in ("safetensors", "pth") for file in sorted(folder.glob(f"{stem}.{suffix}"))), None)


def _tensors(file: Path) -> dict[str, Tensor]:
    """In float32. torch's own files are read as tensors only."""
    if file.suffix == ".safetensors":
        return read_weights(file)
    return whole(state_dict(read_torch(file), str(file)), file)
