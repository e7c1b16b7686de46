"""Which classes of the data a model draws, and how often: the modes it drops show here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.statistics import Array


@dataclass(frozen=True)
class Modes:
    """Fractions of the classes among the samples and in the data, (K,) each, and what is missing.

    kl: KL(samples || data) in nats; inf when the samples hold a class that the data lacks. kl_baseline: what as many
    perfect samples show on average, (classes of the data - 1) / (2 n). missing: classes of the data that no sample has;
    missing_expected: how many as many perfect samples miss on average.
    """

    fractions: Tensor
    data_fractions: Tensor
    kl: float
    kl_baseline: float
    missing: tuple[int, ...]
    missing_expected: float

    @property
    def covered(self) -> int:
        """How many classes of the data the samples have."""
        return int((self.data_fractions > 0).sum()) - len(self.missing)


def mode_coverage(predicted: Array, labels: Array, *, classes: int) -> Modes:
    """Compares the classes predicted for samples (n,) with the labels of the data (m,), both in 0..classes - 1.

    KL = sum_k p_k log(p_k / q_k), p the samples' fractions and q the data's (as for stacked MNIST, Metz et al. 2017,
    section 3.3.1). A classifier's own errors count as modes: with 1 % errors, fractions below 1 % are not found
    missing. Without predictions every class is missing.
    Raises UserError for data without images, and for labels that are no integers or out of range.
    """
    counts = _counts(predicted, classes, "predicted labels", at_least=0)
    data_counts = _counts(labels, classes, "data labels")
    n = counts.sum()
    p, q = counts / n.clamp(min=1), data_counts / data_counts.sum()
    present = q > 0
    # Where p is 0 the term is 0, whatever q.
    terms = torch.where(p > 0, p * (p / q).log(), torch.zeros_like(p))
    missing = torch.nonzero(present & (counts == 0)).flatten().tolist()
    expected = float((1 - q[present]).pow(n).sum())
    kl = float(terms.sum()) if n else math.inf
    return Modes(p, q, kl, float((present.sum() - 1) / (2 * n)), tuple(missing), expected)


def _counts(labels: Array, classes: int, what: str, at_least: int = 1) -> Tensor:
    values = torch.as_tensor(labels).cpu()
    if values.ndim != 1 or len(values) < at_least or values.is_floating_point():
        raise UserError(f"{what} must be integers (n,), at least one, got {values.dtype} {tuple(values.shape)}")
    if len(values) and (int(values.min()) < 0 or int(values.max()) >= classes):
        raise UserError(f"{what} must lie in 0..{classes - 1}, got {int(values.min())}..{int(values.max())}")
    return torch.bincount(values.long(), minlength=classes).double()
