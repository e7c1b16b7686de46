"""The contract between an objective and the training loop, which knows only phases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.seeding import Noise


class Loss(NamedTuple):
    """total: the scalar that is minimised. parts: detached scalars worth logging, by name."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """What one optimizer does in a step: what it trains, on which loss, and how often, each time with new noise.

    rate: times the learning rate of the training.
    """

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Batch, Noise], Loss]
    updates: int = 1
    rate: float = 1.0


class Objective(ABC):
    """Turns batches into losses for a model. One phase by default; a GAN has two.

    denoises: whether the network of a diffusion model learns the parametrization's target, at every noise level.
    teaches_scales: whether a network that is told the scale of guidance learns what it means.
    """

    denoises: ClassVar[bool] = False
    teaches_scales: ClassVar[bool] = False

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The model that is trained, averaged and saved."""

    def phases(self) -> list[Phase]:
        return [Phase("model", [p for p in self.model.parameters() if p.requires_grad], self.loss)]

    def modules(self) -> dict[str, nn.Module]:
        """What training needs beside the model and throws away after it, by name: saved in every checkpoint."""
        return {}

    @abstractmethod
    def loss(self, batch: Batch, noise: Noise) -> Loss:
        """The loss of a batch; every random number comes from `noise`."""

    def diagnose(self, values: Mapping[str, float]) -> str | None:
        """What is wrong, and what to do, by the values of a log line (the parts, grad_norm, grad_norm_PHASE); None
        where nothing is."""
        return None

    def before_step(self, step: int, progress: float = 0.0) -> None:  # noqa: B027 (most objectives have nothing to do)
        """Called before the first phase of a step; trial steps, which change nothing, do not call it.

        progress: the fraction of the training that is done, by steps or by time.
        """

    def after_step(self, step: int) -> None:  # noqa: B027 (most objectives have nothing to do)
        """Called when all phases of a step are done."""
