"""What a training would take on other devices, from one image that is computed here."""

from __future__ import annotations

import torch

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.networks.flops import count_work
from unnoise.runs.estimate import GB, Estimate
from unnoise.runtime.device import cuda_index
from unnoise.runtime.peaks import PEAKS, parse_devices
from unnoise.seeding import StepNoise
from unnoise.training.parts import rows_of
from unnoise.training.plan import MEMORY, forget_gradients, forward_flops, saved_bytes, weights_bytes
from unnoise.training.trainer import Trainer

FRACTION = 0.35
"""Of a GPU's peak, what training a U-Net of images is assumed to reach; benchmarks/gpu measures it."""
LAUNCH = 6e-6
"""Seconds that Python and torch take to start an operation, roughly: small networks on small images wait for them."""


def estimated(trainer: Trainer, devices: str) -> Estimate:
    """The estimate for devices such as '8xH100'.

    Raises:
        UserError: for unknown devices, more of them than a batch has images, and a model that does not fit one.
    """
    count, name = parse_devices(devices)
    peak, settings = PEAKS[name], trainer.settings
    if count > settings.batch_size:
        raise UserError(f"{count} devices for batches of {settings.batch_size} images: raise train.batch_size")
    precision = peak.precision(settings.precision)
    batch = trainer.loader.batch(trainer.step)
    one, two = rows_of(batch, slice(1)), rows_of(batch, slice(2))  # one has no standard deviation, which a GAN logs
    work = count_work(lambda: _forward_and_backward(trainer, two))
    flops = work.flops / len(two)
    per_image, weights = saved_bytes(trainer, one, precision), weights_bytes(trainer)
    room = MEMORY * peak.memory * GB - weights
    parts = _parts(settings.batch_size, count, trainer.accumulate, room / per_image)
    if parts is None:
        raise UserError(f"one image and the weights need more than the {peak.memory} GB of a {name}")
    at_once = _largest(settings.batch_size, count * parts)
    computing = settings.batch_size * flops / (count * FRACTION * peak.tflops[precision] * 1e12)
    step = max(computing, parts * work.operations * LAUNCH)
    gradients = 4 * sum(p.numel() for phase in trainer.phases for p in phase.parameters)
    return Estimate(
        count=count,
        device=name,
        precision=precision,
        peak_tflops=peak.tflops[precision],
        device_memory=peak.memory * GB,
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        forward_flops=forward_flops(trainer, one),
        training_flops=flops,
        operations=parts * work.operations,
        weights_memory=weights,
        activation_memory=at_once * per_image,
        images_at_once=at_once,
        parts=parts,
        exchanged=2 * (count - 1) / count * gradients,
        fraction=FRACTION,
        launching=step > computing,
        images_per_second=settings.batch_size / step,
        seconds=(settings.steps - trainer.step) * step,
    )


def _forward_and_backward(trainer: Trainer, batch: Batch) -> None:
    """All phases of a step, whose gradients are thrown away."""
    with torch.random.fork_rng(cuda_index(trainer.engine.device)):
        for phase in trainer.phases:
            for _ in range(phase.updates):
                phase.loss(batch, StepNoise(trainer.seed, trainer.step)).total.backward()
    forget_gradients(trainer)


def _parts(batch: int, count: int, fewest: int, images: float) -> int | None:
    """The least number of passes in which a device has at most so many images at once."""
    allowed = (parts for parts in range(fewest, batch // count + 1) if batch % parts == 0)
    return next((parts for parts in allowed if _largest(batch, count * parts) <= images), None)


def _largest(batch: int, pieces: int) -> int:
    """Images of the largest of the pieces of a batch."""
    return -(-batch // pieces)
