"""From a source and a recipe to a trained run: the journey behind `unnoise train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import unnoise
from unnoise.data import Batch, Images, Loader, open_source, save_png
from unnoise.data.cache import cache_folder
from unnoise.errors import NoSplit, UserError
from unnoise.files import write_atomic
from unnoise.models import CanReconstruct, CanSample, Diffusion, ImageModel
from unnoise.models.assembly import build_model, model_spec
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.registry import build, check_keys, describe, spec_of
from unnoise.runs.checkpoint import Checkpoint, newest_valid
from unnoise.runs.config import Config, difference, override, plain, read_recipe, read_toml, to_toml
from unnoise.runs.plan import Plan
from unnoise.runs.run import CONFIG_FILE, Run
from unnoise.samplers import SAMPLERS, Sampler
from unnoise.training.engine import choose_engine
from unnoise.training.latents import with_autoencoder, with_latents
from unnoise.training.log import TrainLog, drop_after
from unnoise.training.plan import make_plan
from unnoise.training.previews import ALARM, CopyWatch, preview, preview_rows, warning
from unnoise.training.session import Session
from unnoise.training.settings import TrainSettings
from unnoise.training.trainer import Trainer
from unnoise.training.transfer import carry_over, recipe_of

FREE_TO_CHANGE = {
    "unnoise",
    "recipe",
    *(f"train.{name}" for name in ("steps", "minutes", "save_every", "draw_every", "log_every", "keep", "samples")),
    "train.tensorboard",
}
"""Keys that a resumed run may give other values: none of them changes what a step computes."""

VALIDATION_IMAGES = 256
LARGE = 48
"""Pixels a side from which the recipe ddpm-64 is advised: it computes 0.8 GFLOP for a 64x64 image, ddpm 2.0."""


@dataclass(frozen=True)
class DataSettings:
    """The [data] section of a recipe: how a source is read (see `unnoise.open_source`), and whether images are mirrored
    at random in training."""

    size: int | tuple[int, int] | None = None
    channels: int | None = None
    flip: bool = False
    strict: bool = False
    limit: int | None = None


def train(
    source: Any,
    recipe: str | None = None,
    out: str | Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    *,
    start: str | Path | None = None,
    device: str | None = None,
    dry_run: bool = False,
) -> Run:
    """Trains a model on a source of images, or goes on where the same call stopped.

    source: see `unnoise.open_source`. recipe: a built-in name or a .toml file, by default ddpm. out: the run's folder.
    steps, minutes: when to stop, over all sessions. overrides: dotted keys, such as {'train.batch_size': 32}.
    start: another run whose weights, where they fit, this one begins with, and whose recipe it has by default.
    dry_run: plan only.
    The run's `plan` and `summary` say what was about to happen and what did.
    """
    limits = {"train.steps": steps, "train.minutes": minutes}
    given = {key: value for key, value in limits.items() if value is not None}
    base = None if start is None else Run.open(start)
    own = base is not None and recipe is None
    name = f"from-{base.folder.resolve().name}" if base is not None and recipe is None else recipe or "ddpm"
    chosen = recipe_of(base) if base is not None and own else read_recipe(name)
    config = override(chosen, {**(overrides or {}), **given})
    folder = Path(out or default_folder(source, name))
    return _Start(source, name, config, seed, base, device).run(folder, dry_run)


def default_folder(source: Any, recipe: str) -> Path:
    """runs/SOURCE-RECIPE."""
    name = Path(source).name.split(".")[0] if isinstance(source, (str, Path)) else "array"
    return Path("runs") / f"{name.replace(':', '-')}-{Path(recipe).stem}"


class _Start:
    """Everything a session needs, built in order: data, model, objective, resolved configuration."""

    def __init__(
        self, source: Any, recipe: str, config: Config, seed: int, base: Run | None, device: str | None
    ) -> None:
        self.base = base
        self.settings = _section(TrainSettings, config.get("train", {}), "train")
        self.data = _section(DataSettings, config.get("data", {}), "data")
        self.source, self.seed = source, seed
        self.images = self._open("train")
        classes = self.images.classes
        self.engine = choose_engine(self.settings, device)
        torch.manual_seed(seed)
        self.model = build_model(with_autoencoder(config.get("model", {})), self.images.shape, len(classes))
        _prepare_conditions(self.model, self.images)
        self.objective = build_objective(config.get("objective", {}), self.model)
        self.sampler = _sampler(self.model, config.get("sampler"))
        self.config = plain(
            {
                "unnoise": unnoise.__version__,
                "recipe": recipe,
                "source": _source_name(source),
                "seed": seed,
                "start": None if base is None else str(base.folder.resolve()),
                "found": _found(self.images),
                "data": asdict(self.data),
                "model": model_spec(self.model),
                "objective": objective_spec(self.objective),
                "sampler": None if self.sampler is None else spec_of(SAMPLERS, self.sampler),
                "train": asdict(self.settings),
            }
        )

    def run(self, folder: Path, dry_run: bool) -> Run:
        run = Run(folder, self.config)
        self._check_same(folder)
        if dry_run:
            checkpoint, _ = newest_valid(folder / "checkpoints")
            run.plan = self._plan(self._trainer(checkpoint), folder)
            return run
        folder.mkdir(parents=True, exist_ok=True)
        with run.lock():
            write_atomic(folder / CONFIG_FILE, to_toml(self.config))
            self._train(run)
        return run

    def _train(self, run: Run) -> None:
        checkpoint, refused = newest_valid(run.folder / "checkpoints")
        carried = carry_over(self.model, self.base) if self.base is not None and checkpoint is None else None
        trainer = self._trainer(checkpoint)
        drop_after(run.folder, trainer.step)
        total = self.settings.minutes or self.settings.steps
        with TrainLog(
            run.folder, total, by_time=self.settings.minutes > 0, tensorboard=self.settings.tensorboard
        ) as log:
            for message in refused:
                log.say(f"passing over a corrupt checkpoint: {message}")
            if checkpoint is not None:
                log.say(f"resuming from step {trainer.step}")
            if carried is not None and self.base is not None:
                log.say(carried.line(self.base))
            run.plan = self._plan(trainer, run.folder)
            for line in run.plan.lines():
                log.say(line)
            held_out = self._held_out()
            shown = held_out.batch(preview_rows(held_out, self.settings.samples), self.engine.device)
            pictured = isinstance(self.model, (CanSample, CanReconstruct))
            watch = CopyWatch(self.images, self.data.flip)
            draw = partial(self._draw, run.folder, log, watch, shown) if pictured else None
            session = Session(trainer, run.folder, log, self._validation(held_out), draw)
            log.start()
            summary = session.run()
        resumed_from = None if checkpoint is None else checkpoint.step
        run.summary = {"run": str(run.folder), **summary, "resumed_from": resumed_from}

    def _trainer(self, checkpoint: Checkpoint | None) -> Trainer:
        self.engine.prepare(self.model)
        images = with_latents(self.model, self.images, self.engine.device, keep=not self.data.flip)
        loader = Loader(images, self.settings.batch_size, self.seed, self.engine.device, flip=self.data.flip)
        trainer = Trainer(self.objective, loader, self.settings, self.engine, self.seed)
        if checkpoint is not None:
            trainer.restore(checkpoint)
        return trainer

    def _plan(self, trainer: Trainer, folder: Path) -> Plan:
        return make_plan(trainer, self.images, folder, self._advice())

    def _advice(self) -> tuple[str, ...]:
        _, height, width = self.images.shape
        if self.config["recipe"] != "ddpm" or max(height, width) < LARGE:
            return ()
        return (f"at {width}x{height} pixels --recipe ddpm-64 takes less than half the computation of ddpm",)

    def _check_same(self, folder: Path) -> None:
        if not (folder / CONFIG_FILE).is_file():
            return
        changed = difference(self.config, read_toml(folder / CONFIG_FILE), FREE_TO_CHANGE)
        if changed:
            raise UserError(
                f"{folder} holds another run: {changed}; give the same options to resume it, or another --out"
            )

    def _held_out(self) -> Images:
        """The test split where the source has one, else the training set."""
        try:
            return self._open("test")
        except NoSplit:
            return self.images

    def _validation(self, images: Images) -> list[Batch]:
        """Its first images, always the same."""
        count, size = min(VALIDATION_IMAGES, len(images)), self.settings.batch_size
        return [
            images.batch(range(start, min(start + size, count)), self.engine.device) for start in range(0, count, size)
        ]

    def _draw(self, folder: Path, log: TrainLog, watch: CopyWatch, shown: Batch, step: int) -> None:
        with self.engine.autocast():
            drawn = preview(self.model, shown, self.sampler)
        save_png(drawn.picture, folder / "samples" / f"{step}.png")
        share = None if drawn.samples is None else watch.share(drawn.samples)
        if share is not None:
            log.record(step, {"copies": round(share, 6)})
            if share >= ALARM:
                log.say(f"step {step}: {warning(share)}")

    def _open(self, split: str) -> Images:
        data = self.data
        return open_source(
            self.source, split=split, size=data.size, channels=data.channels, strict=data.strict, limit=data.limit
        )


def _prepare_conditions(model: ImageModel, images: Images) -> None:
    """Computes once what a conditioner wants of the whole set; UserError for conditions that the data lacks."""
    if not isinstance(model, Diffusion) or model.conditioner is None:
        return
    model.conditioner.prepare({"caption": images.captions or ()}, cache_folder())
    has = images.batch([0]).cond
    for name in model.conditioner.needs:
        if name not in has:
            raise UserError(
                f"model.conditioner needs a {name} for every image, and {images.source} has "
                f"{', '.join(has) if has else 'none of any kind'}; see docs/data.md for how a source carries them"
            )


def _sampler(model: ImageModel, spec: Any) -> Sampler | None:
    """The sampler of a diffusion model; what cannot run on its schedule fails here, not at the end."""
    if not isinstance(model, Diffusion):
        if spec is not None:
            raise UserError(f"[sampler] is for diffusion models; model.kind gives a {type(model).__name__}")
        return None
    sampler = build(SAMPLERS, spec or "ddim", "sampler")
    sampler.times(model.schedule)
    return sampler


def _section(cls: type, given: Mapping[str, Any], name: str) -> Any:
    check_keys(given, [option.name for option in describe(cls)], f"[{name}]")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def _found(images: Images) -> Config:
    channels, height, width = images.shape
    return {
        "images": len(images),
        "channels": channels,
        "height": height,
        "width": width,
        "classes": list(images.classes),
        "fingerprint": images.fingerprint,
    }


def _source_name(source: Any) -> str:
    if isinstance(source, (str, Path)):
        return str(Path(source).resolve()) if Path(source).exists() else str(source)
    return "array"
