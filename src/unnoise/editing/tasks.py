"""The tasks of `unnoise edit` that draw: each from picture files to (before, after)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.editing.edit import Edit, Edited, Editor
from unnoise.editing.image_files import FittedPicture, read_at_own_size, read_image
from unnoise.editing.margins import margins
from unnoise.editing.residual import Residual, unexplained
from unnoise.errors import UserError
from unnoise.inverse import Blur, Downsampling, Grey, Inpainting, Operator, repaint, restore, vary
from unnoise.progress import notice

NOISE = 0.01
"""The standard deviation of the noise that pictures in [-1, 1] are taken to have. Rounding to 256 levels gives 0.0023;
with as little, the solves of MMPS amplify what the network gets wrong."""

NOTED = 0.05
"""From which estimate of the noise of a blurred picture on a line says so."""

JUMPS = 4
"""Calls in which a model that jumps to the ends of paths inpaints."""

REPEATS = 5
"""How often RePaint draws every stretch of steps."""


@dataclass(frozen=True, kw_only=True)
class Restoring(Edit):
    """A task that is solved as an inverse problem. method: of `unnoise.inverse.restore`."""

    method: str | None = None

    def restored(
        self, editor: Editor, before: Tensor, operator: Operator, observation: Tensor, noise: float = NOISE
    ) -> Edited:
        """Images that explain what was seen, (1, *), beside what is shown of that."""
        shared = editor.options(operator.forward, observation)
        options = {"method": self.method, "noise": noise, "sampler": self.solver(), **shared}
        after = restore(editor.denoiser, operator, observation, **options)
        return Edited(before, after, Residual.of(after, operator, observation, noise, editor.codec))

    def filled(self, editor: Editor, given: Tensor, known: Tensor) -> Edited:
        """Pixels (1, C, H, W) as they were given where known, (H, W) bool, to the bit; the others drawn."""
        before, operator = torch.where(known, given, 1.0), Inpainting(known)
        edited = self.restored(editor, before, operator, operator.forward(given))
        return edited._replace(after=torch.where(known, given, edited.after))


@dataclass(frozen=True, kw_only=True)
class Inpaint(Restoring):
    """The pixels that the mask marks (white ones; see `io.masks`) are drawn anew, the others are kept.

    method: of `restore`, as below, or 'repaint', which is all that a model that jumps to the ends of paths can do.
    """

    name: ClassVar[str] = "inpaint"
    by_jumps: ClassVar[bool] = True

    mask: Path

    @property
    def calls(self) -> int:
        return self.solver().steps * (REPEATS if self.method == "repaint" else 1)

    def apply(self, editor: Editor) -> Edited:
        fitted = FittedPicture.read(self.image, editor.model, self.fit)
        given, known = fitted.tensor(editor.model.device), fitted.known(self.mask, editor.model.device)
        jumps = editor.model.jumps
        if jumps and self.method not in (None, "repaint"):
            raise UserError(f"a student inpaints by repaint alone, and was asked for {self.method}; leave out --method")
        if self.method != "repaint" and not jumps:
            return self.filled(editor, given, known)
        if self.sampler is not None:
            raise UserError("repaint is a sampler of its own: leave out --sampler, or choose another method")
        steps = JUMPS if jumps and self.steps is None else self.solver().steps
        operator = Inpainting(known)
        shared = editor.options(operator.forward, operator.forward(given))
        options = {"steps": steps, "repeats": REPEATS, "jumps": jumps, "start": editor.start, **shared}
        return Edited(torch.where(known, given, 1.0), repaint(editor.denoiser, given, known, **options))


@dataclass(frozen=True, kw_only=True)
class Outpaint(Restoring):
    """A smaller picture, and all around it drawn. at: 'X,Y' of its left top corner; or anchor: a name in `ANCHORS`."""

    name: ClassVar[str] = "outpaint"
    fits: ClassVar[bool] = False

    at: str | None = None
    anchor: str | None = None

    def apply(self, editor: Editor) -> Edited:
        given = read_at_own_size(self.image, editor.model)
        room = margins(given.shape[-2:], editor.model.shape[1:], self.at, self.anchor, str(self.image))
        known = F.pad(torch.ones_like(given[0, 0], dtype=torch.bool), room)
        return self.filled(editor, F.pad(given, room), known)


@dataclass(frozen=True, kw_only=True)
class Upscale(Restoring):
    """The picture at a `factor`-th of the model's size, or one of the model's size that is shrunk first."""

    name: ClassVar[str] = "upscale"
    fits: ClassVar[bool] = False

    factor: int = 4

    def apply(self, editor: Editor) -> Edited:
        shrink = Downsampling(self.factor)
        small = shrink.forward(read_image(self.image, editor.model, self.factor, fit=self.fit))
        return self.restored(editor, F.interpolate(small, scale_factor=self.factor), shrink, small)


@dataclass(frozen=True, kw_only=True)
class Colourise(Restoring):
    """Colours for a grey picture; of one with colours only the luma is taken."""

    name: ClassVar[str] = "colourise"

    def apply(self, editor: Editor) -> Edited:
        channels = editor.model.shape[0]
        if channels != 3:
            raise UserError(f"colourising needs a run of RGB images, and this one has {channels} channel(s)")
        grey = read_image(self.image, editor.model, channels=1, fit=self.fit)
        return self.restored(editor, grey.expand(-1, 3, -1, -1), Grey(), grey)


@dataclass(frozen=True, kw_only=True)
class Deblur(Restoring):
    """A picture that a Gaussian of `std` pixels has blurred.

    noise: its standard deviation on the scale [-1, 1]; by default estimated as what no image explains (`unexplained`).
    With less, detail that such a blur cannot have left is amplified until pictures are black and white.
    """

    name: ClassVar[str] = "deblur"
    advice: ClassVar[str] = "it does not look like a picture blurred by --std; try a smaller one, or more --noise"

    std: float
    noise: float | None = None

    def apply(self, editor: Editor) -> Edited:
        blurred = read_image(self.image, editor.model, fit=self.fit)
        operator = Blur(self.std)
        noise = self._estimated(operator, blurred) if self.noise is None else self.noise
        return self.restored(editor, blurred, operator, blurred, noise)

    def _estimated(self, operator: Operator, blurred: Tensor) -> float:
        noise = max(NOISE, unexplained(operator, blurred))
        if noise > NOTED:
            notice(
                f"{self.image} has detail that a blur of {self.std:g} pixels cannot have left; its noise is taken as "
                f"{noise:.2f} (--noise); try a smaller --std"
            )
        return noise


@dataclass(frozen=True, kw_only=True)
class Vary(Edit):
    """Versions of a picture, further from it the greater the strength in [0, 1]."""

    name: ClassVar[str] = "vary"
    usual: ClassVar[dict[str, Any]] = {"kind": "ddim", "steps": 50, "eta": 0.0}

    strength: float = 0.5

    @property
    def calls(self) -> int:
        return round(self.strength * self.solver().steps)

    def apply(self, editor: Editor) -> Edited:
        given = read_image(self.image, editor.model, fit=self.fit)
        options = {"sampler": self.solver(), **editor.options(lambda image: image, given)}
        return Edited(given, vary(editor.sampling, given, self.strength, **options))
