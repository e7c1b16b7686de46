"""Training more often on the times whose losses are large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.host import fetched


class LossHistory(nn.Module):
    """Importance sampling of the native steps 1..T by their recent losses (Nichol & Dhariwal 2021, equation 18).

    p_t is proportional to sqrt(E[L_t^2]) over the last `kept` losses of each t, mixed with a fraction `uniform` of the
    uniform distribution, which keeps every t in sight; until every t has `kept` losses it is uniform. A loss divided
    by T p_t has the expectation that uniform times give.

    It lives on the CPU and is part of a checkpoint, together with what waits to be recorded.
    """

    losses: Tensor
    seen: Tensor

    def __init__(self, steps: int, kept: int = 10, uniform: float = 1e-3) -> None:
        super().__init__()
        self.steps, self.kept, self.uniform = steps, kept, uniform
        self.register_buffer("losses", torch.zeros(steps, kept, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(steps, dtype=torch.int64))
        self._last: Callable[[], Tensor] = _nothing
        self.register_load_state_dict_pre_hook(_from_before)

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
        for row, loss in zip((t.long() - 1).tolist(), losses.double().tolist(), strict=True):
            self.losses[row, self.seen[row] % self.kept] = loss
            self.seen[row] += 1

    def record_later(self, t: Tensor, losses: Tensor) -> None:
        """Records what the last call was given, and keeps the losses (B,), on any device, of the times t (B,), on the
        CPU, for the next call.

        Called after every step, it makes step k draw by the losses of the steps up to k - 2. So nobody waits for a GPU:
        it computes a step while the losses of the one before it come to the CPU.
        """
        last, arriving = self._last, fetched(losses)
        self._last = lambda: torch.stack([t, arriving().to(t)])
        self.record(*last())

    def get_extra_state(self) -> Tensor:
        """What waits to be recorded: times and losses, (2, B)."""
        return self._last()

    def set_extra_state(self, state: Tensor) -> None:
        waiting = state.clone()
        self._last = lambda: waiting


def _nothing() -> Tensor:
    return torch.zeros(2, 0, dtype=torch.float64)


def _from_before(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """In checkpoints of earlier versions nothing waits."""
    state.setdefault(f"{prefix}_extra_state", _nothing())
