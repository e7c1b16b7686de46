"""Runs: folders that a training fills and that everything else reads."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout

from unnoise.aliases import Record, Source
from unnoise.data import Images
from unnoise.errors import UserError
from unnoise.io.json_file import read_json
from unnoise.io.picture_reader import Rules
from unnoise.models import MODELS
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.models.image_model import CanDenoise, CanSample, ImageModel, require
from unnoise.networks.lora import merge_lora
from unnoise.progress import notice
from unnoise.registry import build, lookup
from unnoise.runs.card import card
from unnoise.runs.checkpoint import EARLY, EMA, Checkpoint, checkpoints, to_load
from unnoise.runs.config import Config, read_config
from unnoise.runs.data import Bucketing, Reading, bucketing_of, own_options, picture_options
from unnoise.runs.held_out import HeldOut, read_held_out
from unnoise.runs.plan import Plan
from unnoise.runtime.device import chosen_device
from unnoise.runtime.memory import within_memory
from unnoise.samplers import SAMPLERS, Sampler
from unnoise.sources import resolved

CONFIG_FILE, CHECKPOINTS, LOCK = "config.toml", "checkpoints", ".lock"


class Run:
    """A folder with config.toml, checkpoints/, metrics.jsonl and samples/.

    plan, summary: what the training session that made this object announced and did; None for an opened run.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self.plan: Plan | None = None
        self.summary: Record | None = None

    def __repr__(self) -> str:
        steps = [checkpoint.step for checkpoint in checkpoints(self.folder / CHECKPOINTS)]
        channels, height, width = self.shape
        trained = f"{steps[-1]} steps" if steps else "untrained"
        return f"Run('{self.folder}', {self.config['recipe']}, {width}x{height}x{channels}, {trained})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the newest grid and the newest numbers."""
        return card(self)

    @classmethod
    def open(cls, folder: Run | str | Path) -> Run:
        """An existing run: the folder of one, or one that is open already.

        Raises:
            UserError: where the folder is no run. A configuration that was edited by hand is read, and that is noted on
                standard error.
        """
        if isinstance(folder, Run):
            return folder
        path = Path(folder)
        if not is_run(path):
            raise UserError(f"{folder} is no run: it has no {CONFIG_FILE}; a run is a folder that 'unnoise train' made")
        config, edited = read_config(path / CONFIG_FILE)
        if edited:
            notice(f"note: {path / CONFIG_FILE} was edited by hand since it was written")
        return cls(path, config)

    @property
    def shape(self) -> tuple[int, int, int]:
        found = self.config["found"]
        return found["channels"], found["height"], found["width"]

    @property
    def classes(self) -> list[str]:
        return self.config["found"]["classes"]

    def model(self) -> ImageModel:
        """The model with the weights it is built with, untrained."""
        with within_memory(f"the model of {self.folder}"):
            return build_model(self.config["model"], self.shape, len(self.classes))

    def sampler(self) -> Sampler:
        """The sampler of the recipe; UserError for a model that needs none."""
        if "sampler" not in self.config:
            raise UserError(f"{self.folder} is a {self.config['model']['kind']}, which has no sampler to choose")
        return build(SAMPLERS, self.config["sampler"], "sampler")

    def tuned(self, steps: int) -> Sampler | None:
        """The sampler that `unnoise tune` found for so many steps, if it did."""
        file = self.folder / "tuned" / f"{steps}.json"
        return build(SAMPLERS, read_json(file).get("sampler", {}), f"sampler in {file}") if file.is_file() else None

    @property
    def buckets(self) -> list[tuple[int, int]]:
        """(height, width) of the shapes that it was trained on, where there are several; [] where there is one."""
        return [(height, width) for height, width in self.config["found"].get("buckets", [])]

    def bucketing(self) -> Bucketing | None:
        """How its images came to several shapes; None where they have one."""
        return bucketing_of(self.config["data"]) if self.buckets else None

    def open_data(self, split: str = "train", source: Source = None, limit: int | None = None) -> tuple[Images, str]:
        """Images as the run's model takes them, of its own source unless another is given, and their split's name:
        the train split stands in for a test split that there is not. Of several buckets, those of the model's shape."""
        return self.reading(source).open_named(self._source(source), split, limit)

    def reading(self, source: Source = None) -> Reading:
        """How the run's images were read; or those of another source than its own, whose pictures are read alike. Its
        own by another name, or in another place, is its own all the same."""
        data, held_out = self.config["data"], self.held_out()
        alike = Reading(self.shape, held_out, options=picture_options(data))
        if not self.config["found"].get("fingerprint"):
            return alike  # it was imported: trained elsewhere, on what is not known
        own = replace(alike, bucketing=self.bucketing(), options=own_options(data, held_out))
        return own if source is None or self._is_own(source, own) else alike

    def _is_own(self, source: Source, own: Reading) -> bool:
        """Whether a source that is named is what the run was trained on: by its name, or else by its images."""
        if isinstance(source, (str, Path)) and resolved(source) == self.config["source"]:
            return True
        if self.buckets or not {"limit", "stream"} & own.options.keys():
            return False  # of a set that is read whole, `HeldOut` knows the images itself
        images = replace(own, held_out=None).open(source, "train")
        return images.fingerprint == self.config["found"]["fingerprint"]

    def held_out(self) -> HeldOut | None:
        """The images that were held out of the training, where its source had no test split."""
        return read_held_out(self.folder)

    def _source(self, source: Source) -> Source:
        return self.config["source"] if source is None else source

    def diffusion(self, purpose: str, device: str | None = None) -> Diffusion:
        """`load` for what only a diffusion model can do; UserError says so for other runs."""
        return cast(Diffusion, require(self.load(device), CanDenoise, purpose))

    def next_commands(self) -> list[str]:
        """What to do with a trained run: commands to type."""
        kind, folder = lookup(MODELS, self.config["model"]["kind"], "model"), shlex.quote(str(self.folder))
        sample = [f"unnoise sample {folder} -n 16"] if issubclass(kind, CanSample) else []
        return [*sample, f"unnoise evaluate {folder}"]

    def weights(self, name: str = EMA) -> Record:
        """Which weights `load` gives, or with EARLY `load_early`: the step of their checkpoint and their digest.

        Raises:
            UserError: for a run that kept no early weights.
        """
        checkpoint = self._to_load()
        return {"step": checkpoint.step, "checkpoint": self._digest(checkpoint, name)}

    def load(self, device: str | None = None) -> ImageModel:
        """The model of the newest sound checkpoint, or of the one that it says to use in its place (a training that
        began to copy its images ends with the best one before that): averaged weights, with low-rank adapters added to
        them, eval mode.

        Raises:
            UserError: where there is no sound checkpoint; those that are not are passed over, named on standard error.
        """
        return self._loaded(EMA, device)

    def load_early(self, device: str | None = None) -> ImageModel:
        """The model as it was at train.guiding_at of its training: a guiding model for autoguidance.

        Raises:
            UserError: for a run that kept no such weights.
        """
        return self._loaded(EARLY, device)

    def _loaded(self, weights: str, device: str | None) -> ImageModel:
        checkpoint = self._to_load()
        self._digest(checkpoint, weights)
        model = self.model()
        try:
            model.load_state_dict(checkpoint.tensors(weights))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"the weights in {checkpoint.folder} do not fit the configuration: {reason}") from error
        merge_lora(model).requires_grad_(False)
        model.pictures = Rules(**picture_options(self.config["data"]))
        return model.to(chosen_device(device)).eval()

    def _digest(self, checkpoint: Checkpoint, weights: str) -> str:
        """Of these weights, which a run may not have kept."""
        files = checkpoint.state()["files"]
        if weights == EARLY and f"{EARLY}.safetensors" not in files:
            raise UserError(
                f"{self.folder} kept no early weights: train with --set train.guiding_at=0.1, or give a run "
                "that is less trained"
            )
        return files[f"{weights}.safetensors"]

    def _to_load(self) -> Checkpoint:
        checkpoint, refused = to_load(self.folder / CHECKPOINTS)
        if checkpoint is None:
            reason = f": {next(iter(refused.values()))}" if refused else "; train it first"
            raise UserError(f"{self.folder} has no checkpoint to load{reason}")
        for message in refused.values():
            notice(f"passing over an unsound checkpoint: {message}")
        return checkpoint

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run against other processes; the system lets go when this one ends, however it ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"another process is training in {self.folder}; wait for it, or choose another --out"
            ) from None
        with lock:
            yield


def is_run(folder: Path) -> bool:
    """Whether a folder holds a configuration, and so is, or claims to be, a run."""
    return (folder / CONFIG_FILE).is_file()


def claim_folder(folder: Path) -> None:
    """Makes sure that a training may fill a folder: it is a run, empty, or not there.

    Raises:
        UserError: where other files lie in it, or a config.toml that is no run's.
    """
    if is_run(folder):
        read_config(folder / CONFIG_FILE)
        return
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose another --out for the run's folder")
    others = sorted(file.name for file in folder.iterdir() if file.name != LOCK) if folder.is_dir() else []
    if others:
        raise UserError(
            f"{folder} is no run and holds {others[0]}{' and more' if len(others) > 1 else ''}; a run goes into a "
            "folder of its own: choose another --out"
        )
