"""Classifier guidance: Bayes' rule for scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.guidance.score import add_score
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped

LogProb = Callable[[Tensor, Tensor, Any], Tensor]
"""(x_t (B, *), t, label) -> log p(label | x_t), (B,) in nats, differentiable in x_t."""


@dataclass(frozen=True)
class ClassifierGuidance:
    """score + scale grad log p(label | x_t), that is eps - sigma scale grad (Dhariwal & Nichol 2021, algorithm 2).

    By Bayes' rule scale 1 around an unconditional denoiser is the conditional one; 0 is the denoiser itself.
    The label is cond['label'], (B,); the denoiser gets the same cond. A call with cond None is not guided.
    Raises UserError for a cond without label.
    """

    log_prob: LogProb
    scale: float = 1.0

    condition_names: ClassVar[tuple[str, ...]] = ("label",)

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return denoiser if self.scale == 0 else _Guided(denoiser, self.log_prob, self.scale)


@dataclass(frozen=True)
class _Guided(Wrapped):
    log_prob: LogProb
    scale: float

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        denoised = self.denoiser(x_t, t, cond)
        if cond is None:
            return denoised
        if "label" not in cond:
            raise UserError(f"classifier guidance needs a label in cond, got only {', '.join(cond) or 'nothing'}")
        return add_score(denoised, self.scale * self._gradient(x_t, t, cond["label"]), self.schedule, t)

    @torch.enable_grad()
    def _gradient(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        x_t = x_t.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.log_prob(x_t, t, label).sum(), x_t)
        return gradient
