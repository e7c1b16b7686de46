"""Pairs of noise and image before the first step of a reflow, drawn once."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Spec
from unnoise.data import Images
from unnoise.data.cache import cache_folder
from unnoise.files import read_tensors, write_tensors
from unnoise.models import Diffusion
from unnoise.objectives.reflow import DRAW_STEPS, Reflow, drawn
from unnoise.progress import progress_bar
from unnoise.runs.run import Run, is_run
from unnoise.seeding import SeededNoise, fold

ROWS = 64
FEWEST, MOST = 256, 16_384
SHARE = 1 / 3
"""Of the time for a student, that drawing its pairs may take."""


def with_pairs(objective: Reflow, base: Run, images: Images, seed: int, device: str) -> Images:
    """`objective.pairs` random images, in whose place stand what the run `base` draws for their conditions, as latents,
    and the noise that it draws them from; the images themselves where the objective wants no pairs.

    Pair i is a function of (seed, i) and of the run's weights. What was drawn is kept in the cache.
    """
    if not objective.pairs:
        return images
    rows = np.random.default_rng(fold(seed)).integers(0, len(images), objective.pairs)
    chosen = replace(images.subset(rows), latents=None)
    key = [base.weights()["checkpoint"], images.fingerprint, seed, objective.pairs, objective.guidance]
    told = [] if objective.model.guidance_range is None else [list(objective.model.guidance_range)]
    digest = hashlib.sha256(json.dumps([*key, objective.draw_steps, *told]).encode()).hexdigest()[:32]
    file = cache_folder() / "pairs" / f"{digest}.bin"
    pairs = read_tensors(file)
    if pairs is None:
        pairs = _pairs(objective, base, chosen, seed, device)
        write_tensors(file, pairs)
    scale = pairs["scale"].numpy() if "scale" in pairs else None
    return replace(chosen, latents=pairs["x_0"].numpy(), noise=pairs["eps"].numpy(), scale=scale)


def affordable_pairs(base: Run, folder: Path, minutes: float, device: str | None) -> Spec:
    """{'objective.pairs': as many pairs as a third of the minutes allow}, timed with as many as are drawn at once; or
    as many as the run that `folder` holds has, and nothing where the minutes are not limited."""
    if is_run(folder):
        return {"objective.pairs": Run.open(folder).config["objective"].get("pairs", 0)}
    if not minutes:
        return {}
    teacher = base.load(device)
    assert isinstance(teacher, Diffusion)
    images, _ = base.open_data("train")
    rows = range(min(ROWS, len(images)))
    cond = teacher.conditions(images.batch(rows, teacher.device))
    begun = time.monotonic()
    drawn(teacher, teacher.prior(rows) / teacher.schedule.prior_std, cond, 1.0, DRAW_STEPS)
    each = (time.monotonic() - begun) / len(rows)
    return {"objective.pairs": max(FEWEST, min(MOST, int(SHARE * 60 * minutes / each)))}


def _pairs(objective: Reflow, base: Run, images: Images, seed: int, device: str) -> dict[str, Tensor]:
    teacher = base.load(device)
    assert isinstance(teacher, Diffusion)
    like = torch.empty(ROWS, *teacher.codec.latent_shape, device=device)
    noises, ends, scales = [], [], []
    with progress_bar() as progress:
        starts = progress.track(range(0, len(images), ROWS), description="drawing pairs of noise and image (once)")
        for start in starts:
            rows = range(start, min(start + ROWS, len(images)))
            draws = SeededNoise([fold(seed, row) for row in rows])
            eps, told = draws.normal(like[: len(rows)]), objective.told(len(rows), draws)
            cond = teacher.conditions(images.batch(rows, device))
            noises.append(eps.cpu())
            ends.append(drawn(teacher, eps, cond, told.scale, objective.draw_steps).cpu())
            if isinstance(told.scale, Tensor):
                scales.append(told.scale.float())
    return {"x_0": torch.cat(ends), "eps": torch.cat(noises), **({"scale": torch.cat(scales)} if scales else {})}
