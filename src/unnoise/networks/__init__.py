"""Networks: tensors to tensors; they know nothing of diffusion."""

from torch import nn

from unnoise.networks.dit import DiT
from unnoise.networks.unet import UNet

NETWORKS: dict[str, type[nn.Module]] = {"unet": UNet, "dit": DiT}

__all__ = ["NETWORKS", "DiT", "UNet"]
