"""The base of every model, and what a model may claim to be able to do."""

from __future__ import annotations

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

    @classmethod
    def build(cls, spec: Mapping[str, Any], shape: tuple[int, int, int], classes: int) -> Self:
        """The model with the keywords of `spec`, for images of `shape` (C, H, W) with `classes` labels (0: unlabelled).

        Raises ValueError for a key that the constructor does not take.
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


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) of each image, or a lower bound of it.

    nats: (N,) per image. exact: whether it is the value or a bound from below. of: what has the probability: 'levels'
    (the 256 of each pixel), 'density' (of dequantised pixels on [-1, 1]) or 'binary' (black or white pixels).
    """

    nats: Tensor
    exact: bool
    of: str


@runtime_checkable
class CanScore(Protocol):
    """Tells how probable images are."""

    def log_likelihood(self, image: Tensor, *, seed: int = ...) -> LogLikelihood: ...
