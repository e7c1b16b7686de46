"""A model's network as a component of diffusers' pipelines: a UNet2DModel where it is one, else a class of ours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.interop.diffusers_unet import KIND, folded_table, unet_config
from unnoise.interop.told import told_table
from unnoise.interop.unet_as_unet2d import as_unet2d, why_no_unet2d
from unnoise.models import Diffusion
from unnoise.models.assembly import model_spec
from unnoise.networks import UNet, UNet2D
from unnoise.networks.conditioning import VectorConditioner

OWN = "UnnoiseNetwork"
LIBRARIES = {KIND: "diffusers", OWN: "unnoise.interop.diffusers_network"}
"""Class of a component -> the module that diffusers takes it from."""


class Component(NamedTuple):
    """config: its config.json; weights: beside it; has_classes: whether it is told class labels; why: what keeps it
    from being a UNet2DModel, None where it is one."""

    config: Record
    weights: dict[str, Tensor]
    has_classes: bool
    why: str | None = None

    @property
    def kind(self) -> str:
        return self.config["_class_name"]


def component(model: Diffusion) -> Component:
    """The network of a model, with what the model tells it.

    Raises:
        NotApplicable: for conditions that are neither classes, nor vectors as a UNet2DModel takes them.
    """
    network, why = model.network, why_no_unet2d(model) or _why_no_maps(model)
    if isinstance(network, UNet | UNet2D) and why is None:
        return _unet2d(model, as_unet2d(network))
    assert why is not None
    return _own(model, why)


def _why_no_maps(model: Diffusion) -> str | None:
    shown = model.conditioner is not None and model.conditioner.choices and model.conditioner.spatial_channels
    return "it cannot be shown the mean of a cluster" if shown else None


def _unet2d(model: Diffusion, network: UNet2D) -> Component:
    weights = dict(network.state_dict())
    if _hands_on_vectors(model, network):
        return Component(unet_config(network, takes_vectors=True), weights, has_classes=False)
    told = told_table(model)
    if told is None:
        return Component(unet_config(network), weights, has_classes=False)
    own = {name: value for name, value in weights.items() if not name.startswith("class_embedding.")}
    table = folded_table(network, told.vectors)
    if len(table) > 1:
        config = unet_config(network, classes=len(table))
        return Component(config, {**own, "class_embedding.weight": table}, has_classes=True)
    bias = "time_embedding.linear_2.bias"  # what is always told is added to the time embedding, as this bias is
    return Component(unet_config(network), {**own, bias: own[bias] + table[0]}, has_classes=False)


def _hands_on_vectors(model: Diffusion, network: UNet2D) -> bool:
    """Whether the conditioner gives the network its vector as it is, which a UNet2DModel has class embeddings for."""
    conditioner = model.conditioner
    if not isinstance(conditioner, VectorConditioner) or network.class_embed_type == "linear":
        return False
    weight, bias = conditioner.project.weight, conditioner.project.bias
    return torch.equal(weight, torch.eye(len(weight)).to(weight)) and not bias.any()


def _own(model: Diffusion, why: str) -> Component:
    told = told_table(model)
    channels, height, width = model.codec.latent_shape
    weights = {f"model.{name}": value for name, value in model.network.state_dict().items()}
    config = {
        "_class_name": OWN,
        "_diffusers_version": "0.35.0",
        "network": model_spec(model)["network"],
        "in_channels": channels,
        "out_channels": channels * (2 if model.learned_variance else 1),
        "sample_size": height if height == width else [height, width],
        "num_train_timesteps": int(model.schedule.t_max),
        "level_span": model.parametrization.level_span,
        "rows": 0 if told is None else len(told.vectors),
        "vector_dim": 0 if told is None else told.vectors.shape[1],
        "map_shape": None if told is None or told.maps is None else list(told.maps.shape[1:]),
    }
    if told is None:
        return Component(config, weights, has_classes=False, why=why)
    tables = {"told.weight": told.vectors, **({} if told.maps is None else {"maps": told.maps})}
    return Component(config, {**weights, **tables}, len(told.vectors) > 1, why)
