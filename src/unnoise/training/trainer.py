"""Training, one step at a time. Everything random in a step is a function of (seed, step), so a resumed run needs only
weights, optimizer state and the step to go on as if it had never stopped."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.data.loader import Loader
from unnoise.objectives import Objective
from unnoise.runs.checkpoint import Checkpoint
from unnoise.seeding import StepNoise, fold
from unnoise.training.ema import EMA
from unnoise.training.engine import Engine
from unnoise.training.optim import learning_rate, make_optimizer
from unnoise.training.settings import TrainSettings
from unnoise.training.step import StepResult, split_batch, train_step

DROPOUT, VALIDATION = -1, -2
"""Keys of the draws that belong to no phase."""


class Trainer:
    """An objective, its optimizers and its average, at a step."""

    def __init__(
        self, objective: Objective, loader: Loader, settings: TrainSettings, engine: Engine, seed: int = 0
    ) -> None:
        self.objective, self.loader, self.settings, self.engine, self.seed = objective, loader, settings, engine, seed
        self.model = objective.model
        self.phases = objective.phases()
        self.optimizers = [make_optimizer(phase.parameters, settings) for phase in self.phases]
        self.ema = EMA(self.model, settings.ema)
        self.step = 0
        self.seconds = 0.0
        self.best: tuple[float, int | None] = (math.inf, None)

    def advance(self) -> dict[str, StepResult]:
        """One step of every phase, then the objective's own work and the average."""
        self.model.train()
        torch.manual_seed(fold(self.seed, self.step, DROPOUT))
        batch = self.loader.batch(self.step)
        self.objective.before_step(self.step)
        results = {}
        for index, (phase, optimizer) in enumerate(zip(self.phases, self.optimizers, strict=True)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.settings, self.step)
            optimizer.zero_grad(set_to_none=True)  # of a trial step, which knows only the model's gradients
            results[phase.name] = train_step(
                phase, optimizer, self._draws(batch, index), self.settings.clip, self.engine.autocast
            )
        self.step += 1
        self.objective.after_step(self.step)
        self.ema.update(self.step)
        return results

    @torch.no_grad()
    def validate(self, batches: list[Batch]) -> float:
        """The first phase's loss on fixed batches with fixed noise, under the averaged weights."""
        self.model.eval()
        total = torch.zeros(())
        with self.ema.applied(), self.engine.autocast():
            for index, batch in enumerate(batches):
                loss = self.phases[0].loss(batch, StepNoise(self.seed, index, VALIDATION))
                total += loss.total.float().cpu() * len(batch.image)
        return float(total) / max(1, sum(len(batch.image) for batch in batches))

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint's safetensors files hold."""
        others = {name: module.state_dict() for name, module in self.objective.modules().items()}
        return {"model": self.model.state_dict(), "ema": self.ema.state_dict(), **others}

    def state(self) -> dict[str, Any]:
        """What a checkpoint's state.json holds."""
        images = self.step * self.settings.batch_size
        return {"step": self.step, "images": images, "seconds": self.seconds, "best": list(self.best)}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to where the checkpoint was written."""
        state = checkpoint.state()
        self.model.load_state_dict(checkpoint.tensors("model"))
        self.ema.load_state_dict(checkpoint.tensors("ema"))
        for name, module in self.objective.modules().items():
            module.load_state_dict(checkpoint.tensors(name))
        for optimizer, saved in zip(self.optimizers, checkpoint.optimizers(), strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.best = (state["best"][0], state["best"][1])

    def _draws(self, batch: Batch, phase: int) -> list[tuple[Batch, StepNoise]]:
        parts = split_batch(batch, self.settings.accumulate)
        return [(part, StepNoise(self.seed, self.step, phase, index)) for index, part in enumerate(parts)]
