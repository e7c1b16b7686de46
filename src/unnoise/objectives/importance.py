"""Training more often on the times whose losses are large."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LossHistory(nn.Module):
    """Importance sampling of the native steps 1..T by their recent losses (Nichol & Dhariwal 2021, equation 18).

    p_t is proportional to sqrt(E[L_t^2]) over the last `kept` losses of each t, mixed with a fraction `uniform` of the
    uniform distribution, which keeps every t in sight; until every t has `kept` losses it is uniform. A loss divided
    by T p_t has the expectation that uniform times give. The buffers live on the CPU and are part of a checkpoint.
    """

    losses: Tensor
    seen: Tensor

    def __init__(self, steps: int, kept: int = 10, uniform: float = 1e-3) -> None:
        super().__init__()
        self.steps, self.kept, self.uniform = steps, kept, uniform
        self.register_buffer("losses", torch.zeros(steps, kept, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(steps, dtype=torch.int64))

    def probabilities(self) -> Tensor:
        """(T,) float64, of t = 1..T."""
        flat = torch.full((self.steps,), 1 / self.steps, dtype=torch.float64)
        if int(self.seen.min()) < self.kept:
            return flat
        size = self.losses.square().mean(1).sqrt()
        total = size.sum()
        return flat if total == 0 else torch.lerp(size / total, flat, self.uniform)

    def draw(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The times below which a fraction u (B,) in [0, 1) lies, (B,) float64, and their factors 1 / (T p_t) (B,)."""
        p = self.probabilities()
        rows = torch.searchsorted(p.cumsum(0), u, right=True).clamp(max=self.steps - 1)
        return (rows + 1).double(), 1 / (self.steps * p[rows])

    def record(self, t: Tensor, losses: Tensor) -> None:
        """Takes in the losses (B,) of the times t (B,), the oldest of each time giving way."""
        for row, loss in zip((t.long() - 1).tolist(), losses.cpu().double().tolist(), strict=True):
            self.losses[row, self.seen[row] % self.kept] = loss
            self.seen[row] += 1
