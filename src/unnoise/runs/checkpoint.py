"""Checkpoints: complete or absent, verified when read, never running code from a file.

A checkpoint is a folder `checkpoints/STEP` with model.safetensors, ema.safetensors, optimizers.pt and state.json,
which holds a digest of each of the others and of itself. It is *sound* when every digest is right and every weight is
finite; nothing else is saved, resumed from or loaded.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unnoise.aliases import Record
from unnoise.files import FULL, digest, new_folder, remove_partial
from unnoise.runs.state import STATE_FILE, State, StateError, read_state, sealed

OPTIMIZERS_FILE = "optimizers.pt"
EMA, EARLY = "ema", "early"
"""Files of the averaged weights, and of those as they were early in the training, where a run keeps them."""
UNSOUND = ".unsound"
"""The ending of folders that were checkpoints and cannot be trusted: kept, and never read."""


class UnsoundCheckpoint(Exception):
    """A checkpoint that cannot be trusted, and why."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder `checkpoints/STEP` that exists."""

    folder: Path

    @property
    def step(self) -> int:
        return int(self.folder.name)

    def state(self) -> State:
        """The counters of the run at this step; `files` maps each file to its digest."""
        try:
            state = read_state(self.folder / STATE_FILE)
        except StateError as error:
            raise UnsoundCheckpoint(f"{self.folder}: {STATE_FILE} {error}") from error
        if state["step"] != self.step:
            raise UnsoundCheckpoint(f"{self.folder}: {STATE_FILE} is of step {state['step']}")
        return state

    def verify(self) -> None:
        """Raises UnsoundCheckpoint unless every file has the digest it was written with and every weight is finite."""
        for name, expected in self.state()["files"].items():
            try:
                found = digest(self.folder / name)
            except OSError as error:
                raise UnsoundCheckpoint(f"{self.folder}: {name}: {error.strerror}") from error
            if found != expected:
                raise UnsoundCheckpoint(f"{self.folder}: {name} is not what was written")
            stem, _, suffix = name.rpartition(".")
            if suffix == "safetensors" and not all_finite(self.tensors(stem).values()):
                raise UnsoundCheckpoint(f"{self.folder}: {name} holds weights that are not finite")

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of NAME.safetensors."""
        try:
            return load_file(self.folder / f"{name}.safetensors")
        except (OSError, safetensors.SafetensorError) as error:
            raise UnsoundCheckpoint(f"{self.folder}: {name}.safetensors: {error}") from error

    def optimizers(self) -> list[Record]:
        """The state dicts of the phases' optimizers."""
        return torch.load(self.folder / OPTIMIZERS_FILE, weights_only=True, map_location="cpu")


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no tensor holds an infinity or a NaN. Waits for the device once."""
    sums = [tensor.detach().isfinite().all() for tensor in tensors if tensor.is_floating_point()]
    return bool(torch.stack(sums).all()) if sums else True


def checkpoints(root: Path) -> list[Checkpoint]:
    """All complete checkpoints below `root`, oldest first."""
    folders = [folder for folder in root.glob("*") if folder.name.isdecimal() and folder.is_dir()]
    return [Checkpoint(folder) for folder in sorted(folders, key=lambda folder: int(folder.name))]


def newest_valid(root: Path) -> tuple[Checkpoint | None, dict[Checkpoint, str]]:
    """The newest checkpoint that passes `verify`, and why each newer one does not."""
    refused: dict[Checkpoint, str] = {}
    for checkpoint in reversed(checkpoints(root)):
        try:
            checkpoint.verify()
            return checkpoint, refused
        except UnsoundCheckpoint as error:
            refused[checkpoint] = str(error)
    return None, refused


def to_load(root: Path) -> tuple[Checkpoint | None, dict[Checkpoint, str]]:
    """`newest_valid`, or the one before it that it names: of a training that ended because it began to copy its images,
    the best one before that."""
    newest, refused = newest_valid(root)
    step = None if newest is None else newest.state().get("use")
    if step is None or not (root / str(step)).is_dir():
        return newest, refused
    named = Checkpoint(root / str(step))
    try:
        named.verify()
    except UnsoundCheckpoint as error:
        return newest, {**refused, named: str(error)}
    return named, refused


def set_aside(refused: Iterable[Checkpoint]) -> None:
    """Renames what is no sound checkpoint, so that it counts as none when old ones are removed."""
    for checkpoint in refused:
        aside = checkpoint.folder.with_name(checkpoint.folder.name + UNSOUND)
        shutil.rmtree(aside, ignore_errors=True)
        checkpoint.folder.rename(aside)


def save_checkpoint(
    root: Path,
    tensors: Mapping[str, dict[str, Tensor]],
    optimizers: list[Record],
    state: Record,
) -> Checkpoint:
    """Writes `root/STEP` in one piece.

    Args:
        root: the run's folder of checkpoints.
        tensors: file stem -> state dict.
        optimizers: a state dict each.
        state: JSON, with 'step'.

    Raises:
        UnsoundCheckpoint: where a weight is not finite; nothing is written.
        OSError: saying which checkpoint is the last good one, for example when the disk is full.
    """
    folder = root / str(state["step"])
    if not all(all_finite(values.values()) for values in tensors.values()):
        raise UnsoundCheckpoint(f"{folder}: the weights are not finite")
    try:
        with new_folder(folder) as partial:
            for name, values in tensors.items():
                save_file({k: v.detach().contiguous() for k, v in values.items()}, partial / f"{name}.safetensors")
            buffer = io.BytesIO()  # torch's own file writer hides why a write failed
            torch.save(optimizers, buffer)
            (partial / OPTIMIZERS_FILE).write_bytes(buffer.getbuffer())
            files = {file.name: digest(file) for file in sorted(partial.iterdir())}
            (partial / STATE_FILE).write_text(json.dumps(sealed({**state, "files": files}), indent=1))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        good = [checkpoint.step for checkpoint in checkpoints(root)]
        kept = f"the last good checkpoint is step {good[-1]}" if good else "no checkpoint has been written yet"
        reason = "the disk is full" if _disk_is_full(error) else str(error)
        raise OSError(f"could not save step {state['step']} in {root}: {reason}; {kept}") from error
    return Checkpoint(folder)


def prune(root: Path, keep: int, best: int | None) -> None:
    """Removes all but the last `keep` checkpoints and the one of step `best`, and what a killed process left."""
    for checkpoint in checkpoints(root)[:-keep]:
        if checkpoint.step != best:
            shutil.rmtree(checkpoint.folder, ignore_errors=True)
    remove_partial(root)


def _disk_is_full(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno in FULL) or os.strerror(FULL[0]) in str(error)
