"""Cascades: small images drawn by one run, enlarged by others (Ho et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unnoise.aliases import Record
from unnoise.data.batch import Batch, from_uint8
from unnoise.errors import UserError
from unnoise.models import ImageModel
from unnoise.models.image_model import Guidance
from unnoise.runs.run import Run
from unnoise.samplers import Sampler
from unnoise.sampling.batches import counted_calls, sample_in_batches
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.guidance_options import GuidanceOptions


@dataclass(frozen=True)
class Stage:
    """A run that enlarges images, ready to do so.

    Args:
        model: of the run.
        cond: what is asked of it beside the small images, and None where it is asked nothing.
        guidance: the map of denoisers, or None.
    """

    run: Run
    model: ImageModel
    sampler: Sampler
    cond: Record | None
    guidance: Guidance | None

    @classmethod
    def open(
        cls, folder: str | Path, conditions: SampleConditions, guidance: GuidanceOptions, device: str | None
    ) -> Stage:
        """A run as a stage that is told what the first one is told, as far as it takes it.

        Classifiers and autoguidance belong to the first run; of the guidance the later ones have the classifier-free.
        """
        run = Run.open(folder)
        model = run.load(device)
        if "image" not in model.condition_names:
            raise UserError(f"--then takes runs that enlarge images (recipe sr); {run.folder} does not")
        cond = conditions.among(set(model.condition_names) - {"image"}).for_model(model, run.classes)
        free = guidance.classifier is None and guidance.autoguidance is None
        asked = {**(cond or {}), "image": None}
        guide = guidance.for_model(model, asked) if free else None
        return cls(run, model, run.sampler(), cond, guide)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, h, w) of the images that it enlarges."""
        made = self.model.conditions(Batch(torch.zeros(1, *self.model.shape, device=self.model.device), {}))
        assert made is not None
        return tuple(made["image"].shape[1:])

    def enlarged(self, images: np.ndarray, seeds: Sequence[int], span: slice, **options: Any) -> tuple[np.ndarray, int]:
        """Small images (B, C, h, w) enlarged by its own sampler from the same seeds; and its network calls.

        span: which of the seeds, and of the conditions, are those of the images.
        """
        small = from_uint8(torch.from_numpy(images)).to(self.model.device)
        given = {name: value if len(value) == 1 else value[span] for name, value in (self.cond or {}).items()}
        cond = {**given, "image": small}
        with counted_calls(self.model) as calls:
            drawn = sample_in_batches(self.model, seeds[span], cond, self.sampler, self.guidance, **options)
        return drawn, calls[0]


def open_stages(
    first: Run,
    then: Sequence[str | Path],
    conditions: SampleConditions,
    guidance: GuidanceOptions,
    device: str | None,
) -> list[Stage]:
    """The later stages of a cascade, any number of them.

    Raises:
        UserError: for a run that does not enlarge, and for one that enlarges images of another shape than it is given.
    """
    stages, shape, source = [], first.shape, first.folder
    for folder in then:
        stage = Stage.open(folder, conditions, guidance, device)
        if stage.input_shape != tuple(shape):
            wanted, given = (f"{w}x{h} pixels, {c} channel(s)" for c, h, w in (stage.input_shape, shape))
            raise UserError(f"{stage.run.folder} enlarges images of {wanted}; those of {source} have {given}")
        stages.append(stage)
        shape, source = stage.run.shape, stage.run.folder
    return stages
