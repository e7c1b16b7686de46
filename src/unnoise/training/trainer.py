"""One training step after another: the innermost of `train` > `Session` > `Trainer`.

Everything random in a step is a function of (seed, step), so a resumed run needs only weights, optimizer state and the
step to go on as if it had never stopped.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.data.batch import Batch
from unnoise.data.loader import Loader
from unnoise.objectives import Objective
from unnoise.seeding import StepNoise, fold
from unnoise.training.ema import EMA
from unnoise.training.engine import Engine
from unnoise.training.optim import learning_rate, make_optimizer
from unnoise.training.parts import split_batch
from unnoise.training.settings import TrainSettings

DROPOUT, VALIDATION = -1, -2
"""Keys of the draws that belong to no phase."""


class StepResult(NamedTuple):
    """Detached scalars on the device: reading them waits for it, so a session reads them only when it has to."""

    parts: dict[str, Tensor]
    grad_norm: Tensor


class Saved(Protocol):
    """Where a training stood: a checkpoint on the disk, or a `Snapshot` in memory."""

    def state(self) -> Record: ...

    def tensors(self, name: str) -> dict[str, Tensor]: ...

    def optimizers(self) -> list[Record]: ...


class Trainer:
    """An objective, its optimizers and its average, at a step.

    rate_factor: of the learning rate, below 1 after a session went back from numbers that were not finite.
    accumulate: the parts in which a batch is computed; as many as the settings ask for, or more where memory is short.
    finished_minutes: the limit in minutes that the run has come to the end of.
    """

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
        self.rate_factor = 1.0
        self.accumulate = settings.accumulate
        self.finished_minutes = 0.0
        self.scaler = engine.scaler()

    def advance(self) -> dict[str, StepResult]:
        """One step: every phase in turn, then the objective's own work and the average."""
        self.model.train()
        # Dropout draws from torch's global generator. Seeded by the step, a resumed run draws what this one would.
        torch.manual_seed(fold(self.seed, self.step, DROPOUT))
        batch = self.loader.batch(self.step)
        self.objective.before_step(self.step)
        results = {}
        for index, (phase, optimizer) in enumerate(zip(self.phases, self.optimizers, strict=True)):
            optimizer.zero_grad(set_to_none=True)  # of a trial step, or of the phase before
            losses: dict[str, Tensor] = {}
            # Gradients add up over equal parts of the batch, so that a large batch fits a small memory.
            for number, part in enumerate(split_batch(batch, self.accumulate)):
                with self.engine.autocast():
                    loss = phase.loss(part, StepNoise(self.seed, self.step, index, number))
                self.scaler.scale(loss.total / self.accumulate).backward()
                for name, value in loss.parts.items():
                    losses[name] = losses.get(name, 0) + value / self.accumulate
            self.scaler.unscale_(optimizer)
            # The norm is wanted even where nothing is clipped: it is the first to show that a training diverges.
            norm = torch.nn.utils.clip_grad_norm_(phase.parameters, self.settings.clip or torch.inf, foreach=True)
            if self.scaler.is_enabled():
                norm = norm.nan_to_num(0, 0, 0)  # an overflow: the scaler leaves this step out, and scales less
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate
            self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)  # their memory is free for the next phase
            results[phase.name] = StepResult(losses, norm)
        self.scaler.update()
        self.step += 1
        self.objective.after_step(self.step)
        self.ema.update(self.step)
        return results

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return self.rate_factor * learning_rate(self.settings, self.step, self.progress)

    @property
    def progress(self) -> float:
        """The fraction of the training that is done, by whichever limit comes first."""
        by_minutes = self.seconds / (60 * self.settings.minutes) if self.settings.minutes else 0.0
        return max(self.step / self.settings.steps, by_minutes)

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

    def optimizer_states(self) -> list[Record]:
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def state(self) -> Record:
        """What a checkpoint's state.json holds."""
        return {
            "step": self.step,
            "images": self.step * self.settings.batch_size,
            "seconds": self.seconds,
            "best": list(self.best),
            "learning_rate": self.settings.learning_rate,
            "rate_factor": self.rate_factor,
            "accumulate": self.accumulate,
            "finished_minutes": self.finished_minutes,
            "threads": torch.get_num_threads(),
            **({"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {}),
        }

    def restore(self, saved: Saved) -> None:
        """Goes back to where `saved` was made. What the settings have changed since, such as the rate, stays theirs."""
        state = saved.state()
        self.model.load_state_dict(saved.tensors("model"))
        self.ema.load_state_dict(saved.tensors("ema"))
        for name, module in self.objective.modules().items():
            module.load_state_dict(saved.tensors(name))
        for optimizer, of_phase in zip(self.optimizers, saved.optimizers(), strict=True):
            optimizer.load_state_dict(of_phase)
        self.step, self.seconds = state["step"], state["seconds"]
        self.best = (state["best"][0], state["best"][1])
        same_rate = state.get("learning_rate", self.settings.learning_rate) == self.settings.learning_rate
        self.rate_factor = state.get("rate_factor", 1.0) if same_rate else 1.0
        self.accumulate = max(self.settings.accumulate, state.get("accumulate", 1))
        self.finished_minutes = state.get("finished_minutes", 0.0)
        if scale := state.get("scaler"):
            self.scaler.load_state_dict(scale)


class Snapshot:
    """Where a training stands, in memory: what to go back to before there is a checkpoint."""

    def __init__(self, trainer: Trainer) -> None:
        self._state, self._optimizers = trainer.state(), copy.deepcopy(trainer.optimizer_states())
        self._tensors = {
            name: {key: value.detach().clone() for key, value in part.items()}
            for name, part in trainer.tensors().items()
        }

    def state(self) -> Record:
        return self._state

    def tensors(self, name: str) -> dict[str, Tensor]:
        return self._tensors[name]

    def optimizers(self) -> list[Record]:
        return self._optimizers
