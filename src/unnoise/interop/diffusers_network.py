"""A network that is none of diffusers' classes, as a component of its pipelines.

A folder names it (model_index.json: "unet": ["unnoise.interop.diffusers_network", "UnnoiseNetwork"]), but diffusers
imports nothing because a folder says so: `import unnoise.interop.diffusers_network` comes before `from_pretrained`.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor, nn

from unnoise.networks import NETWORKS
from unnoise.networks.conditioner import Conditioning
from unnoise.registry import build


class UnnoiseNetwork(ModelMixin, ConfigMixin):
    """A network of unnoise that is called as a UNet2DModel is.

    Args:
        network: a [model.network] section.
        in_channels, out_channels: of what it is given, and of its answers.
        sample_size: pixels a side, or (height, width).
        num_train_timesteps: T; the timestep t of 0 to T - 1 is the noise level 1000 (t + 1) / T.
        level_span: how wide the range of noise levels is.
        rows: of the table of vectors that it is told, the last for no class; 0 where it is told nothing.
        vector_dim: how wide they are.
        map_shape: (channels, height, width) of the maps that lie under the image, one for each row; none by default.
    """

    maps: Tensor | None

    @register_to_config
    def __init__(
        self,
        network: dict[str, Any],
        in_channels: int,
        out_channels: int,
        sample_size: int | list[int],
        num_train_timesteps: int = 1000,
        level_span: float = 1000.0,
        rows: int = 0,
        vector_dim: int = 0,
        map_shape: list[int] | None = None,
    ) -> None:
        super().__init__()
        height, width = (sample_size, sample_size) if isinstance(sample_size, int) else sample_size
        found = {"image_size": (height, width), "vector_dim": vector_dim, "level_span": level_span}
        found |= {"in_channels": in_channels, "out_channels": out_channels}
        found |= {} if map_shape is None else {"spatial_channels": map_shape[0]}
        self.model = build(NETWORKS, network, "network", **found)
        self.told = nn.Embedding(rows, vector_dim) if rows else None
        self.register_buffer("maps", None if map_shape is None else torch.zeros(rows, *map_shape))
        self.num_train_timesteps = num_train_timesteps

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        class_labels: Tensor | None = None,
        return_dict: bool = True,
    ) -> UNet2DOutput | tuple[Tensor]:
        """The answer to `sample` (B, C, H, W) at a timestep, () or (B,); class_labels (B,): none unless given."""
        level = 1000 * (torch.as_tensor(timestep, device=sample.device).float() + 1) / self.num_train_timesteps
        level = level.expand(sample.shape[0]).to(sample.dtype)
        told = () if self.told is None else (self._told(self.told, sample, class_labels),)
        output = self.model(sample, level, *told)
        return UNet2DOutput(sample=output) if return_dict else (output,)

    def _told(self, table: nn.Embedding, sample: Tensor, labels: Tensor | None) -> Conditioning:
        none = torch.full((sample.shape[0],), table.num_embeddings - 1, device=sample.device)
        rows = none if labels is None else labels
        return Conditioning(vector=table(rows), spatial=None if self.maps is None else self.maps[rows])
