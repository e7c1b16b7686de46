"""The runs of a folder, read from their files: no torch, nothing written, a damaged run is shown as such."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.io.json_file import found_json
from unnoise.runs.config import Config, read_toml
from unnoise.runs.curves import head, newest
from unnoise.runs.metrics_file import METRICS_FILE
from unnoise.runs.pictures import drawn
from unnoise.runs.state import STATE_FILE, StateError, read_state
from unnoise.studio.holders import holder, locked_files
from unnoise.studio.paths import NotFound, inside

CONFIG_FILE = "config.toml"
FRESH = 60.0
"""Seconds since the last line of metrics within which a run counts as training where the system does not tell."""


class Library:
    """The runs in a folder and in its folders."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folders(self) -> list[Path]:
        """All runs, the one that was written to last first."""
        return sorted(_runs(self.root, self.root, depth=2), key=updated, reverse=True)

    def folder(self, name: str) -> Path:
        """The run's folder; NotFound where `name` is none."""
        found = inside(self.root, name)
        if not (found / CONFIG_FILE).is_file():
            raise NotFound(f"{name!r} is no run")
        return found

    def file(self, run: str, relative: str) -> Path:
        """A file of a run; NotFound where there is none, or where it is a link out of the run."""
        return inside(self.folder(run), relative)

    def name(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()

    def summaries(self, folders: list[Path]) -> list[Record]:
        """What cards show."""
        locked = locked_files()
        return [self.summary(folder, locked) for folder in folders]

    def summary(self, folder: Path, locked: Mapping[int, int] | None = None) -> Record:
        """What a card shows of a run."""
        about: Record = {"run": self.name(folder), "updated": updated(folder)}
        try:
            config = read_config(folder)
            return {**about, **_from_config(config), **_progress(folder, config, locked or locked_files())}
        except (UserError, KeyError, TypeError, AttributeError) as error:  # a damaged configuration is the user's
            return {**about, "state": "damaged", "error": f"its {CONFIG_FILE} cannot be read: {error}"}


def read_config(folder: Path) -> Config:
    """The run's configuration, read again only when the file changed."""
    file = folder / CONFIG_FILE
    status = file.stat()
    return _read_config(str(file), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _read_config(file: str, changed: int, size: int) -> Config:
    return read_toml(Path(file))


def updated(folder: Path) -> float:
    """When the run was last written to."""
    for name in (METRICS_FILE, CONFIG_FILE):
        try:
            return (folder / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def grids(folder: Path) -> list[int]:
    """The steps at which a picture was drawn."""
    return drawn(folder)


def checkpoints(folder: Path) -> list[Record]:
    """Step, bytes and the state that was saved, oldest first."""
    found = []
    for step in _steps(folder / "checkpoints"):
        checkpoint = folder / "checkpoints" / str(step)
        size = sum(file.stat().st_size for file in checkpoint.iterdir() if file.is_file())
        found.append({"step": step, "bytes": size, **_state(checkpoint)})
    return found


def evaluations(folder: Path) -> list[Record]:
    """What was measured of a run, newest first."""
    files = sorted(folder.glob("evaluations/*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    return [{"file": file.name, **found} for file in files[:200] if (found := found_json(file)) is not None]


def _from_config(config: Config) -> Record:
    found, model = config["found"], config["model"]
    return {
        "recipe": Path(str(config.get("recipe", ""))).stem,
        "kind": model["kind"],
        "source": str(config["source"]),
        "seed": config.get("seed", 0),
        "images": found["images"],
        "shape": [found["channels"], found["height"], found["width"]],
        "classes": list(found["classes"]),
        "conditions": _conditions(model),
        "sampler": config.get("sampler"),
        "steps": config["train"]["steps"],
        "minutes": config["train"]["minutes"],
    }


def _conditions(model: Spec) -> list[str]:
    """The conditioners' kinds, class, cluster, text, map, image, vector, but for what is told in training alone."""
    conditioner = model.get("conditioner")
    if conditioner is None:
        return []
    spec = conditioner if isinstance(conditioner, Mapping) else {"kind": conditioner}
    kinds = spec.get("parts") or [spec.get("kind")]
    return [str(kind) for kind in kinds if kind != "augment"]


def _progress(folder: Path, config: Config, locked: Mapping[int, int]) -> Record:
    values, steps = newest(folder / METRICS_FILE), grids(folder)
    process = holder(folder, locked)
    saved = _steps(folder / "checkpoints")
    seconds = _seconds(folder, saved, values)
    step = int(values.get("step", saved[-1] if saved else 0))
    left = _left(config, step, seconds, values)
    training = process is not None or (not locked and time.time() - updated(folder) < FRESH)
    done = step > 0 and left == 0
    return {
        "state": "training" if training else "done" if done else "stopped",
        "step": step,
        "seconds": seconds,
        "left": left,
        "grid": steps[-1] if steps else None,
        "checkpoint": saved[-1] if saved else None,
        **{name: values.get(name) for name in ("loss", "validation_loss", "images_per_second", "copies")},
    }


def _seconds(folder: Path, saved: list[int], values: Spec) -> float:
    """Of training, over all sessions: those of the newest checkpoint and what came after it."""
    if not saved:
        first = head(folder / METRICS_FILE)
        return max(0.0, float(values.get("time", 0.0)) - float(first.get("time", values.get("time", 0.0))))
    checkpoint = folder / "checkpoints" / str(saved[-1])
    before = float(_state(checkpoint).get("seconds", 0.0))
    since = float(values.get("time", 0.0)) - checkpoint.stat().st_mtime
    return before + (max(0.0, since) if values.get("step", 0) > saved[-1] else 0.0)


def _left(config: Config, step: int, seconds: float, values: Spec) -> float | None:
    """Seconds until the run stops, None while its speed is unknown."""
    train = config["train"]
    if step >= train["steps"] or 0 < train["minutes"] * 60 <= seconds + 1:
        return 0.0
    speed = values.get("images_per_second")
    by_steps = (train["steps"] - step) * train["batch_size"] / speed if speed else None
    by_time = train["minutes"] * 60 - seconds if train["minutes"] else None
    known = [value for value in (by_steps, by_time) if value is not None]
    return min(known) if known else None


def _runs(root: Path, folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        path = Path(entry.path)
        if entry.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            continue
        if (path / CONFIG_FILE).is_file():
            yield path
        elif depth > 1:
            yield from _runs(root, path, depth - 1)


def _steps(folder: Path) -> list[int]:
    """The numbers that the entries of a folder are called by, rising."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 16)


def _state(checkpoint: Path) -> Record:
    try:
        found = read_state(checkpoint / STATE_FILE)
    except StateError:
        return {}
    return {key: found[key] for key in ("images", "seconds", "best")}
