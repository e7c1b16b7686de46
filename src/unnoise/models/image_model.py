"""The base of every model, and what a model may claim to be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from unnoise.aliases import Columns, Observe, Record, Spec
from unnoise.data.batch import Batch
from unnoise.errors import NotApplicable, UserError
from unnoise.io.picture_reader import PLAIN, Rules
from unnoise.models.log_likelihood import LogLikelihood
from unnoise.process.codec import Codec
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.schedule import Schedule
from unnoise.registry import build, spec_of, suggest
from unnoise.samplers import Point, Sampler

Conditions = Mapping[str, Any]
"""Condition -> its value for each row, such as {'label': (B,)}."""
Guidance = Callable[[Denoiser], Denoiser]

Capability = TypeVar("Capability")

FOUND = ("shape", "classes")
"""Arguments that come from the data and are not keys of a configuration."""


class ImageModel(nn.Module):
    """A module that knows the shape (C, H, W) of the images it was made for. The constructor is the schema.

    What it can do it claims by the protocols of this file: ask `isinstance(model, CanSample)`, or
    `require(model, CanDenoise, "tuning")` for an error that says what is missing.
    """

    jumps: bool = False
    """Whether its x_0 is where a path of the flow ends, as a student's is, in place of the mean E[x_0 | x_t]."""
    pictures: Rules = PLAIN
    """How a picture's file becomes one of its images: as in the training of the run that it was loaded from."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def __repr__(self) -> str:
        channels, height, width = self.shape
        millions = sum(parameter.numel() for parameter in self.parameters()) / 1e6
        return f"{type(self).__name__}({width}x{height}x{channels}, {millions:.2f} M parameters)"

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def kind(self) -> str:
        """What it is, in a sentence: 'a gan', 'an autoencoder'."""
        name = type(self).__name__.lower()
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The conditions that the model takes, the keys of `cond`; () for an unconditional model."""
        return ()

    def conditions(self, batch: Batch) -> Conditions | None:
        """What a batch tells the model; None for an unconditional model."""
        return None

    @property
    def needed_conditions(self) -> tuple[str, ...]:
        """The conditions that training images must bring."""
        return ()

    @property
    def own_conditions(self) -> tuple[str, ...]:
        """The conditions that the model draws by itself where it is not given them."""
        return ()

    @property
    def own_choices(self) -> Mapping[str, int]:
        """Those of them that are one of so many, by number."""
        return {}

    def asked_for(self, batch: Batch) -> Conditions | None:
        """What to ask of the model for images like a batch's: its conditions, but those that the model draws itself."""
        told = self.conditions(batch) or {}
        return {name: rows for name, rows in told.items() if name not in self.own_conditions} or None

    @property
    def guidable(self) -> bool:
        """Whether classifier-free guidance has conditions to push towards."""
        return bool(self.condition_names or self.own_conditions)

    def completed(self, cond: Conditions | None, seeds: Sequence[int]) -> Conditions | None:
        """The conditions of images drawn from `seeds`, with those that the model draws by itself."""
        return cond

    def explained(self, cond: Conditions | None, observe: Observe, seen: Tensor) -> Conditions | None:
        """The conditions of images of which something was seen, with those that the model draws by itself: the ones
        under which that is expected most.

        observe: what is seen of images (N, C, H, W). seen: (B, *).
        """
        return cond

    def fit_conditions(self, images: Callable[[], Iterable[Tensor]]) -> None:
        """Called before the first step; `images` gives training images, (B, C, H, W) in [-1, 1], anew at each call."""

    def prepare_conditions(self, cond: Columns, folder: Path) -> None:
        """Called before training with the conditions of the whole set; `folder` keeps what is expensive to make."""

    def condition_notes(self, cond: Columns) -> tuple[str, ...]:
        """What a user should know about conditions: what of them the model does not use."""
        return ()

    def check_conditions(self, cond: Conditions | None, guidance: Guidance | None = None) -> None:
        """Raises UserError for conditions that neither the model nor its guidance takes."""
        known = {*self.condition_names, *self.own_conditions, *getattr(guidance, "condition_names", ())}
        unknown = [name for name in cond or () if name not in known]
        if unknown and not known:
            raise UserError(f"{self.kind} without conditions was given {', '.join(unknown)}: leave cond out")
        if unknown:
            raise UserError(f"unknown condition {unknown[0]!r} of {self.kind}; {suggest(unknown[0], known)}")

    def default_sampler(self) -> Sampler | None:
        """The sampler of `sample` unless another is given; None for a model that draws in one step or not at all."""
        return None

    def resized(self, size: tuple[int, int]) -> Self:
        """The model, with the same weights, for images of another (height, width).

        Raises:
            NotApplicable: for a model that draws images of one size.
        """
        raise NotApplicable(f"{self.kind} draws images of {self.shape[2]}x{self.shape[1]} pixels only")

    @property
    def counted(self) -> nn.Module:
        """The module whose forward passes are the network calls of sampling."""
        return self

    def captured(self, calls: int = 0, *, compile: bool = False) -> AbstractContextManager[None]:
        """While it lasts, so many network calls are recorded as CUDA graphs where that pays; nothing by default."""
        return nullcontext()

    @property
    def reconstructor(self) -> CanReconstruct | None:
        """What encodes images to latents and decodes them: the model itself, or the autoencoder it works behind."""
        return self if isinstance(self, CanReconstruct) else None

    @property
    def works_in_latents(self) -> bool:
        """Whether the model draws latents that an autoencoder of its own decodes."""
        return False

    @classmethod
    def build(cls, spec: Spec, shape: tuple[int, int, int], classes: int) -> Self:
        """The model with the keywords of `spec`, for images of `shape` (C, H, W) with `classes` labels (0: unlabelled).

        Raises UserError for a key that the constructor does not take.
        """
        kind = cls.__name__.lower()
        return build({kind: cls}, {**spec, "kind": kind}, "model", shape=shape, classes=classes)

    def spec(self) -> Record:
        """The keywords that build this model, every default included."""
        keywords = spec_of({"model": type(self)}, self, without=FOUND)
        return {name: value for name, value in keywords.items() if name != "kind"}


@runtime_checkable
class CanSample(Protocol):
    """Draws images: float (N, C, H, W) in [-1, 1], image i from seed i alone."""

    def sample(
        self,
        seeds: Sequence[int] | None = None,
        cond: Conditions | None = None,
        sampler: Sampler | str | None = None,
        guidance: Guidance | float | None = None,
        *,
        n: int | None = None,
        steps: int | None = None,
        label: int | Sequence[int] | None = None,
    ) -> Tensor:
        """The images of these seeds. sampler, guidance: of models that draw in many steps."""
        ...

    def stream(
        self,
        seeds: Sequence[int],
        cond: Conditions | None = None,
        sampler: Sampler | None = None,
        guidance: Guidance | None = None,
    ) -> Iterator[Point]:
        """A Point after every step of `sample`; of a model that draws in one, one Point at t = 0."""
        ...

    def decode_point(self, x: Tensor) -> Tensor:
        """What the x of a point looks like: images (N, C, H, W) in [-1, 1]."""
        ...

    def prior(self, seeds: Sequence[int]) -> Tensor:
        """The noise or the latents that images are made from, row i from seed i alone."""
        ...


@runtime_checkable
class CanReconstruct(Protocol):
    """Images to latents and back."""

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor: ...


@runtime_checkable
class CanDenoise(Protocol):
    """A Denoiser of images or latents: what editing, tuning, likelihood bounds and inversion work with."""

    schedule: Schedule
    codec: Codec
    learned_variance: bool

    @property
    def device(self) -> torch.device: ...

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised: ...

    def guided(self, guidance: Guidance | None = None) -> Denoiser:
        """The denoiser that sampling uses."""
        ...

    def prior(self, seeds: Sequence[int]) -> Tensor:
        """x_T ~ p(x_T), row i from seed i alone."""
        ...


NEEDS: dict[type, str] = {
    CanSample: "a model that draws images: a vae, a gan or a diffusion model",
    CanReconstruct: "a model that encodes and decodes images: an autoencoder or a vae",
    CanDenoise: "a diffusion model",
}
"""What to train for each capability."""


def require(model: ImageModel, capability: type[Capability], purpose: str) -> Capability:
    """`model`, as one that has the capability.

    Args:
        model: any model.
        capability: CanSample, CanReconstruct or CanDenoise.
        purpose: what needs it, the subject of the error's sentence: 'tuning', 'unnoise edit inpaint'.

    Raises:
        NotApplicable: if the model does not have it.
    """
    if not isinstance(model, capability):
        raise NotApplicable(f"{purpose} needs {NEEDS[capability]}; this is {model.kind}")
    return model


def require_mean(model: ImageModel, purpose: str) -> CanDenoise:
    """`model`, as a denoiser whose x_0 is the mean E[x_0 | x_t] at every noise level.

    Raises:
        NotApplicable: for other models, and for students, who were taught where paths end, at a few levels.
    """
    denoising = require(model, CanDenoise, purpose)
    if model.jumps:
        raise NotApplicable(
            f"{purpose} needs the mean of the images at every noise level, and this student knows where paths end, "
            "from a few levels; use the run that it was made from"
        )
    return denoising


@runtime_checkable
class CanScore(Protocol):
    """Tells how probable images are."""

    def log_likelihood(self, image: Tensor, *, seed: int = ...) -> LogLikelihood: ...
