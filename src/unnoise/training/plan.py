"""What is about to happen, said before the first step."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.data.images import Images
from unnoise.networks.flops import count_flops
from unnoise.runs.plan import Plan
from unnoise.seeding import StepNoise
from unnoise.training.step import rows_of, split_batch
from unnoise.training.trainer import Trainer


def make_plan(trainer: Trainer, images: Images, folder: Path, advice: tuple[str, ...] = ()) -> Plan:
    """Measures a trial step, which leaves no trace in the run, and adds up what the run needs. advice: more notes."""
    batch = split_batch(trainer.loader.batch(trainer.step), trainer.settings.accumulate)[0]
    _first_step(trainer, batch)
    seconds = trial_step(trainer, batch) * trainer.settings.accumulate
    settings, engine = trainer.settings, trainer.engine
    by_steps = (settings.steps - trainer.step) * seconds
    by_time = settings.minutes * 60 - trainer.seconds if settings.minutes else math.inf
    precision = "bf16 autocast" if engine.bf16 else "fp32"
    layout = ", channels last" if engine.channels_last else ""
    compiled = ", torch.compile" if engine.compile else ""
    return Plan(
        run=str(folder),
        images=len(images),
        shape=images.shape,
        classes=len(images.classes),
        broken=len(images.broken),
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        flops=_forward_flops(trainer, batch),
        memory=memory_bytes(trainer, batch),
        device=engine.device,
        how=f"{precision}{layout}{compiled}",
        step=trainer.step,
        steps=settings.steps,
        minutes=settings.minutes,
        step_seconds=seconds,
        left=max(0.0, min(by_steps, by_time)),
        notes=(*images.notes, *engine.notes, *advice),
    )


def _first_step(trainer: Trainer, batch: Batch) -> None:
    """A trial step that, where the network is compiled, compiles it; a compiler that fails is done without."""
    try:
        trial_step(trainer, batch)
    except Exception as error:
        if not trainer.engine.compile:
            raise
        trainer.engine = trainer.engine.without_compile(trainer.model, str(error))
        _forget_gradients(trainer)
        trial_step(trainer, batch)


def trial_step(trainer: Trainer, batch: Batch) -> float:
    """Seconds of a forward and backward pass of every phase; gradients are thrown away, no weight changes."""
    trainer.model.train()
    begun = time.perf_counter()
    for phase in trainer.phases:
        with torch.random.fork_rng(_cuda(trainer)), trainer.engine.autocast():
            loss = phase.loss(batch, StepNoise(trainer.seed, trainer.step))
        loss.total.backward()
        float(loss.total.detach())  # waits for the device
    _forget_gradients(trainer)
    return time.perf_counter() - begun


def _forget_gradients(trainer: Trainer) -> None:
    """Of everything that learns, which may be more than the model."""
    for phase in trainer.phases:
        for parameter in phase.parameters:
            parameter.grad = None


def memory_bytes(trainer: Trainer, batch: Batch) -> int:
    """Weights, gradients, two moments and the average, and the activations that backward keeps, from one image."""
    modules = (trainer.model, *trainer.objective.modules().values())
    held = 5 * sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
    return held + len(batch) * _saved_bytes(trainer, rows_of(batch, slice(1)))


def _forward_flops(trainer: Trainer, batch: Batch) -> int:
    """The first phase's loss of one image: for a diffusion model, one forward pass of the network."""
    loss, noise = trainer.phases[0].loss, StepNoise(trainer.seed, trainer.step)
    with torch.random.fork_rng(_cuda(trainer)):
        return count_flops(lambda: loss(rows_of(batch, slice(1)), noise))


def _saved_bytes(trainer: Trainer, batch: Batch) -> int:
    weights = {parameter.untyped_storage().data_ptr() for parameter in trainer.model.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with (
        hooks,
        torch.random.fork_rng(_cuda(trainer)),
        trainer.engine.autocast(),
        torch.compiler.set_stance("force_eager"),
    ):
        trainer.phases[0].loss(batch, StepNoise(trainer.seed, trainer.step))
    return sum(saved.values())


def _cuda(trainer: Trainer) -> list[int]:
    return [torch.cuda.current_device()] if trainer.engine.device.startswith("cuda") else []
