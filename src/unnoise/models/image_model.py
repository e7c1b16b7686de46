"""The base of every model, and what a model may claim to be able to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from unnoise.registry import build, spec_of

FOUND = ("shape", "classes")
"""Arguments that come from the data and are not keys of a configuration."""


class ImageModel(nn.Module):
    """A module that knows the shape (C, H, W) of the images it was made for. The constructor is the schema."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def kind(self) -> str:
        """What it is, in a sentence: 'a gan', 'an autoencoder'."""
        name = type(self).__name__.lower()
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

    @classmethod
    def build(cls, spec: Mapping[str, Any], shape: tuple[int, int, int], classes: int) -> Self:
        """The model with the keywords of `spec`, for images of `shape` (C, H, W) with `classes` labels (0: unlabelled).

        Raises UserError for a key that the constructor does not take.
        """
        kind = cls.__name__.lower()
        return build({kind: cls}, {**spec, "kind": kind}, "model", shape=shape, classes=classes)

    def spec(self) -> dict[str, Any]:
        """The keywords that build this model, every default included."""
        keywords = spec_of({"model": type(self)}, self, without=FOUND)
        return {name: value for name, value in keywords.items() if name != "kind"}


@runtime_checkable
class CanSample(Protocol):
    """Draws images: float (N, C, H, W) in [-1, 1], image i from seed i alone."""

    def sample(self, seeds: Sequence[int] = ..., cond: Any = None) -> Tensor: ...


@runtime_checkable
class CanReconstruct(Protocol):
    """Images to a code and back."""

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...


LEVEL_BITS = {"levels": 0.0, "density": math.log2(127.5), "binary": 0.0}
"""Levels lie 1 / 127.5 apart, so a density p on [-1, 1] gives each about p / 127.5."""


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) of each image, or a lower bound of it.

    nats: (N,) per image. exact: whether it is the value or a bound from below. of: what has the probability: 'levels'
    (the 256 of each pixel), 'density' (of dequantised pixels on [-1, 1]) or 'binary' (black or white pixels).
    """

    nats: Tensor
    exact: bool
    of: str

    def bits_per_dim(self, dims: int) -> Tensor:
        """-log2 p(x) / dims (N,), for images of `dims` numbers; of a density, with the bits from [-1, 1] to 256 levels.

        'levels' and 'density' compare with each other and with a diffusion model's bound; 'binary' is bits per black
        or white pixel, which compares with neither.
        """
        return -self.nats / (dims * math.log(2)) + LEVEL_BITS[self.of]


@runtime_checkable
class CanScore(Protocol):
    """Tells how probable images are."""

    def log_likelihood(self, image: Tensor, *, seed: int = ...) -> LogLikelihood: ...
