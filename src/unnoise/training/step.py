"""One optimizer step of one phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.objectives import Phase
from unnoise.seeding import Noise


class StepResult(NamedTuple):
    """Detached scalars on the device: reading them waits for it, so the loop reads them only when it logs."""

    parts: dict[str, Tensor]
    grad_norm: Tensor


def train_step(
    phase: Phase,
    optimizer: torch.optim.Optimizer,
    draws: Sequence[tuple[Batch, Noise]],
    clip: float,
    autocast: Callable[[], AbstractContextManager[None]],
) -> StepResult:
    """Gradients averaged over the (batch, noise) parts in `draws`, clipped to norm `clip` (0: not), one update."""
    parts: dict[str, Tensor] = {}
    for batch, noise in draws:
        with autocast():
            loss = phase.loss(batch, noise)
        (loss.total / len(draws)).backward()
        for name, value in loss.parts.items():
            parts[name] = parts.get(name, 0) + value / len(draws)
    grad_norm = torch.nn.utils.clip_grad_norm_(phase.parameters, clip or torch.inf, foreach=True)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return StepResult(parts, grad_norm)


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """The batch in `parts` parts of equal size."""
    size = len(batch) // parts
    rows = [slice(start, start + size) for start in range(0, parts * size, size)]
    return [rows_of(batch, part) for part in rows]


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, with their conditions and codes."""
    cond = {name: value[rows] for name, value in batch.cond.items()}
    return Batch(batch.image[rows], cond, None if batch.code is None else batch.code[rows])
