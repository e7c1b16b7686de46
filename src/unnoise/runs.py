"""Runs: folders that a training fills and that everything else reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from unnoise.config import Config, read_toml
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.models.image_model import ImageModel
from unnoise.registry import build
from unnoise.samplers import SAMPLERS, Sampler
from unnoise.training.checkpoint import newest_valid
from unnoise.training.device import best_device

if TYPE_CHECKING:
    from unnoise.training.plan import Plan

CONFIG_FILE = "config.toml"


class Run:
    """A folder with config.toml, checkpoints/, metrics.jsonl and samples/.

    plan, summary: what the training session that made this object announced and did; None for an opened run.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self.plan: Plan | None = None
        self.summary: dict[str, Any] | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """An existing run. Raises ValueError when the folder is none."""
        path = Path(folder)
        if not (path / CONFIG_FILE).is_file():
            raise ValueError(
                f"{folder} is no run: it has no {CONFIG_FILE}; a run is a folder that 'unnoise train' made"
            )
        return cls(path, read_toml(path / CONFIG_FILE))

    @property
    def shape(self) -> tuple[int, int, int]:
        found = self.config["found"]
        return found["channels"], found["height"], found["width"]

    @property
    def classes(self) -> list[str]:
        return self.config["found"]["classes"]

    def model(self) -> ImageModel:
        """The model with the weights it is built with, untrained."""
        return build_model(self.config["model"], self.shape, len(self.classes))

    def sampler(self) -> Sampler:
        """The sampler of the recipe; ValueError for a model that needs none."""
        if "sampler" not in self.config:
            raise ValueError(f"{self.folder} is a {self.config['model']['kind']}, which has no sampler to choose")
        return build(SAMPLERS, self.config["sampler"], "sampler")

    def tuned(self, steps: int) -> Sampler | None:
        """The sampler that `unnoise tune` found for so many steps, if it did."""
        file = self.folder / "tuned" / f"{steps}.json"
        return build(SAMPLERS, json.loads(file.read_text())["sampler"], "sampler") if file.is_file() else None

    def diffusion(self, purpose: str, device: str | None = None) -> Diffusion:
        """`load` for what only a diffusion model can do; ValueError says so for other runs."""
        model = self.load(device)
        if not isinstance(model, Diffusion):
            raise ValueError(f"{purpose} needs a diffusion model; {self.folder} is a {self.config['model']['kind']}")
        return model

    def load(self, device: str | None = None) -> ImageModel:
        """The model of the newest sound checkpoint: EMA weights, eval mode. Corrupt checkpoints are
        passed over, naming them on standard error; ValueError when there is none to read."""
        checkpoint, refused = newest_valid(self.folder / "checkpoints")
        if checkpoint is None:
            reason = f": {refused[0]}" if refused else "; train it first"
            raise ValueError(f"{self.folder} has no checkpoint to load{reason}")
        for message in refused:
            print(f"passing over a corrupt checkpoint: {message}", file=sys.stderr)
        model = self.model()
        model.load_state_dict(checkpoint.tensors("ema"))
        model.requires_grad_(False)
        return model.to(device or best_device()).eval()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run against other processes; the system lets go when this one ends, however it ends."""
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"another process is training in {self.folder}; wait for it, or choose another --out"
            ) from None
        with lock:
            yield


def load(path: str | Path, device: str | None = None) -> ImageModel:
    """The trained model of a run folder: EMA weights, eval mode."""
    return Run.open(path).load(device)
