"""What `model.sample` understands: seeds or a number of images, a sampler or its text, a guidance or its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.guidance import ClassifierFree
from unnoise.models.image_model import Conditions, Guidance, ImageModel
from unnoise.registry import build
from unnoise.samplers import SAMPLERS, Sampler
from unnoise.samplers.spec import parse_sampler

IMAGES = 16
"""How many are drawn where neither seeds nor a number is given."""


class SampleArguments(NamedTuple):
    """What is drawn, and how."""

    seeds: Sequence[int]
    cond: Conditions | None
    sampler: Sampler | None
    guidance: Guidance | None


def sample_arguments(
    model: ImageModel,
    seeds: Sequence[int] | None = None,
    cond: Conditions | None = None,
    sampler: Sampler | str | None = None,
    guidance: Guidance | float | None = None,
    *,
    n: int | None = None,
    steps: int | None = None,
    label: int | Sequence[int] | None = None,
) -> SampleArguments:
    """The arguments of `model.sample` in one form.

    Args:
        model: what draws.
        seeds: one per image; or
        n: so many images, of the seeds 0, 1, ...
        cond: condition -> its value for each image.
        sampler: one, or a text such as 'ddim@50:eta=0.5'; None: `default_sampler()`.
        guidance: a map of denoisers, or the scale of classifier-free guidance (1 is none).
        steps: of the sampler, over its own.
        label: the class of all images, or of each, by number.

    Raises:
        UserError: for arguments that do not go together, or that the model does not understand.
    """
    seeds = _seeds(seeds, n)
    conditions = model.completed(_cond(model, cond, label, len(seeds)), seeds)
    return SampleArguments(seeds, conditions, _sampler(model, sampler, steps), _guidance(guidance, conditions))


def _seeds(seeds: Sequence[int] | None, n: int | None) -> Sequence[int]:
    if seeds is not None and n is not None:
        raise UserError("give seeds or n, not both: n images have the seeds 0 to n - 1")
    if isinstance(seeds, int):
        raise UserError(f"seeds is a sequence, such as [{seeds}]; for {seeds} images give n={seeds}")
    if n is not None and n < 1:
        raise UserError(f"need at least 1 image, got n={n}")
    return range(IMAGES if n is None else n) if seeds is None else seeds


def _cond(
    model: ImageModel, cond: Conditions | None, label: int | Sequence[int] | None, count: int
) -> Conditions | None:
    if label is None:
        return cond
    if isinstance(label, str):
        raise UserError(f"label is the number of a class here, got {label!r}; 'unnoise sample --label' takes names")
    if cond is not None and "label" in cond:
        raise UserError("give label or cond['label'], not both")
    given = torch.as_tensor(label, device=model.device).reshape(-1)
    if len(given) not in (1, count):
        raise UserError(f"give one label, or one for each of the {count} images; got {len(given)}")
    rest: Spec = cond or {}
    return {**rest, "label": given.expand(count)}


def _sampler(model: ImageModel, sampler: Sampler | str | None, steps: int | None) -> Sampler | None:
    asked = {} if steps is None else {"steps": steps}
    if isinstance(sampler, str):
        return build(SAMPLERS, {**parse_sampler(sampler), **asked}, "sampler")
    if steps is None:
        return sampler
    chosen = sampler or model.default_sampler()
    if chosen is None:
        raise UserError(f"{model.kind} draws in one step: leave out steps")
    return replace(chosen, steps=steps)


def _guidance(guidance: Guidance | float | None, cond: Conditions | None) -> Guidance | None:
    if not isinstance(guidance, (int, float)):
        return guidance
    if guidance != 1 and cond is None:
        raise UserError(f"guidance {guidance:g} is towards conditions, and none are given: a label, or cond")
    return None if guidance == 1 else ClassifierFree(guidance)
