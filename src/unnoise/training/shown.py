"""How images are shown in training: mirrored where the data allows it, changed where they are few."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from unnoise.aliases import Spec
from unnoise.data.augment import AUGMENT, WIDTH
from unnoise.data.buckets import AnyImages
from unnoise.data.mirror import mirror_images
from unnoise.errors import UserError
from unnoise.networks.combined import COMBINED, with_part
from unnoise.objectives import OBJECTIVES
from unnoise.registry import lookup
from unnoise.runs.config import Config
from unnoise.training.hold_out import AUTO, SMALL
from unnoise.training.settings import BEFORE, DataSettings

USUAL = 0.12
"""The probability of a change, as Karras et al. 2022 have it on CIFAR-10."""
VIEWS = 100
"""How often an image must be shown for changes to pay: networks learn a small set by heart after some 300 times
(docs/guard.md), and until then changed images only teach more slowly (docs/lab.md)."""
POSITIONS = ("map", "image")
"""Conditioners whose condition lies on the image, and would have to be changed with it."""


def shown(
    data: DataSettings, config: Config, images: AnyImages, stored: Config | None, seen: float | None = None
) -> tuple[DataSettings, Config, tuple[str, ...]]:
    """The settings of [data] without 'auto', the configuration with what the network is told, and notes.

    stored: the configuration of the run that goes on, whose choices stay. seen: how many images the training will
    show, where that is known.

    Raises:
        UserError: for an augmentation that the model cannot be told of.
    """
    before = {} if stored is None else {**BEFORE, **stored["data"]}
    notes: list[str] = []
    if data.flip == AUTO:
        data = replace(data, flip=before["flip"]) if before else _flipped(data, images, notes)
    reason = why_not_augmented(config)
    if data.augment == AUTO:
        possible = reason is None and len(images) <= SMALL
        views = math.inf if seen is None else seen / len(images)
        data = replace(data, augment=before.get("augment", USUAL if possible and views >= VIEWS else 0.0))
        if possible and views < VIEWS and not before:
            notes.append(
                f"images are shown as they are, each about {views:.2g} times: too seldom to be learned by heart "
                "(data.augment)"
            )
    elif data.augment and reason is not None:
        raise UserError(f"data.augment={data.augment:g} is not possible: {reason}; give 0")
    if not data.augment:
        return data, config, tuple(notes)
    if not before:
        notes.append(
            f"images are moved, turned and stretched, each with probability {data.augment:g}, and the network is told "
            "how; samples are of images as they are (data.augment)"
        )
    model = config.get("model", {})
    return data, {**config, "model": {**model, "conditioner": with_part(model.get("conditioner"), AUGMENT)}}, (*notes,)


def why_not_augmented(config: Config) -> str | None:
    """Why a configuration's network cannot be told what was done to an image; None where it can."""
    if not learns_to_denoise(config):
        return "only a network that learns to denoise is told what was done to an image"
    if not draws_pixels(config):
        return "latents are of images as they are"
    placed = placed_condition(config)
    return f"the condition {placed!r} lies on the image, which would be moved" if placed else None


def learns_to_denoise(config: Config) -> bool:
    """Whether a configuration is of a diffusion model whose network learns what to take away, at every noise level."""
    kind = config.get("objective", {}).get("kind", "denoising")
    diffuses = config.get("model", {}).get("kind", "diffusion") == "diffusion"
    return diffuses and lookup(OBJECTIVES, kind, "objective").denoises


def draws_pixels(config: Config) -> bool:
    """Whether a diffusion model works on the pixels themselves."""
    codec = config.get("model", {}).get("codec") or "pixels"
    return (codec if isinstance(codec, str) else codec.get("kind")) == "pixels"


def placed_condition(config: Config) -> str | None:
    """A condition of a configuration that lies on the image; None where there is none."""
    conditioner = config.get("model", {}).get("conditioner") or {}
    spec: Spec = {"kind": conditioner} if isinstance(conditioner, str) else conditioner
    parts = spec.get("parts", {}) if spec.get("kind") == COMBINED else {spec.get("kind"): {}}
    return next((part for part in parts if part in POSITIONS), None)


def told(cond: Spec, data: DataSettings) -> Spec:
    """The conditions of a batch of data, with an example of what augmentation adds to them."""
    return {**cond, AUGMENT: torch.zeros(1, WIDTH)} if data.augment else cond


def _flipped(data: DataSettings, images: AnyImages, notes: list[str]) -> DataSettings:
    found = mirror_images(images)
    what = "images are shown mirrored too" if found.allowed else "images are not mirrored"
    notes.append(f"{what}: {found.reason} (data.flip)")
    return replace(data, flip=found.allowed)
