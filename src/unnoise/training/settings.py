"""The [train] and [data] sections of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar, get_type_hints

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.registry import Amount, Bounds, Count, Fraction, Many, Positive, arguments_of, fitted, lookup
from unnoise.runtime.cuda_graphs import Choice
from unnoise.runtime.precision import Precision
from unnoise.sources.buckets import CROP
from unnoise.training.trackers import TRACKERS

Section = TypeVar("Section")


@dataclass(frozen=True)
class DataSettings:
    """How a source is read (see `unnoise.open_source`), and how its images are shown in training. Its fields are the
    keys of `[data]`.

    flip: whether images are mirrored at random; 'auto' where mirror images are as probable (`data.mirror`).
    augment: the probability of each change of `data.augment`, of which the network is told; 'auto' for 0.12 in the
    training of a diffusion model of pixels on a small set, without conditions that name positions.
    hold_out: the fraction of the training images that is held out; 'auto' for a tenth of a small set without a test
    split. A run's configuration has what 'auto' means for its images.
    stream: whether pictures are decoded when they are needed; None packs them where the disk has room.
    fit: how pictures of other shapes come to `size`: 'crop' takes the largest centred part of one shape; 'buckets' of
    the nearest of several shapes of about size^2 pixels, whose sides are multiples of `multiple` (None: of what the
    network pads to), and draws every batch from one of them.
    """

    size: int | tuple[int, int] | None = None
    channels: int | None = None
    flip: bool | Literal["auto"] = False
    augment: Fraction | Literal["auto"] = 0.0
    hold_out: Annotated[float, Bounds(0, below=1)] | Literal["auto"] = "auto"
    strict: bool = False
    limit: int | None = None
    max_pixels: int | None = None
    background: str = "white"
    levels: tuple[float, float] | None = None
    stream: bool | None = None
    fit: Literal["crop", "buckets"] = CROP
    multiple: Positive | None = None

    @property
    def mirrors(self) -> bool:
        """flip, once it is decided."""
        return self.flip is True

    def reading(self) -> Record:
        """The options of `unnoise.open_source`."""
        return {name: value for name, value in vars(self).items() if name not in (*SHOWN, *BUCKETING)}

    def bucketing(self) -> Record:
        """The options of `open_buckets`."""
        without = (*SHOWN, *BUCKETING, "size", "stream")
        return {name: value for name, value in vars(self).items() if name not in without}


SHOWN = ("flip", "augment", "hold_out")
"""Keys of [data] that are not about reading,"""
BUCKETING = ("fit", "multiple")
"""and those about the shapes that images get."""
BEFORE: Record = {"hold_out": 0.0, "flip": False, "augment": 0.0, "stream": False}
"""Keys of [data] that older runs do not have, as they were trained."""
GUARD_BEFORE = "warn"
"""train.guard of older runs."""


@dataclass(frozen=True)
class TrainSettings:
    """How a run is trained. Its fields are the keys of `[train]`; times are minutes.

    steps, minutes: when to stop, whichever comes first, counted over all sessions of the run.
    batch_size: images per step, taken in `accumulate` equal parts.
    learning_rate rises linearly over `warmup` steps, stays, and falls linearly to zero over the last part `decay` of
    the training, by steps or by minutes; betas, weight_decay: AdamW's. optimizer: 'adamw', or 'muon' for matrices and
    convolutions with AdamW for the rest.
    clip: the largest gradient norm; 0 does not clip.
    ema: decay of the averaged weights, reached gradually as min(ema, (1 + step) / (10 + step)).
    guiding_at: the fraction of the training after which the averaged weights are kept for good, to guide by
    (`sample --autoguidance RUN@early`); 0 keeps none.
    precision: 'auto' takes bf16 autocast where the hardware has it, else tf32 or fp32; or one of these; or fp16, with a
    scaled loss, for GPUs that came before bf16.
    compile: torch.compile of the network's blocks ('on', 'regions'), of all of it at once ('whole'), 'off' or 'auto'.
    channels_last: 'auto', 'on' or 'off' for the memory layout of images.
    save_every, draw_every: minutes between checkpoints and between sample grids; 0 is every step. Grids take at most a
    tenth of the time, with fewer images or steps where the whole ones would take longer.
    keep: how many of the last checkpoints stay, beside the best.
    samples: how many images a grid has.
    guard: of sets of 5,000 images at most: 'stop' ends a training that begins to copy its images, where there are
    held-out images to tell by; 'warn' only says it; 'off' does not look.
    trackers: where numbers go beside metrics.jsonl, of 'tensorboard', 'wandb' and 'mlflow', each an extra; tensorboard:
    the first of them by its older name.
    """

    steps: Positive = 100_000
    minutes: Amount = 0.0
    batch_size: Many = 64
    accumulate: Positive = 1
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: Annotated[float, Bounds(above=0)] = 2e-4
    warmup: Count = 500
    decay: Fraction = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: Amount = 0.0
    clip: Amount = 1.0
    ema: Annotated[float, Bounds(0, below=1)] = 0.999
    guiding_at: Fraction = 0.0
    precision: Precision = "auto"
    compile: Literal["auto", "on", "off", "regions", "whole"] = "auto"
    channels_last: Choice = "auto"
    save_every: Amount = 5.0
    draw_every: Amount = 5.0
    log_every: Positive = 20
    keep: Positive = 2
    samples: Count = 36
    guard: Literal["stop", "warn", "off"] = "stop"
    trackers: tuple[str, ...] = ()
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(TrainSettings, include_extras=True).items():
            fitted(getattr(self, name), hint, f"train.{name}")
        for name in self.trackers:
            lookup(TRACKERS, name, "tracker of train.trackers")
        if self.batch_size % self.accumulate:
            raise UserError(
                f"train.batch_size {self.batch_size} is not a multiple of train.accumulate {self.accumulate}"
            )

    @property
    def tracked_by(self) -> tuple[str, ...]:
        """Names in TRACKERS."""
        return (*self.trackers, *(("tensorboard",) if self.tensorboard else ()))


def section(cls: type[Section], given: Spec, name: str) -> Section:
    """The settings that a section of a configuration gives; UserError for a key that it does not have."""
    return cls(**arguments_of(cls, given, f"[{name}]"))
