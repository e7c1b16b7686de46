"""What a sitting needs, from data and configuration: images, model, objective, sampler, engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import unnoise
from unnoise.aliases import Record, Source, Spec
from unnoise.data import Batch, Images, Loader
from unnoise.data.bucket_loader import BucketLoader
from unnoise.data.buckets import AnyImages, Bucketed, first_rows, parts_of, some_rows
from unnoise.data.cache import cache_folder
from unnoise.data.fields import present
from unnoise.errors import UserError
from unnoise.models import CanDenoise, ImageModel
from unnoise.models.assembly import build_model, model_spec
from unnoise.networks.combined import with_widths
from unnoise.objectives import Objective, Reflow
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.progress import notice
from unnoise.registry import build, spec_of
from unnoise.runs.bounds import check_sizes
from unnoise.runs.checkpoint import Checkpoint
from unnoise.runs.config import Config, plain
from unnoise.runs.held_out import HeldOut
from unnoise.runs.run import Run
from unnoise.runtime.memory import within_memory
from unnoise.runtime.world import ALONE, World
from unnoise.samplers import SAMPLERS, Sampler
from unnoise.sources import resolved
from unnoise.sources.paths import looking_once
from unnoise.training.clustered import clustered
from unnoise.training.engine import Engine, choose_engine
from unnoise.training.latents import with_autoencoder, with_latents
from unnoise.training.opening import choose_held_out, guarded_as_before, open_test_split, opened, read_as_before
from unnoise.training.pairs import with_pairs
from unnoise.training.settings import DataSettings, TrainSettings, section
from unnoise.training.shown import shown, told
from unnoise.training.trainer import Trainer

VALIDATION_IMAGES = 256
FITTED_ON, FITTED_ON_STREAMED = 10_000, 3_000
"""Images that conditions are fitted on, at most; fewer where each is decoded for it."""
FITTED_AT_ONCE = 100
"""Images in memory while conditions are fitted."""


@dataclass(frozen=True)
class Setup:
    """source: as `sources.resolved` names it, where it is a path or a name; config: every default included; sampler: of
    a model that draws in steps; base: the run that this one began with; notes: what was chosen, and what to expect;
    held: those of the images that are held out."""

    source: Any
    config: Config
    seed: int
    data: DataSettings
    settings: TrainSettings
    engine: Engine
    images: AnyImages
    model: ImageModel
    objective: Objective
    sampler: Sampler | None
    base: Run | None = None
    notes: tuple[str, ...] = ()
    held: HeldOut | None = None

    def trainer(self, checkpoint: Checkpoint | None, world: World = ALONE) -> Trainer:
        """What trains them, at the checkpoint's step or at the start."""
        self.engine.prepare(self.model)
        with world.first_goes_ahead():
            images = with_latents(self.model, self.images, self.engine.device, keep=not self.data.mirrors)
            pairs = self._pairs()
        how: Record = {
            "batch_size": self.settings.batch_size,
            "seed": self.seed,
            "device": self.engine.device,
            "flip": self.data.mirrors and pairs is None,
            "rows": self._training_rows() if pairs is None else None,
            "augment": float(self.data.augment) if pairs is None else 0.0,
        }
        chosen = images if pairs is None else pairs
        loader = BucketLoader(chosen, **how) if isinstance(chosen, Bucketed) else Loader(chosen, **how)
        if checkpoint is None:
            self._fit_conditions(world)
        trainer = Trainer(self.objective, loader, self.settings, self.engine, self.seed, world)
        if checkpoint is not None:
            trainer.restore(checkpoint)
        return trainer

    def _fit_conditions(self, world: World) -> None:
        """The first process fits them for all."""
        if world.is_first:
            self.model.fit_conditions(self._fitted_on)
        found = {name: value.cpu() for name, value in self.model.named_buffers()}
        for name, value in world.broadcast(found).items():
            self.model.get_buffer(name).copy_(value)

    def _fitted_on(self) -> Iterator[Tensor]:
        """Some of the training images, always the same, for conditions that come from them all."""
        images = self.training_images()
        count = FITTED_ON_STREAMED if images.streams else FITTED_ON
        for part, rows in parts_of(images, some_rows(images, count)):
            yield from (part.batch(own).image for own in np.array_split(rows, -(-len(rows) // FITTED_AT_ONCE)))

    def _pairs(self) -> Images | None:
        """The pairs of noise and image that stand in place of the training images; None where images are wanted."""
        objective = self.objective
        if not isinstance(objective, Reflow) or not objective.pairs or self.base is None:
            return None
        images = self.training_images()
        assert isinstance(images, Images), "what does not learn to denoise has one shape"
        return with_pairs(objective, self.base, images, self.seed, self.engine.device)

    def _training_rows(self) -> np.ndarray | None:
        return None if self.held is None else self.held.training_rows(len(self.images))

    def training_images(self) -> AnyImages:
        """Those that the model is trained on."""
        rows = self._training_rows()
        return self.images if rows is None else self.images.subset(rows)

    def held_out(self) -> AnyImages | None:
        """The held-out images, or else the test split; None where there is neither."""
        if self.held is not None:
            return self.images.subset(self.held.rows)
        return open_test_split(self.source, self.data)

    def validation(self, images: AnyImages) -> list[Batch]:
        """Some images, always the same."""
        return self.batches(images, first_rows(images, VALIDATION_IMAGES))

    def batches(self, images: AnyImages, rows: np.ndarray) -> list[Batch]:
        """Some images, in batches as the training has them, each of one shape."""
        size = self.settings.batch_size
        return [
            part.batch(own[start : start + size], self.engine.device)
            for part, own in parts_of(images, rows)
            for start in range(0, len(own), size)
        ]


def prepare(
    source: Source,
    recipe: str,
    config: Config,
    seed: int,
    base: Run | None,
    device: str | None,
    stored: Config | None = None,
    held: HeldOut | None = None,
) -> Setup:
    """Opens the data, builds what the configuration describes, and resolves the configuration.

    stored: the configuration of the run that goes on. held: what it holds out, or what the run does that this one
    starts from.

    Raises:
        UserError: for what cannot be opened or built, or does not fit together.
    """
    data = read_as_before(section(DataSettings, config.get("data", {}), "data"), stored)
    config = guarded_as_before(config, stored)
    with looking_once():
        data, images, (config, notes, seen) = opened(source, data, config, device, stored)
        data, held = choose_held_out(source, data, images, seed, stored, held)
    config, clustered_notes = clustered(config, len(images), stored)
    data, config, shown_notes = shown(data, config, images, stored, seen)
    settings = section(TrainSettings, config.get("train", {}), "train")
    engine = choose_engine(settings, device, len(images.buckets))
    torch.manual_seed(seed)  # of the initial weights
    config = {**config, "model": _with_widths(config.get("model", {}), images, data)}
    model, objective = build_parts(config, images.shape, len(images.classes))
    _prepare_conditions(model, images)
    sampler = _sampler(model, config.get("sampler"))
    named = resolved(source) if isinstance(source, (str, Path)) else source
    complete = {
        "unnoise": unnoise.__version__,
        "recipe": recipe,
        "source": named if isinstance(named, str) else "array",
        "seed": seed,
        "start": None if base is None else str(base.folder.resolve()),
        "found": _found(images),
        "data": asdict(data),
        "model": model_spec(model),
        "objective": objective_spec(objective),
        "sampler": None if sampler is None else spec_of(SAMPLERS, sampler),
        "train": asdict(settings),
    }
    return Setup(
        named,
        plain(complete),
        seed,
        data,
        settings,
        engine,
        images,
        model,
        objective,
        sampler,
        base,
        (*notes, *clustered_notes, *shown_notes),
        held,
    )


def build_parts(config: Config, shape: tuple[int, int, int], classes: int) -> tuple[ImageModel, Objective]:
    """The model and the objective of a configuration, for images of `shape` (C, H, W) with so many classes."""
    for name in ("model", "objective"):
        check_sizes(config.get(name, {}), name, "the configuration")
    with within_memory("the model"):
        model = build_model(with_autoencoder(config.get("model", {})), shape, classes)
        return model, build_objective(config.get("objective", {}), model)


def _with_widths(spec: Spec, images: AnyImages, data: DataSettings) -> Spec:
    """The [model] section with what its conditioner takes from the data."""
    if spec.get("conditioner") is None:
        return spec
    return {**spec, "conditioner": with_widths(spec["conditioner"], told(images.batch([0]).cond, data))}


def _prepare_conditions(model: ImageModel, images: AnyImages) -> None:
    """Computes once what the model wants of the whole set; UserError for conditions that the data lacks."""
    cond = {kind.condition: values for kind, values in present(images.fields)}
    model.prepare_conditions(cond, cache_folder())
    for note in model.condition_notes(cond):
        notice(f"{images.source}: {note}")
    has = images.batch([0]).cond
    for name in model.needed_conditions:
        if name not in has:
            raise UserError(
                f"model.conditioner needs a {name} for every image, and {images.source} has "
                f"{', '.join(has) if has else 'none of any kind'}; see docs/data.md for how a source carries them"
            )


def _sampler(model: ImageModel, spec: Any) -> Sampler | None:
    """The sampler of a model that draws in steps; what cannot run on its schedule fails here, not at the end."""
    if not isinstance(model, CanDenoise):
        if spec is not None:
            raise UserError(f"[sampler] is for diffusion models; model.kind gives {model.kind}")
        return None
    sampler = build(SAMPLERS, spec or "ddim", "sampler")
    sampler.times(model.schedule)
    return sampler


def _found(images: AnyImages) -> Spec:
    channels, height, width = images.shape
    shapes = [list(part.shape[1:]) for part in images.buckets]
    return {
        "images": len(images),
        "channels": channels,
        "height": height,
        "width": width,
        "classes": list(images.classes),
        "fingerprint": images.fingerprint,
        **({"buckets": shapes} if isinstance(images, Bucketed) else {}),
    }
