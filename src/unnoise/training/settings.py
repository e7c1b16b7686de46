"""The [train] and [data] sections of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from unnoise.errors import UserError
from unnoise.registry import arguments_of
from unnoise.runtime.precision import PRECISIONS

Section = TypeVar("Section")


@dataclass(frozen=True)
class DataSettings:
    """How a source is read (see `unnoise.open_source`), and whether images are mirrored at random in training. Its
    fields are the keys of `[data]`."""

    size: int | tuple[int, int] | None = None
    channels: int | None = None
    flip: bool = False
    strict: bool = False
    limit: int | None = None
    max_pixels: int | None = None
    background: str = "white"
    levels: tuple[float, float] | None = None

    def reading(self) -> dict[str, Any]:
        """The options of `unnoise.open_source`."""
        return {name: value for name, value in vars(self).items() if name != "flip"}


@dataclass(frozen=True)
class TrainSettings:
    """How a run is trained. Its fields are the keys of `[train]`; times are minutes.

    steps, minutes: when to stop, whichever comes first, counted over all sessions of the run.
    batch_size: images per step, taken in `accumulate` equal parts.
    learning_rate rises linearly over `warmup` steps, then stays; betas, weight_decay: AdamW's.
    clip: the largest gradient norm; 0 does not clip.
    ema: decay of the averaged weights, reached gradually as min(ema, (1 + step) / (10 + step)).
    precision: 'auto' takes bf16 autocast where the hardware has it, 'fp32', 'bf16'.
    compile: 'auto', 'on' or 'off' for torch.compile of the network.
    channels_last: 'auto', 'on' or 'off' for the memory layout of images.
    save_every, draw_every: minutes between checkpoints and between sample grids; 0 is every step. Grids take at most a
    tenth of the time, with fewer images or steps where the whole ones would take longer.
    keep: how many of the last checkpoints stay, beside the best.
    samples: how many images a grid has. tensorboard: event files beside metrics.jsonl, with the extra installed.
    """

    steps: int = 100_000
    minutes: float = 0.0
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 2e-4
    warmup: int = 500
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "auto"
    compile: str = "auto"
    channels_last: str = "auto"
    save_every: float = 5.0
    draw_every: float = 5.0
    log_every: int = 20
    keep: int = 2
    samples: int = 36
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "log_every", "keep"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("minutes", "warmup", "clip", "weight_decay", "save_every", "draw_every", "samples"):
            if getattr(self, name) < 0:
                raise UserError(f"train.{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise UserError(f"train.ema must lie in [0, 1), got {self.ema}")
        if self.learning_rate <= 0:
            raise UserError(f"train.learning_rate must be positive, got {self.learning_rate}")
        if self.batch_size % self.accumulate:
            raise UserError(
                f"train.batch_size {self.batch_size} is not a multiple of train.accumulate {self.accumulate}"
            )
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"train.{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")


CHOICES = {
    "precision": PRECISIONS,
    "compile": ("auto", "on", "off"),
    "channels_last": ("auto", "on", "off"),
}


def section(cls: type[Section], given: Mapping[str, Any], name: str) -> Section:
    """The settings that a section of a configuration gives; UserError for a key that it does not have."""
    return cls(**arguments_of(cls, given, f"[{name}]"))
