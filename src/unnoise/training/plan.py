"""What is about to happen: from arithmetic at once, and refined by measuring one image and a trial step."""

from __future__ import annotations

import itertools
import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.data.buckets import AnyImages
from unnoise.errors import UserError
from unnoise.networks.flops import count_flops
from unnoise.runs.plan import Measured, Plan
from unnoise.runtime.device import cuda_index
from unnoise.runtime.memory import free_bytes
from unnoise.runtime.precision import AUTOCAST
from unnoise.seeding import StepNoise
from unnoise.training.engine import OFF
from unnoise.training.parts import rows_of
from unnoise.training.trainer import Trainer

MEMORY = 0.8
"""The fraction of the free memory that a step may take."""
TRIAL_SECONDS = 3.0
"""What a trial step may take: a slow one is measured on fewer images."""
BACKWARD = 3.0
"""How much longer a forward and a backward pass take than a forward pass, roughly."""


def known_plan(trainer: Trainer, images: AnyImages, folder: Path, advice: tuple[str, ...] = ()) -> Plan:
    """The plan as far as it is known without measuring. advice: more notes."""
    settings, engine = trainer.settings, trainer.engine
    precision = f"{engine.precision} autocast" if engine.precision in AUTOCAST else engine.precision
    layout = ", channels last" if engine.channels_last else ""
    compiled = "" if engine.compile == OFF else f", torch.compile ({engine.compile})"
    count = torch.get_num_threads()
    threads = f", {count} thread{'s' if count > 1 else ''}" if engine.device == "cpu" else ""
    return Plan(
        run=str(folder),
        images=len(images),
        shape=images.shape,
        classes=len(images.classes),
        broken=len(images.broken),
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        weights_memory=weights_bytes(trainer),
        device=engine.device,
        how=f"{precision}{layout}{compiled}{threads}",
        step=trainer.step,
        steps=settings.steps,
        minutes=settings.minutes,
        notes=(*images.notes, *engine.notes, *advice),
    )


def measure(trainer: Trainer) -> Measured:
    """What a step costs, by one image first and then by as many as memory and patience allow. Leaves no trace in the
    run, but for the parts that a batch is computed in, of which there are more where memory is short.

    Raises:
        UserError: where not even a single image fits the memory.
    """
    settings = trainer.settings
    batch = trainer.loader.batch(trainer.step)
    one = rows_of(batch, slice(1))
    begun = time.perf_counter()
    flops = forward_flops(trainer, one)
    seconds_each = time.perf_counter() - begun
    per_image = saved_bytes(trainer, one, trainer.engine.precision)
    (trainer.accumulate,) = trainer.world.agree(_parts(trainer, per_image))
    part = -(-settings.batch_size // (trainer.accumulate * trainer.world.size))
    # On a GPU one image takes about as long as a batch, and the first includes the start of the device. Compiled blocks
    # are compiled for as many rows as steps have.
    fewer = trainer.engine.device == "cpu" and trainer.engine.compile == OFF
    rows = max(1, min(part, int(TRIAL_SECONDS / (BACKWARD * seconds_each)))) if fewer else part
    trial = rows_of(batch, slice(rows))
    _first_step(trainer, trial)  # begins much that later steps find begun
    seconds = trial_step(trainer, trial)
    if (more := min(part, int(rows * TRIAL_SECONDS / seconds))) > rows:
        rows, seconds = more, trial_step(trainer, rows_of(batch, slice(more)))
    step_seconds = seconds * part * trainer.accumulate / rows
    by_steps = (settings.steps - trainer.step) * step_seconds
    by_time = settings.minutes * 60 - trainer.seconds if settings.minutes else math.inf
    return Measured(
        flops=flops,
        memory=weights_bytes(trainer) + part * per_image,
        step_seconds=step_seconds,
        left=max(0.0, min(by_steps, by_time)),
        parts=trainer.accumulate,
    )


def _parts(trainer: Trainer, per_image: int) -> int:
    """The least number of equal parts of a batch, at least what was asked for, of which one fits the memory."""
    size, world = trainer.settings.batch_size, trainer.world
    sharing = world.local_size if trainer.engine.device == "cpu" else 1
    room = MEMORY * free_bytes(trainer.engine.device) / sharing
    for parts in range(trainer.accumulate, size // world.size + 1):
        if size % parts == 0 and -(-size // (parts * world.size)) * per_image <= room:
            return parts
    raise UserError(
        f"a single image needs about {per_image / 2**30:.1f} GiB for a step and {room / MEMORY / 2**30:.1f} GiB are "
        "free; set a smaller data.size, or a smaller network"
    )


def _first_step(trainer: Trainer, batch: Batch) -> None:
    """A trial step that, where the network is compiled, compiles it for every shape of images; a compiler that fails is
    done without."""
    others = trainer.loader.other_shapes(batch) if trainer.engine.compile != OFF else []
    try:
        for one in (*others, batch):
            trial_step(trainer, one)
    except Exception as error:
        if trainer.engine.compile == OFF:
            raise
        trainer.engine = trainer.engine.without_compile(trainer.model, str(error))
        forget_gradients(trainer)
        trial_step(trainer, batch)


def trial_step(trainer: Trainer, batch: Batch) -> float:
    """Seconds of the forward and backward passes of a step; gradients are thrown away, no weight changes."""
    trainer.model.train()
    begun = time.perf_counter()
    for phase in itertools.chain.from_iterable([phase] * phase.updates for phase in trainer.phases):
        with torch.random.fork_rng(cuda_index(trainer.engine.device)), trainer.engine.autocast():
            loss = phase.loss(batch, StepNoise(trainer.seed, trainer.step))
        loss.total.backward()
        float(loss.total.detach())  # waits for the device
    forget_gradients(trainer)
    return time.perf_counter() - begun


def forget_gradients(trainer: Trainer) -> None:
    """Of everything that learns, which may be more than the model."""
    for phase in trainer.phases:
        for parameter in phase.parameters:
            parameter.grad = None


def weights_bytes(trainer: Trainer) -> int:
    """Weights, gradients, two moments and the average."""
    modules = (trainer.model, *trainer.objective.modules().values())
    return 5 * sum(p.numel() * p.element_size() for module in modules for p in module.parameters())


def forward_flops(trainer: Trainer, batch: Batch) -> int:
    """The first phase's loss of one image: for a diffusion model, one forward pass of the network."""
    loss, noise = trainer.phases[0].loss, StepNoise(trainer.seed, trainer.step)
    with torch.random.fork_rng(cuda_index(trainer.engine.device)):
        return count_flops(lambda: loss(batch, noise))


def saved_bytes(trainer: Trainer, batch: Batch, precision: str) -> int:
    """The activations that the first phase's backward keeps in a precision."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in trainer.model.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor._is_zerotensor():  # of forward-mode derivatives: it has no storage
            return tensor
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with (
        hooks,
        torch.random.fork_rng(cuda_index(trainer.engine.device)),
        _autocast(trainer, precision),
        torch.compiler.set_stance("force_eager"),
    ):
        trainer.phases[0].loss(batch, StepNoise(trainer.seed, trainer.step))
    return sum(saved.values())


def _autocast(trainer: Trainer, precision: str) -> AbstractContextManager[object]:
    """Autocast to a precision that the device may only emulate: one image shows what it keeps."""
    if precision not in AUTOCAST:
        return nullcontext()
    return torch.autocast(torch.device(trainer.engine.device).type, dtype=AUTOCAST[precision])
