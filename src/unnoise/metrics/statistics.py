"""Mean and covariance of a stream of features."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from unnoise.errors import UserError

Array: TypeAlias = Tensor | np.ndarray


def feature_rows(features: Array, what: str = "features", at_least: int = 1) -> Tensor:
    """Finite features (N, D) on the CPU, in the dtype they came in.

    Raises UserError for another rank, for fewer than `at_least` rows and for numbers that are not finite.
    """
    rows = torch.as_tensor(features).detach().cpu()
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise UserError(f"{what} must have the shape (N, D), got {tuple(rows.shape)}")
    if len(rows) < at_least:
        raise UserError(f"need at least {at_least} images for {what}, got {len(rows)}")
    bad = ~rows.isfinite().all(1)
    if bad.any():
        raise UserError(
            f"{int(bad.sum())} of {len(rows)} rows of {what} are NaN or infinite, the first is {first(bad)}"
        )
    return rows


def feature_pair(
    features_1: Array, features_2: Array, names: tuple[str, str], at_least: int = 2
) -> tuple[Tensor, Tensor]:
    """Two sets of finite features of one width; raises UserError as `feature_rows` does, and for different widths."""
    rows = feature_rows(features_1, names[0], at_least), feature_rows(features_2, names[1], at_least)
    if rows[0].shape[1] != rows[1].shape[1]:
        raise UserError(
            f"{names[0]} have {rows[0].shape[1]} dimensions but {names[1]} {rows[1].shape[1]}; use one extractor"
        )
    return rows


def first(mask: Tensor) -> int:
    """The index of the first true value of a mask (N,) that has one."""
    return int(mask.int().argmax())


class FeatureStatistics:
    """Count, mean and scatter of features in float64, whatever the order and the batches they come in.

    mean (D,); scatter (D, D) = sum_i (x_i - mean)(x_i - mean)^T; both on the CPU. Batches and whole streams are joined
    by the pairwise update of Chan, Golub & LeVeque 1983 (equations 2.1), which never subtracts large sums of squares.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64)

    @classmethod
    def of(cls, features: Array) -> FeatureStatistics:
        """The statistics of one array of features (N, D)."""
        statistics = cls(torch.as_tensor(features).shape[-1])
        statistics.update(features)
        return statistics

    @property
    def dim(self) -> int:
        """The width of the features."""
        return len(self.mean)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance scatter / (count - 1), (D, D); raises UserError for fewer than two images."""
        if self.count < 2:
            raise UserError(f"a covariance needs at least 2 images, got {self.count}")
        return self.scatter / (self.count - 1)

    def update(self, features: Array) -> None:
        """Adds features (B, D); raises UserError for another width and for NaN."""
        rows = feature_rows(features, at_least=0).double()
        self._check_width(rows.shape[1])
        if len(rows) == 0:
            return
        mean = rows.mean(0)
        centred = rows - mean
        self.scatter.addmm_(centred.T, centred)
        self._shift(len(rows), mean)

    def merge(self, other: FeatureStatistics) -> None:
        """Adds what another stream has seen, as if its features had been part of this one."""
        self._check_width(other.dim)
        if other.count:
            self.scatter += other.scatter
            self._shift(other.count, other.mean)

    def state(self) -> dict[str, Tensor]:
        """count (1,), mean (D,) and scatter (D, D): all there is, as safetensors stores it."""
        return {"count": torch.tensor([self.count]), "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> FeatureStatistics:
        """The statistics whose `state()` was stored."""
        statistics = cls(len(state["mean"]))
        statistics.count = int(state["count"])
        statistics.mean, statistics.scatter = state["mean"].clone(), state["scatter"].clone()
        return statistics

    def _shift(self, count: int, mean: Tensor) -> None:
        """Joins the means, and adds the scatter between the two groups."""
        total, difference = self.count + count, mean - self.mean
        self.scatter.addr_(difference, difference, alpha=self.count * count / total)
        self.mean = self.mean + difference * (count / total)
        self.count = total

    def _check_width(self, dim: int) -> None:
        if dim != self.dim:
            raise UserError(f"features of {dim} dimensions cannot join statistics of {self.dim}")
