"""The denoising loss by noise level, on held-out images and on as many training images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.data import Batch
from unnoise.models import Diffusion
from unnoise.objectives.clipped import clipped_answer
from unnoise.process.gaussian import perturb
from unnoise.seeding import StepNoise
from unnoise.training.trainer import Trainer

EDGES = (6.0, 4.0, 2.0, 0.0, -2.0, -4.0, -6.0)
"""Log signal-to-noise ratios between which the levels lie, the least noise first."""
LEVELS = len(EDGES) - 1
PURPOSE = -3
"""Key of the draws."""
FRACTION = 0.02
"""Of the time of a training that these losses may take."""
FEWEST, MOST = 8, 256
"""Images of each side."""
DIGITS = 6


@dataclass(frozen=True)
class ByLevel:
    """held_out, training: (LEVELS, N) mean squared errors of the prediction, of the same noise."""

    held_out: Tensor
    training: Tensor

    def record(self) -> Record:
        """The means, as metrics.jsonl has them."""
        sides = {"held_out": self.held_out, "training": self.training}
        means = {f"{name}_loss": round(float(losses.mean()), DIGITS) for name, losses in sides.items()}
        by_level = {
            f"{name}_losses": [round(value, DIGITS) for value in losses.mean(1).tolist()]
            for name, losses in sides.items()
        }
        return {**means, **by_level}


class LevelLosses:
    """E ||target - network(x_t, t)||^2 / D within each level, of the image in range that sampling uses, under the
    averaged weights, with noise that is always the same; at most FRACTION of the time.

    Args:
        model: whose network predicts the target.
        held_out, training: batches of as many images.
        clock: seconds.
    """

    def __init__(
        self,
        model: Diffusion,
        held_out: list[Batch],
        training: list[Batch],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model, self._held_out, self._training, self._clock = model, held_out, training, clock
        self._allowed = clock()

    def due(self) -> bool:
        return self._clock() >= self._allowed

    @torch.no_grad()
    def measure(self, trainer: Trainer) -> ByLevel:
        """The losses where the training stands."""
        begun = self._clock()
        self._model.eval()
        with trainer.ema.applied(), trainer.engine.looking():
            found = ByLevel(self._side(self._held_out, trainer.seed), self._side(self._training, trainer.seed))
        now = self._clock()
        self._allowed = now + (now - begun) / FRACTION
        return found

    def _side(self, batches: Iterable[Batch], seed: int) -> Tensor:
        parts = [self._losses(batch, StepNoise(seed, index, PURPOSE)) for index, batch in enumerate(batches)]
        return torch.cat(parts, dim=1)

    def _losses(self, batch: Batch, noise: StepNoise) -> Tensor:
        """(LEVELS, B)."""
        model, x_0, cond = self._model, self._model.encoded(batch), self._model.conditions(batch)
        levels = []
        for high, low in pairwise(EDGES):
            t = times(model, high + (low - high) * noise.uniform(len(x_0)))
            eps = noise.normal(x_0)
            x_t = perturb(model.schedule, x_0, eps, t)
            output, _ = model.predict(x_t, t, cond)
            target = model.parametrization.target(model.schedule, x_0, eps, t)
            errors = clipped_answer(model, output.to(x_0.dtype), x_t, t) - target
            levels.append(errors.square().flatten(1).mean(1).float().cpu())
        return torch.stack(levels)


def times(model: Diffusion, log_snr: Tensor) -> Tensor:
    """The times (B,) at which a schedule has these ratios; the nearest that it trains on."""
    schedule = model.schedule
    t = schedule.t(log_snr).clamp(max=schedule.t_max)
    return t if schedule.grid is None else t.round().clamp(min=1)


def count_within(seconds: float, seconds_each: float, available: int) -> int:
    """How many images of each side `seconds` allow at FRACTION of them, where a forward pass of one takes
    `seconds_each`; FEWEST at least, of those that there are."""
    allowed = FRACTION * seconds / (2 * LEVELS * max(1e-9, seconds_each))
    return min(available, MOST, max(FEWEST, int(allowed)))
