"""What a training would take on other devices, from one image that is computed here."""

from __future__ import annotations

from unnoise.errors import UserError
from unnoise.runs.estimate import GB, Estimate
from unnoise.runtime.peaks import PEAKS, parse_devices
from unnoise.training.parts import rows_of
from unnoise.training.plan import MEMORY, forward_flops, saved_bytes, weights_bytes
from unnoise.training.trainer import Trainer

FRACTION = 0.35
"""Of a GPU's peak, what training a U-Net of images is assumed to reach; benchmarks/gpu measures it."""
PASSES = 3
"""Forward passes that a training step takes: one, and a backward pass of two."""


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
    one = rows_of(trainer.loader.batch(trainer.step), slice(1))
    forward = sum(forward_flops(trainer, one, phase) for phase in trainer.phases)
    per_image, weights = saved_bytes(trainer, one, precision), weights_bytes(trainer)
    room = MEMORY * peak.memory * GB - weights
    parts = _parts(settings.batch_size, count, trainer.accumulate, room / per_image)
    if parts is None:
        raise UserError(f"one image and the weights need more than the {peak.memory} GB of a {name}")
    at_once = _largest(settings.batch_size, count * parts)
    speed = count * FRACTION * peak.tflops[precision] * 1e12 / (PASSES * forward)
    gradients = 4 * sum(p.numel() for phase in trainer.phases for p in phase.parameters)
    return Estimate(
        count=count,
        device=name,
        precision=precision,
        peak_tflops=peak.tflops[precision],
        device_memory=peak.memory * GB,
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        forward_flops=forward,
        training_flops=PASSES * forward,
        weights_memory=weights,
        activation_memory=at_once * per_image,
        images_at_once=at_once,
        parts=parts,
        exchanged=2 * (count - 1) / count * gradients,
        fraction=FRACTION,
        images_per_second=speed,
        seconds=(settings.steps - trainer.step) * settings.batch_size / speed,
    )


def _parts(batch: int, count: int, fewest: int, images: float) -> int | None:
    """The least number of passes in which a device has at most so many images at once."""
    allowed = (parts for parts in range(fewest, batch // count + 1) if batch % parts == 0)
    return next((parts for parts in allowed if _largest(batch, count * parts) <= images), None)


def _largest(batch: int, pieces: int) -> int:
    """Images of the largest of the pieces of a batch."""
    return -(-batch // pieces)
