"""What a metric can need, and how it is found out whether that is there."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from unnoise.evaluation.context import Context


class Need(Enum):
    """What a metric looks at."""

    SAMPLES = "samples of a model, or images to take for samples"
    HELD_OUT = "a test split"
    PROBABILITIES = "features with class probabilities"
    CLASSES = "features that know the classes of the data"
    CONDITIONAL = "samples drawn for given classes"
    IMAGES = "images that are already there, each made from one of the reference"
    CODEC = "an encoder and a decoder"
    LIKELIHOOD = "a model with a likelihood of images"
    DENOISER = "a diffusion model of images"


def lacking(need: Need, context: Context) -> str | None:
    """Why the context has not got what is needed: the end of a sentence that begins with the metric."""
    return CHECKS[need](context)


def _samples(context: Context) -> str | None:
    reason = context.target.why_no_samples()
    return None if reason is None else f"needs samples: {reason}"


def _held_out(context: Context) -> str | None:
    missing = context.test is None
    return f"needs held-out images, and {context.train.source} has no test split" if missing else None


def _probabilities(context: Context) -> str | None:
    name = context.extractor.name
    return None if context.extractor.classes else f"needs features that know classes, and {name!r} know none"


def _classes(context: Context) -> str | None:
    if context.train.labels is None:
        return f"needs labels, and {context.train.source} has none"
    if context.extractor.classes != len(context.train.classes):
        return f"needs features that know the data's classes: use classifier, not {context.extractor.name}"
    return None


def _conditional(context: Context) -> str | None:
    if "label" in context.target.condition_names:
        return None
    return f"needs a class-conditional run; {context.target.name} is none"


def _images(context: Context) -> str | None:
    if context.target.images is not None:
        return None
    return f"compares restored images with their originals: give a folder or array of images, not {context.target.kind}"


def _codec(context: Context) -> str | None:
    if context.target.reconstructor is not None:
        return None
    return f"needs an encoder and a decoder, and {context.target.name} has none"


def _likelihood(context: Context) -> str | None:
    return context.target.why_no_likelihood()


def _denoiser(context: Context) -> str | None:
    return context.target.why_no_denoiser()


CHECKS: dict[Need, Callable[[Context], str | None]] = {
    Need.SAMPLES: _samples,
    Need.HELD_OUT: _held_out,
    Need.PROBABILITIES: _probabilities,
    Need.CLASSES: _classes,
    Need.CONDITIONAL: _conditional,
    Need.IMAGES: _images,
    Need.CODEC: _codec,
    Need.LIKELIHOOD: _likelihood,
    Need.DENOISER: _denoiser,
}
