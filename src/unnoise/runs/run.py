"""Runs: folders that a training fills and that everything else reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unnoise.data import Images
from unnoise.errors import UserError
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.models.image_model import ImageModel
from unnoise.registry import build
from unnoise.runs.checkpoint import Checkpoint, newest_valid
from unnoise.runs.config import Config, read_toml
from unnoise.runs.data import open_split
from unnoise.runs.plan import Plan
from unnoise.runtime.device import best_device
from unnoise.samplers import SAMPLERS, Sampler

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
        """An existing run. Raises UserError when the folder is none."""
        path = Path(folder)
        if not (path / CONFIG_FILE).is_file():
            raise UserError(f"{folder} is no run: it has no {CONFIG_FILE}; a run is a folder that 'unnoise train' made")
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
        """The sampler of the recipe; UserError for a model that needs none."""
        if "sampler" not in self.config:
            raise UserError(f"{self.folder} is a {self.config['model']['kind']}, which has no sampler to choose")
        return build(SAMPLERS, self.config["sampler"], "sampler")

    def tuned(self, steps: int) -> Sampler | None:
        """The sampler that `unnoise tune` found for so many steps, if it did."""
        file = self.folder / "tuned" / f"{steps}.json"
        return build(SAMPLERS, json.loads(file.read_text())["sampler"], "sampler") if file.is_file() else None

    def open_data(self, split: str = "train", source: Any = None, limit: int | None = None) -> tuple[Images, str]:
        """Images as the run's model takes them, of its own source unless another is given, and their split's name:
        the train split stands in for a test split that there is not."""
        return open_split(self.config["source"] if source is None else source, split, shape=self.shape, limit=limit)

    def diffusion(self, purpose: str, device: str | None = None) -> Diffusion:
        """`load` for what only a diffusion model can do; UserError says so for other runs."""
        model = self.load(device)
        if not isinstance(model, Diffusion):
            raise UserError(f"{purpose} needs a diffusion model; {self.folder} is a {self.config['model']['kind']}")
        return model

    def weights(self) -> dict[str, Any]:
        """Which weights `load` gives: the step of the newest sound checkpoint and the digest of its averages."""
        checkpoint = self._newest()
        return {"step": checkpoint.step, "checkpoint": checkpoint.state()["files"]["ema.safetensors"]}

    def load(self, device: str | None = None) -> ImageModel:
        """The model of the newest sound checkpoint: EMA weights, eval mode. Corrupt checkpoints are
        passed over, naming them on standard error; UserError when there is none to read."""
        checkpoint = self._newest()
        model = self.model()
        model.load_state_dict(checkpoint.tensors("ema"))
        model.requires_grad_(False)
        return model.to(device or best_device()).eval()

    def _newest(self) -> Checkpoint:
        checkpoint, refused = newest_valid(self.folder / "checkpoints")
        if checkpoint is None:
            reason = f": {refused[0]}" if refused else "; train it first"
            raise UserError(f"{self.folder} has no checkpoint to load{reason}")
        for message in refused:
            print(f"passing over a corrupt checkpoint: {message}", file=sys.stderr)
        return checkpoint

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run against other processes; the system lets go when this one ends, however it ends."""
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"another process is training in {self.folder}; wait for it, or choose another --out"
            ) from None
        with lock:
            yield


def load(path: str | Path, device: str | None = None) -> ImageModel:
    """The trained model of a run folder: EMA weights, eval mode."""
    return Run.open(path).load(device)
