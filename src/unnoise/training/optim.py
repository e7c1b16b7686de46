"""The optimizer and its learning rate."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from unnoise.training.muon import Muon
from unnoise.training.settings import TrainSettings


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), one fused kernel for all parameters; or Muon."""
    options = {"lr": settings.learning_rate, "betas": settings.betas, "weight_decay": settings.weight_decay}
    if settings.optimizer == "muon":
        return Muon(parameters, **options)
    return torch.optim.AdamW(parameters, **options, fused=True)


def learning_rate(settings: TrainSettings, step: int, progress: float) -> float:
    """The rate of the step that follows `step` done ones: a linear warm-up, then constant, then a linear fall to zero
    over the last part of the training (Zhai et al. 2022).

    progress: the fraction of the training that is done.
    """
    rising = (step + 1) / max(1, settings.warmup)
    falling = max(0.0, 1 - progress) / settings.decay if settings.decay else 1.0
    return settings.learning_rate * min(1.0, rising, falling)


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """The norm of all gradients together, which are scaled down where it is more than `most`; 0 does not clip.

    On devices that have operations on lists of tensors it is computed by them; MPS has none.
    """
    return torch.nn.utils.clip_grad_norm_(parameters, most or torch.inf)
