"""Checkpoints: complete or absent, verified when read, never running code from a file.

A checkpoint is a folder `checkpoints/STEP` with model.safetensors, ema.safetensors, optimizers.pt and state.json,
which holds a digest of each of the others.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unnoise.files import new_folder

STATE_FILE = "state.json"
OPTIMIZERS_FILE = "optimizers.pt"


class CorruptCheckpoint(Exception):
    """A checkpoint that cannot be trusted, and why."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder `checkpoints/STEP` that exists."""

    folder: Path

    @property
    def step(self) -> int:
        return int(self.folder.name)

    def state(self) -> dict[str, Any]:
        """The counters of the run at this step; `files` maps each file to its digest."""
        try:
            return json.loads((self.folder / STATE_FILE).read_text())
        except (OSError, ValueError) as error:
            raise CorruptCheckpoint(f"{self.folder}: {STATE_FILE}: {error}") from error

    def verify(self) -> None:
        """Raises CorruptCheckpoint unless every file has the digest it was written with."""
        for name, expected in self.state().get("files", {}).items():
            try:
                found = digest(self.folder / name)
            except OSError as error:
                raise CorruptCheckpoint(f"{self.folder}: {name}: {error.strerror}") from error
            if found != expected:
                raise CorruptCheckpoint(f"{self.folder}: {name} is not what was written")

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of NAME.safetensors."""
        try:
            return load_file(self.folder / f"{name}.safetensors")
        except (OSError, safetensors.SafetensorError) as error:
            raise CorruptCheckpoint(f"{self.folder}: {name}.safetensors: {error}") from error

    def optimizers(self) -> list[dict[str, Any]]:
        """The state dicts of the phases' optimizers."""
        return torch.load(self.folder / OPTIMIZERS_FILE, weights_only=True, map_location="cpu")


def checkpoints(root: Path) -> list[Checkpoint]:
    """All complete checkpoints below `root`, oldest first."""
    folders = [folder for folder in root.glob("*") if folder.name.isdigit() and folder.is_dir()]
    return [Checkpoint(folder) for folder in sorted(folders, key=lambda folder: int(folder.name))]


def newest_valid(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that passes `verify`, and why each newer one does not."""
    refused: list[str] = []
    for checkpoint in reversed(checkpoints(root)):
        try:
            checkpoint.verify()
            return checkpoint, refused
        except CorruptCheckpoint as error:
            refused.append(str(error))
    return None, refused


def save_checkpoint(
    root: Path,
    tensors: Mapping[str, dict[str, Tensor]],
    optimizers: list[dict[str, Any]],
    state: dict[str, Any],
) -> Checkpoint:
    """Writes `root/STEP` in one piece. tensors: file stem -> state dict. state: JSON, with 'step'.

    Raises OSError saying which checkpoint is the last good one when the disk is full.
    """
    folder = root / str(state["step"])
    try:
        with new_folder(folder) as partial:
            for name, values in tensors.items():
                save_file({k: v.detach().contiguous() for k, v in values.items()}, partial / f"{name}.safetensors")
            buffer = io.BytesIO()  # torch's own file writer hides why a write failed
            torch.save(optimizers, buffer)
            (partial / OPTIMIZERS_FILE).write_bytes(buffer.getbuffer())
            files = {file.name: digest(file) for file in sorted(partial.iterdir())}
            (partial / STATE_FILE).write_text(json.dumps({**state, "files": files}, indent=1))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        good = [checkpoint.step for checkpoint in checkpoints(root)]
        kept = f"the last good checkpoint is step {good[-1]}" if good else "no checkpoint has been written yet"
        reason = "the disk is full" if _disk_is_full(error) else str(error)
        raise OSError(f"could not save step {state['step']} in {root}: {reason}; {kept}") from error
    return Checkpoint(folder)


def prune(root: Path, keep: int, best: int | None) -> None:
    """Removes all but the last `keep` checkpoints and the one of step `best`."""
    for checkpoint in checkpoints(root)[:-keep]:
        if checkpoint.step != best:
            shutil.rmtree(checkpoint.folder, ignore_errors=True)


def digest(file: Path) -> str:
    """The BLAKE2b digest of a file, 32 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _disk_is_full(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left" in str(error)
