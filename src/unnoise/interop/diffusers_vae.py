"""The codec of a latent diffusion as diffusers' AutoencoderKL."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.errors import NotApplicable
from unnoise.models import Diffusion
from unnoise.models.codec import Latents
from unnoise.models.pretrained import AutoencoderKL


def vae_files(model: Diffusion) -> tuple[Record, dict[str, Tensor]] | None:
    """The config.json and the weights of a model's autoencoder; None for a model of pixels.

    Our latents are (z - shift) scale. diffusers has the scale alone, so the shift moves into the biases of the 1x1
    convolutions on both sides of the latents, which makes the same images.

    Raises:
        NotApplicable: for autoencoders that diffusers has no class for.
    """
    codec = model.codec
    if not isinstance(codec, Latents):
        return None
    network = codec.network
    if not isinstance(network, AutoencoderKL) or not network.quantised:
        raise NotApplicable(
            "of the autoencoders of a latent diffusion, only an AutoencoderKL with convolutions around its latents has "
            f"a class in diffusers' pipelines; this one is a {type(network).__name__}"
        )
    weights = dict(network.state_dict())
    shift = codec.shift.flatten()
    into, out = "quant_conv.bias", "post_quant_conv.bias"
    weights[into] = weights[into] - torch.cat([shift, torch.zeros_like(shift)])
    weights[out] = weights[out] + weights["post_quant_conv.weight"].flatten(1) @ shift
    return _config(network, float(codec.scale)), weights


def _config(network: AutoencoderKL, scale: float) -> Record:
    levels = len(network.widths)
    return {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": "0.35.0",
        "act_fn": "silu",
        "in_channels": network.channels,
        "out_channels": network.channels,
        "latent_channels": network.latent,
        "block_out_channels": list(network.widths),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": network.blocks,
        "norm_num_groups": network.groups,
        "mid_block_add_attention": network.attention,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "sample_size": max(network.shape[1:]),
        "scaling_factor": scale,
    }
