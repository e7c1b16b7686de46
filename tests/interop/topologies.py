"""UNet2DModels of diffusers' own making, small: every option of the network at least once."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "sample_size": 16,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 8,
}
ATTENDED = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
ATTENDED_ABOVE = {
    "down_block_types": ("AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D"),
}
RESAMPLED = {
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
}

TOPOLOGIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "attention": {**ATTENDED, "attention_head_dim": 4},
    "one-head": {**ATTENDED, "attention_head_dim": None},
    "three-levels": {
        "block_out_channels": (8, 16, 32),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 2,
    },
    "resnet-blocks": RESAMPLED,
    "resampling-by-resnets": {**ATTENDED_ABOVE, "downsample_type": "resnet", "upsample_type": "resnet"},
    "scale-shift": {**ATTENDED, "resnet_time_scale_shift": "scale_shift"},
    "scale-shift-normed": {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 2},
    "asymmetric-padding": {"downsample_padding": 0},
    "no-middle-attention": {"add_attention": False},
    "no-middle": {"mid_block_type": None},
    "scaled-middle": {"mid_block_scale_factor": 1.4142},
    "sines-first": {"flip_sin_to_cos": False, "freq_shift": 1},
    "learned-times": {"time_embedding_type": "learned", "num_train_timesteps": 1000},
    "wide-time": {"time_embedding_dim": 24, "norm_eps": 1e-6, "dropout": 0.1},
    "centred": {"center_input_sample": True, "act_fn": "mish"},
    "gelu-grey": {"act_fn": "gelu", "in_channels": 1, "out_channels": 1, "sample_size": (16, 8)},
    "relu": {"act_fn": "relu"},
    "classes": {"num_class_embeds": 5},
    "class-vectors": {"class_embed_type": "identity"},
    "class-times": {"class_embed_type": "timestep"},
}


def randomised(model: Any, seed: int = 0) -> Any:
    """The model in eval mode with weights that are nowhere zero, so that no block is the identity."""
    import torch

    draws = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        scale = 0.3 if parameter.ndim == 1 else 1.5 * parameter[0].numel() ** -0.5
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.copy_(scale * torch.randn(parameter.shape, generator=draws) + (parameter.ndim == 1) * 0.1)
    for name, means in model.named_buffers():
        if name.endswith("centers"):  # of clusters
            means.copy_(torch.randn(means.shape, generator=draws))
    return model.eval()
