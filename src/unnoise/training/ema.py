"""An exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """average <- decay average + (1 - decay) weights after every step, in one foreach operation.

    The decay is min(decay, (1 + step) / (10 + step)), so that a young average forgets the random start. Buffers are
    copied, not averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self._live: list[Tensor] = list(model.parameters())
        self._average = [parameter.detach().clone() for parameter in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after `step` steps (1 after the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)  # type: ignore[attr-defined, arg-type]

    def state_dict(self) -> dict[str, Tensor]:
        """The model's state dict with the averaged weights in place of its own; tensors are shared, not copied."""
        with self.applied():
            return self._model.state_dict()

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for average, (name, _) in zip(self._average, self._model.named_parameters(), strict=True):
            average.copy_(state[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the model has the averaged weights; afterwards its own, to the bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self._live, self._average, strict=True):
            parameter.data, average.data = average.data, parameter.data
