"""The optimizer and its learning rate."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from unnoise.training.settings import TrainSettings


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019), one fused kernel for all parameters."""
    return torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The rate of the step that follows `step` done ones: a linear warm-up, then constant."""
    return settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup))
