"""The base of every model, and what a model may claim to be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class ImageModel(nn.Module):
    """A module that knows the shape (C, H, W) of the images it was made for."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


@runtime_checkable
class CanSample(Protocol):
    """Draws images: float (N, C, H, W) in [-1, 1], image i from seed i alone."""

    def sample(self, seeds: Sequence[int] = ..., cond: Any = None) -> Tensor: ...
