"""What a network may be told beside the noise level, and what makes it from a batch's conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Conditioning:
    """vector (B, D); tokens (B, L, D); spatial (B, C, H, W), aligned with the image. All optional."""

    vector: Tensor | None = None
    tokens: Tensor | None = None
    spatial: Tensor | None = None


class ClassConditioner(nn.Module):
    """A learned vector per class, and one more for 'no class'.

    In training a label is dropped with probability `dropout`, so that one network learns the conditional and the
    unconditional model (Ho & Salimans 2022, algorithm 1). classes comes from the data.
    """

    def __init__(self, classes: int, dim: int = 128, dropout: float = 0.1) -> None:
        super().__init__()
        self.classes, self.dim, self.dropout = classes, dim, dropout
        self.table = nn.Embedding(classes + 1, dim)

    def forward(self, cond: Mapping[str, Any] | None, count: int) -> Conditioning:
        """cond: {'label': (B,) int64}, or None for no class. count: B."""
        nothing = torch.full((count,), self.classes, device=self.table.weight.device)
        if cond is None or "label" not in cond:
            return Conditioning(vector=self.table(nothing))
        labels = cond["label"]
        if self.training and self.dropout > 0:
            labels = torch.where(torch.rand(count, device=labels.device) < self.dropout, nothing, labels)
        return Conditioning(vector=self.table(labels))


CONDITIONERS: dict[str, type[nn.Module]] = {"class": ClassConditioner}
