"""The families that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Family:
    """How a family is trained.

    Args:
        recipe: its name.
        overrides: what is changed of it.
        student: the method by which a student of it is made, in half of the time; the student is the family.
        autoencoder: the recipe of the autoencoder that is trained first, for half of the time.
        short: whether it is trained again and again where stability is asked for.
    """

    recipe: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    autoencoder: str | None = None
    student: str | None = None
    short: bool = False


FAMILIES: dict[str, Family] = {
    "autoencoder": Family("autoencoder"),
    "dae": Family("dae"),
    "vae": Family("vae", short=True),
    "vae-levels": Family("vae", {"model.likelihood": "discretised-logistic"}),
    "gan": Family("gan", short=True),
    "gan-minimax": Family("gan-minimax", short=True),
    "ddpm": Family("ddpm", short=True),
    "edm": Family("edm"),
    "rectified-flow": Family("rectified-flow"),
    "reflow": Family("rectified-flow", student="reflow"),
    "consistency": Family("consistency"),
    "latent-diffusion": Family("ldm", autoencoder="vae-latent"),
}
"""By the name of the run's folder. vae-levels: bits of the 256 levels, which compare with a diffusion model's."""
