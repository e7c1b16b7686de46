"""Whether a model can be trained on images of several shapes, and which sides suit its network."""

from __future__ import annotations

from dataclasses import replace

import torch

from unnoise.errors import UserError
from unnoise.networks import NETWORKS
from unnoise.networks.sizes import AnySize
from unnoise.registry import build
from unnoise.runs.config import Config
from unnoise.sources.buckets import BUCKETS
from unnoise.training.settings import DataSettings
from unnoise.training.shown import draws_pixels, learns_to_denoise, placed_condition


def square_shape(data: DataSettings) -> tuple[int, int, int]:
    """(C, H, W) of the square bucket, by which a network is chosen before the images are known.

    Raises:
        UserError: where the settings do not say how large it is, or want what buckets do not have.
    """
    if not isinstance(data.size, int):
        raise UserError(
            "data.fit=buckets needs data.size, the side of its square bucket in pixels, such as data.size=64; got "
            f"{'none' if data.size is None else data.size}"
        )
    if data.stream:
        raise UserError("data.fit=buckets packs its images: leave data.stream out, or take data.fit=crop")
    return data.channels or 3, data.size, data.size


def bucketed(data: DataSettings, config: Config) -> DataSettings:
    """The settings of a set with buckets, with what divides the sides of a configuration's network.

    Raises:
        UserError: for a model that takes images of one shape.
    """
    if reason := why_not_bucketed(config):
        raise UserError(f"data.fit=buckets is for diffusion models of pixels: {reason}; take data.fit=crop")
    channels, *size = square_shape(data)
    spec = config.get("model", {}).get("network", "unet")
    with torch.device("meta"):
        network = build(
            NETWORKS, spec, "network", in_channels=channels, out_channels=channels, image_size=(size[0], size[1])
        )
    if not isinstance(network, AnySize):
        raise UserError(
            f"data.fit=buckets needs a network for images of any size, and {type(network).__name__} does not say what "
            "their sides are multiples of (`multiple`): take data.fit=crop"
        )
    return replace(data, multiple=data.multiple or network.multiple)


def why_not_bucketed(config: Config) -> str | None:
    """Why a configuration's model takes images of one shape only; None where it takes several."""
    kind = config.get("model", {}).get("kind", "diffusion")
    if not learns_to_denoise(config):
        objective = config.get("objective", {}).get("kind", "denoising")
        what = f"model {kind!r}" if kind != "diffusion" else f"objective {objective!r}"
        return f"{what} is for images of one shape"
    if not draws_pixels(config):
        return "the autoencoder behind its latents is for images of one shape"
    if placed := placed_condition(config):
        return f"the condition {placed!r} lies on images of one shape"
    return None


def check_crop(data: DataSettings) -> None:
    """Raises UserError for a setting of buckets where there are none."""
    if data.fit != BUCKETS and data.multiple is not None:
        raise UserError("data.multiple is of the sides of buckets: give data.fit=buckets as well")
