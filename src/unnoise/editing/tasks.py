"""The tasks of `unnoise edit` that draw: each from picture files to (before, after)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.editing.edit import Edit, Editor
from unnoise.editing.image_files import FittedPicture, read_at_own_size, read_image
from unnoise.editing.margins import margins
from unnoise.errors import UserError
from unnoise.guidance.clipping import Clipped
from unnoise.inverse import Downsampling, colourise, deblur, inpaint, outpaint, repaint, upscale, vary
from unnoise.samplers import DDIM

NOISE = 0.01
"""The standard deviation of the noise that pictures in [-1, 1] are taken to have. Rounding to 256 levels gives 0.0023;
with as little, the solves of MMPS amplify what the network gets wrong."""

REPEATS = 5
"""How often RePaint draws every stretch of steps."""


@dataclass(frozen=True, kw_only=True)
class Inpaint(Edit):
    """The pixels that the mask marks (white ones; see `data.files.masks`) are drawn anew, the others are kept.

    method: of `restore`, as below, or 'repaint'.
    """

    name: ClassVar[str] = "inpaint"

    mask: Path
    method: str | None = None

    @property
    def calls(self) -> int:
        return self.steps * (REPEATS if self.method == "repaint" else 1)

    def apply(self, editor: Editor) -> tuple[Tensor, Tensor]:
        fitted = FittedPicture.read(self.image, editor.model, self.fit)
        given, known = fitted.tensor(editor.model.device), fitted.known(self.mask, editor.model.device)
        before = torch.where(known, given, 1.0)
        if self.method == "repaint":
            options = {"steps": self.steps, "repeats": REPEATS, **editor.drawing()}
            return before, repaint(editor.denoiser, given, known, **options)
        options = editor.restoring(self.method, self.steps)
        return before, inpaint(editor.denoiser, given, known, noise=NOISE, **options)


@dataclass(frozen=True, kw_only=True)
class Outpaint(Edit):
    """A smaller picture, and all around it drawn. at: 'X,Y' of its left top corner; or anchor: a name in `ANCHORS`."""

    name: ClassVar[str] = "outpaint"
    fits: ClassVar[bool] = False

    at: str | None = None
    anchor: str | None = None
    method: str | None = None

    def apply(self, editor: Editor) -> tuple[Tensor, Tensor]:
        given = read_at_own_size(self.image, editor.model)
        room = margins(given.shape[-2:], editor.model.shape[1:], self.at, self.anchor, str(self.image))
        options = editor.restoring(self.method, self.steps)
        return F.pad(given, room, value=1.0), outpaint(editor.denoiser, given, room, noise=NOISE, **options)


@dataclass(frozen=True, kw_only=True)
class Upscale(Edit):
    """The picture at a `factor`-th of the model's size, or one of the model's size that is shrunk first."""

    name: ClassVar[str] = "upscale"
    fits: ClassVar[bool] = False

    factor: int = 4
    method: str | None = None

    def apply(self, editor: Editor) -> tuple[Tensor, Tensor]:
        small = Downsampling(self.factor).forward(read_image(self.image, editor.model, self.factor, fit=self.fit))
        options = editor.restoring(self.method, self.steps)
        after = upscale(editor.denoiser, small, self.factor, noise=NOISE, **options)
        return F.interpolate(small, scale_factor=self.factor), after


@dataclass(frozen=True, kw_only=True)
class Colourise(Edit):
    """Colours for a grey picture; of one with colours only the luma is taken."""

    name: ClassVar[str] = "colourise"

    method: str | None = None

    def apply(self, editor: Editor) -> tuple[Tensor, Tensor]:
        channels = editor.model.shape[0]
        if channels != 3:
            raise UserError(f"colourising needs a run of RGB images, and this one has {channels} channel(s)")
        grey = read_image(self.image, editor.model, channels=1, fit=self.fit)
        options = editor.restoring(self.method, self.steps)
        return grey.expand(-1, 3, -1, -1), colourise(editor.denoiser, grey, noise=NOISE, **options)


@dataclass(frozen=True, kw_only=True)
class Deblur(Edit):
    """A picture that a Gaussian of `std` pixels has blurred; noise: its standard deviation on the scale [-1, 1]."""

    name: ClassVar[str] = "deblur"

    std: float
    noise: float = NOISE
    method: str | None = None

    def apply(self, editor: Editor) -> tuple[Tensor, Tensor]:
        blurred = read_image(self.image, editor.model, fit=self.fit)
        options = editor.restoring(self.method, self.steps)
        return blurred, deblur(editor.denoiser, blurred, self.std, noise=self.noise, **options)


@dataclass(frozen=True, kw_only=True)
class Vary(Edit):
    """Versions of a picture, further from it the greater the strength in [0, 1]."""

    name: ClassVar[str] = "vary"

    strength: float = 0.5

    @property
    def calls(self) -> int:
        return round(self.strength * self.steps)

    def apply(self, editor: Editor) -> tuple[Tensor, Tensor]:
        given = read_image(self.image, editor.model, fit=self.fit)
        denoiser = Clipped(editor.denoiser) if editor.model.clip else editor.denoiser
        options = {"sampler": DDIM(steps=self.steps), **editor.drawing()}
        return given, vary(denoiser, given, self.strength, **options)
