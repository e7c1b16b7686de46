"""Networks: tensors to tensors; they know nothing of diffusion."""

from torch import nn

from unnoise.networks.dit import DiT
from unnoise.networks.dit2d import DiT2D
from unnoise.networks.linear_attention_unet import LinearAttentionUNet
from unnoise.networks.unet import UNet
from unnoise.networks.unet2d import UNet2D
from unnoise.registry import Table

NETWORKS: Table[type[nn.Module]] = Table(
    "unnoise.networks",
    {"unet": UNet, "unet2d": UNet2D, "linear-attention-unet": LinearAttentionUNet, "dit": DiT, "dit2d": DiT2D},
)

__all__ = ["NETWORKS", "DiT", "DiT2D", "LinearAttentionUNet", "UNet", "UNet2D"]
