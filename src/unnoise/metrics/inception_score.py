"""The Inception Score, from any classifier's probabilities (Salimans et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.statistics import Array, feature_rows


@dataclass(frozen=True)
class InceptionScore:
    """Mean and standard deviation over the splits, and each split's score (splits,); from 1 to the classes' count."""

    mean: float
    std: float
    scores: Tensor


def inception_score(probabilities: Array, *, splits: int = 10, seed: int | None = 2020) -> InceptionScore:
    """exp(mean_x KL(p(y|x) || p(y))) in each split, p(y) being the split's mean (Salimans et al. 2016, section 4).

    probabilities (N, K): rows that sum to 1. splits: at most N. seed: of the shuffle before splitting, torch-fidelity's
    by default; None keeps the order. With one split the order does not matter.
    Raises UserError for fewer than two images or than splits, and for rows that are no probabilities.
    """
    p = _distributions(probabilities)
    if not 1 <= splits <= len(p):
        raise UserError(f"need 1 to {len(p)} splits for {len(p)} images, got {splits}")
    if seed is not None:
        order = np.random.RandomState(seed).permutation(len(p))
        p = p[torch.from_numpy(order)]
    edges = [i * len(p) // splits for i in range(splits + 1)]
    scores = torch.stack([_score(p[a:b]) for a, b in pairwise(edges)])
    return InceptionScore(float(scores.mean()), float(scores.std(correction=0)), scores)


def _score(p: Tensor) -> Tensor:
    marginal = p.mean(0)
    return (torch.xlogy(p, p) - torch.xlogy(p, marginal)).sum(1).mean().exp()


def _distributions(probabilities: Array) -> Tensor:
    p = feature_rows(probabilities, "class probabilities", at_least=2).double()
    if float(p.min()) < 0 or float((p.sum(1) - 1).abs().max()) > 1e-3:
        raise UserError("class probabilities must be at least 0 and sum to 1 in every row; give softmax(logits)")
    return p / p.sum(1, keepdim=True)
