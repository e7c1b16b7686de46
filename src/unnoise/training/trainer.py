"""One training step after another: the innermost of `train` > `Session` > `Trainer`.

Everything random in a step is a function of (seed, step), so a resumed run needs only weights, optimizer state and the
step to go on as if it had never stopped.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.compiler import set_stance

from unnoise.aliases import Record
from unnoise.data.batch import Batch
from unnoise.data.bucket_loader import AnyLoader
from unnoise.errors import UserError
from unnoise.host import sent
from unnoise.networks.batch_part import BatchPart
from unnoise.objectives import Objective
from unnoise.objectives.objective import Phase
from unnoise.runs.checkpoint import EARLY
from unnoise.runtime.device import cuda_index
from unnoise.runtime.world import ALONE, World
from unnoise.seeding import Noise, RowNoise, StepNoise, fold
from unnoise.training.ema import EMA
from unnoise.training.engine import Engine
from unnoise.training.findings import Findings
from unnoise.training.optim import clip_gradients, learning_rate, make_optimizer
from unnoise.training.parts import divided, rows_in, split_batch
from unnoise.training.settings import STOP, TrainSettings, section

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

    world: the processes that compute a step together, each some rows of the batch.
    rate_factor: of the learning rate, below 1 after a session went back from numbers that were not finite.
    accumulate: the parts in which a batch is computed; as many as the settings ask for, or more where memory is short.
    finished_minutes: the limit in minutes that the run has come to the end of.
    findings: of the guard.
    early: the averaged weights at `settings.guiding_at`, to guide by.
    """

    def __init__(
        self,
        objective: Objective,
        loader: AnyLoader,
        settings: TrainSettings,
        engine: Engine,
        seed: int = 0,
        world: World = ALONE,
    ) -> None:
        self.objective, self.loader, self.settings, self.engine, self.seed = objective, loader, settings, engine, seed
        self.world = world
        self.model = objective.model.train()
        self.phases = objective.phases()
        self.optimizers = [make_optimizer(phase.parameters, settings) for phase in self.phases]
        self.ema = EMA(self.model, settings.ema)
        self.step = 0
        self.seconds = 0.0
        self.best: tuple[float, int | None] = (math.inf, None)
        self.rate_factor = 1.0
        self.accumulate = settings.accumulate
        self.finished_minutes = 0.0
        self.findings = Findings()
        self.early: dict[str, Tensor] | None = None
        self.scaler = engine.scaler()
        check_divisible(objective, loader.batch_size // self.accumulate, world)
        self._losses = [world.replicated(phase.parameters, phase.loss, self._trial(phase)) for phase in self.phases]

    def advance(self) -> dict[str, StepResult]:
        """One step: every phase in turn, then the objective's own work and the average."""
        if not self.model.training:  # after a look at it: a learned schedule is read where modules are listed
            self.model.train()
        # Dropout draws from torch's global generator. Seeded by the step, a resumed run draws what this one would.
        torch.manual_seed(fold(self.seed, self.step, DROPOUT))
        parts = divided(self.loader.batch_size, self.accumulate, self.world)
        batch = self.loader.batch(self.step, rows_in(parts))
        self.objective.before_step(self.step, self.progress)
        results = {}
        for index, phase in enumerate(self.phases):
            for again in range(phase.updates):
                results[phase.name] = self._update(index, again, parts, batch)
        self.step += 1
        self.objective.after_step(self.step)
        self.ema.update(self.step)
        if self.early is None and 0 < self.settings.guiding_at <= self.progress:
            self.early = {name: value.detach().clone() for name, value in self.ema.state_dict().items()}
        return results

    def _update(self, index: int, again: int, parts: list[BatchPart], batch: Batch) -> StepResult:
        """One update of a phase's parameters."""
        phase, optimizer = self.phases[index], self.optimizers[index]
        optimizer.zero_grad(set_to_none=True)  # of a trial step, or of the phase before
        losses = self._backward(index, again, parts, batch)
        self.scaler.unscale_(optimizer)
        # The norm is wanted even where nothing is clipped: it is the first to show that a training diverges.
        norm = clip_gradients(phase.parameters, self.settings.clip)
        if self.scaler.is_enabled():
            norm = norm.nan_to_num(0, 0, 0)  # an overflow: the scaler leaves this step out, and scales less
        for group in optimizer.param_groups:
            group["lr"] = phase.rate * self.learning_rate
        self.scaler.step(optimizer)
        self.scaler.update()
        optimizer.zero_grad(set_to_none=True)  # their memory is free for the next phase
        return StepResult(losses, norm)

    def _backward(self, phase: int, again: int, parts: list[BatchPart], batch: Batch) -> dict[str, Tensor]:
        """The gradients of a phase's loss, added up over the parts of the batch; returns what of the loss is logged."""
        replica, losses = self._losses[phase], dict[str, Tensor]()
        for part, rows in zip(parts, split_batch(batch, [len(part) for part in parts]), strict=True):
            last, weight = part is parts[-1], len(part) / part.total
            # What is exchanged between processes is exchanged with the last part. Every part draws its dropout from
            # where the whole batch would, and the last leaves the generator where the whole batch would leave it.
            waiting = nullcontext() if last else self.world.keeping_gradients(replica)
            draws = nullcontext() if last else torch.random.fork_rng(cuda_index(self.engine.device))
            with waiting, draws, part.computed():
                with self.engine.autocast():
                    loss = replica(rows, self._noise(phase, again, part))
                self.scaler.scale(loss.total * (weight * self.world.size)).backward()
            for name, value in loss.parts.items():
                losses[name] = losses.get(name, 0) + value * weight
        return self._over_processes(losses)

    def _noise(self, phase: int, again: int, part: BatchPart) -> Noise:
        whole = StepNoise(self.seed, self.step, phase, again)
        return whole if part.whole else RowNoise(whole, part.start, part.stop, part.total)

    def _over_processes(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.world.size == 1:
            return losses
        own = torch.stack([sent(value, self.engine.device, torch.float32) for value in losses.values()])
        return dict(zip(losses, self.world.sum(own).unbind(), strict=True))

    def _trial(self, phase: Phase) -> Callable[[], Tensor]:
        """The loss of two images, which leaves no trace."""

        def loss() -> Tensor:
            rows = self.loader.batch(self.step, slice(2))
            draws, eagerly = torch.random.fork_rng(cuda_index(self.engine.device)), set_stance("force_eager")
            with draws, eagerly, self.engine.autocast():
                return phase.loss(rows, StepNoise(self.seed, self.step)).total

        return loss

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
        with self.ema.applied(), self.engine.looking():
            for index, batch in enumerate(batches):
                loss = self.phases[0].loss(batch, StepNoise(self.seed, index, VALIDATION))
                total += loss.total.float().cpu() * len(batch.image)
        return float(total) / max(1, sum(len(batch.image) for batch in batches))

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint's safetensors files hold."""
        others = {name: module.state_dict() for name, module in self.objective.modules().items()}
        early = {} if self.early is None else {EARLY: self.early}
        return {"model": self.model.state_dict(), "ema": self.ema.state_dict(), **early, **others}

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
            **({} if self.early is None else {EARLY: True}),
            **self._found(),
            **({"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {}),
        }

    def _found(self) -> Record:
        """The guard's findings, and the checkpoint to load in place of those after it where they end the training."""
        if self.findings == Findings():
            return {}
        ended = self.findings.why and self.settings.guard == STOP
        return {"guard": self.findings.record(), **({"use": self.best[1]} if ended else {})}

    def restore(self, saved: Saved) -> None:
        """Goes back to where `saved` was made. What the settings have changed since, such as the rate, stays theirs."""
        state = saved.state()
        self.model.load_state_dict(saved.tensors("model"))
        self.ema.load_state_dict(saved.tensors("ema"))
        self.early = saved.tensors(EARLY) if state.get(EARLY) else None
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
        self.findings = section(Findings, state.get("guard", {}), "guard of a checkpoint")
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


def check_divisible(objective: Objective, rows: int, world: World) -> None:
    """Raises UserError where several processes cannot compute a batch together.

    rows: of the batch in one pass.
    """
    if rows < world.size:
        raise UserError(
            f"{world.size} processes for {rows} images at a time: raise train.batch_size, lower train.accumulate, or "
            "start fewer processes"
        )
    modules = (objective.model, *objective.modules().values())
    if world.size > 1 and any(_normalises_over_batch(part) for module in modules for part in module.modules()):
        raise UserError(
            "batch normalisation takes its statistics from the rows of one process: train this network on one, or give "
            "it group normalisation"
        )


def _normalises_over_batch(module: nn.Module) -> bool:
    learns = any(parameter.requires_grad for parameter in module.parameters(recurse=False))
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, nn.SyncBatchNorm) and learns
