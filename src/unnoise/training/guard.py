"""The guard of small training sets: it looks whether a training begins to copy its images, says so, and ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import hypergeom
from scipy.stats import t as student
from torch import Tensor

from unnoise.data import image_grid, save_png
from unnoise.data.bucket_loader import Turns
from unnoise.data.buckets import AnyImages
from unnoise.metrics.copies import Likeness
from unnoise.models import CanSample, ImageModel
from unnoise.runs.pictures import COPIES, picture_file
from unnoise.samplers import Sampler
from unnoise.training.copy_watch import CopyWatch
from unnoise.training.findings import Findings
from unnoise.training.levels import ByLevel
from unnoise.training.log import TrainLog
from unnoise.training.trainer import Trainer

SAMPLES, FEWEST = 64, 16
"""Drawn at a look, at most and at least."""
STEPS = 20
"""Of the sampler at most: copies show with few."""
FIRST_SEED = 1_000_000
"""Far from the seeds of the grids; every look has seeds of its own."""
FRACTION = 0.1
"""Of the time of a training that looks may take."""
LOOKS = 20
"""Wanted in a training, at least."""
EVERY = 20.0
"""Seconds between two looks, at least."""
CHANCE = 1e-3
"""Probability below which the share of copies has left the base rate."""
RISE, DOUBT, IN_A_ROW = 0.05, 0.05, 3
"""A held-out loss is clearly above its least by this fraction of it, where the difference has this probability by
Student's t-test, image by image; so often in a row shows that images are learned by heart."""
PAIRS, PAIRS_IN_A_ROW = 12, 4


class Copies(NamedTuple):
    """samples (N, C, H, W) and how near they come to training images; found: how many are copies."""

    samples: Tensor
    likeness: Likeness
    found: int

    def leave(self, base: tuple[int, int]) -> bool:
        """Whether copies are more frequent than among real images, (copies, of how many), by Fisher's exact test: were
        the rate the same, so many of all copies would be samples with a probability below CHANCE."""
        (copied, real), drawn = base, len(self.samples)
        return float(hypergeom.sf(self.found - 1, drawn + real, self.found + copied, drawn)) < CHANCE


@dataclass(frozen=True)
class Drawing:
    """How samples are drawn at a look. conditions: whose conditions they have, in turn; where they have buckets, a look
    is at one of them, and the looks come to each in proportion to its images. seconds: that the training will take;
    seconds_each: per image and step, as far as is known."""

    model: ImageModel
    sampler: Sampler | None
    conditions: AnyImages
    seconds: float
    seconds_each: float
    batch_size: int

    @property
    def quick(self) -> Sampler | None:
        """The sampler, in few steps where it can do with fewer."""
        sampler = self.sampler
        if sampler is None or not isinstance(sampler.grid, str):
            return sampler
        return replace(sampler, steps=min(sampler.steps, STEPS))

    @property
    def count(self) -> int:
        allowed = FRACTION * self.seconds / LOOKS
        return min(SAMPLES, max(FEWEST, int(allowed / self._each)))

    @property
    def expected(self) -> float:
        """Seconds of a look."""
        return self.count * self._each

    def draw(self, look: int) -> Tensor:
        """(count, C, H, W)."""
        buckets = self.conditions.buckets
        images = buckets[Turns([len(bucket) for bucket in buckets], 0).at(look)[0]]
        model = self.model.resized(images.shape[1:]) if len(buckets) > 1 else self.model
        assert isinstance(model, CanSample)
        rows, parts = np.arange(self.count), []
        for part in np.split(rows, rows[self.batch_size :: self.batch_size]):
            batch = images.batch(part % len(images), self.model.device)
            seeds = (FIRST_SEED + look * SAMPLES + part).tolist()
            parts.append(model.sample(seeds, self.model.asked_for(batch), self.quick).float().cpu())
        return torch.cat(parts)

    @property
    def _each(self) -> float:
        sampler = self.quick
        return max(1e-9, self.seconds_each * (1 if sampler is None else sampler.steps))


class Guard:
    """Looks at samples and at held-out losses, at most FRACTION of the time.

    Args:
        trainer: whose findings it keeps.
        stops: whether a training that copies ends, rather than only saying so.
        watch: tells copies.
        drawing: draws samples.
        folder: the run's, where pairs of pictures are written.
        log: where findings are said and recorded.
        clock: seconds.
    """

    def __init__(
        self,
        trainer: Trainer,
        stops: bool,
        watch: CopyWatch,
        drawing: Drawing,
        folder: Path,
        log: TrainLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainer, self._watch, self._drawing = trainer, watch, drawing
        self._stops, self._folder, self._log, self._clock = stops, folder, log, clock
        self.cost = drawing.expected
        self._allowed = clock() + self._pause

    @property
    def why(self) -> str:
        """What shows that the training copies; '' where nothing does."""
        return self._trainer.findings.why

    @property
    def stops(self) -> bool:
        """Whether the training is to end."""
        return self._stops and bool(self.why)

    def due(self, since: float = math.inf, saving: float = 0.0) -> bool:
        """Whether a look, and the checkpoint that goes with it, may take their time: since: seconds since the last
        checkpoint; saving: seconds that it took."""
        return self._clock() >= self._allowed and since >= saving / FRACTION

    def look(self, losses: ByLevel | None) -> None:
        """Draws samples, counts copies, compares the losses with the least before, and says what it finds."""
        trainer = self._trainer
        copies = self._copies()
        copied, real = self._watch.real
        values = {"copies": copies.found / len(copies.samples), "copies_base_rate": copied / real}
        self._log.record(trainer.step, {name: round(value, 6) for name, value in values.items()})
        findings = replace(trainer.findings, looks=trainer.findings.looks + 1)
        if losses is not None:
            findings = compared(findings, losses.held_out.mean(0), trainer.step)
        why = self._reason(copies, findings)
        if copies.found or why:
            self._picture(copies)
        if why and not findings.why:
            findings = replace(findings, why=why)
            self._log.warn(trainer.step, f"{why}; pairs: {self._picture_file}")
        trainer.findings = findings

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Around a look and what is measured for it: how long that takes says when the next is due."""
        begun = self._clock()
        yield
        now = self._clock()
        self.cost = now - begun
        self._allowed = now + self._pause

    @property
    def _pause(self) -> float:
        return max(EVERY, self.cost / FRACTION)

    @property
    def _picture_file(self) -> Path:
        return picture_file(self._folder, self._trainer.step, COPIES)

    def _copies(self) -> Copies:
        trainer = self._trainer
        trainer.model.eval()
        with self._log.phase("looking for copies"), trainer.ema.applied(), trainer.engine.looking():
            samples = self._drawing.draw(trainer.findings.looks)
        likeness = self._watch.look(samples)
        return Copies(samples, likeness, int(likeness.copies().sum()))

    def _reason(self, copies: Copies, findings: Findings) -> str:
        copied, real = base = self._watch.real
        if copies.leave(base):
            return (
                f"it begins to copy here: {copies.found} of {len(copies.samples)} samples are copies of training "
                f"images (three times as near to one as to any other), of real images {copied} in {real} look so"
            )
        if findings.rises >= IN_A_ROW:
            return (
                f"it begins to copy here: at {findings.rises} validations in a row the held-out loss was clearly above "
                f"its least, {np.mean(findings.least):.4f} at step {findings.least_step}"
            )
        return ""

    def _picture(self, copies: Copies) -> None:
        """The samples that are most like a training image, each beside it."""
        order = copies.likeness.ratio.argsort(stable=True)[:PAIRS]
        nearest = self._watch.pictures(copies.likeness.index[order].tolist(), copies.samples.shape[-2:])
        pairs = torch.stack([copies.samples[order], nearest], dim=1).flatten(0, 1)
        save_png(image_grid(pairs, columns=2 * PAIRS_IN_A_ROW), self._picture_file)


def compared(findings: Findings, losses: Tensor, step: int) -> Findings:
    """The findings after a validation with these losses (N,) of the held-out images."""
    least = torch.tensor(findings.least, dtype=losses.dtype)
    if len(least) != len(losses) or losses.mean() < least.mean():
        return replace(findings, rises=0, least=tuple(losses.tolist()), least_step=step)
    difference = losses - least
    error = float(difference.std()) / len(difference) ** 0.5
    clear = float(difference.mean()) > max(RISE * float(least.mean()), student.isf(DOUBT, len(difference) - 1) * error)
    return replace(findings, rises=findings.rises + 1 if clear else 0)


def ending(best: int | None) -> str:
    """What a training that the guard ended leaves, and how to go on all the same."""
    kept = "the newest checkpoint" if best is None else f"the checkpoint of step {best}, the best before that"
    return f"sample, evaluate and load take {kept}; to train on, give the same command with --set train.guard=warn"
