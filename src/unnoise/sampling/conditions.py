"""What the user asks for, as the conditions of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unnoise.data.batch import from_uint8
from unnoise.errors import UserError
from unnoise.models import ImageModel
from unnoise.registry import lookup


@dataclass(frozen=True)
class SampleConditions:
    """What to draw. label: a class by name or number; prompt: a text; map: a PNG of class numbers, one per pixel;
    image: a picture of low resolution. None where nothing is asked."""

    label: str | None = None
    prompt: str | None = None
    map: Path | None = None
    image: Path | None = None

    def for_model(
        self, model: ImageModel, classes: Sequence[str], classifier_guided: bool = False
    ) -> dict[str, Any] | None:
        """One row of each condition asked for, on the model's device; None where nothing is.

        classifier_guided: whether a classifier guides, which takes labels whatever the model takes.
        Raises UserError for a condition that the model does not take, an unknown class and a file that is no image.
        """
        asked = {
            "label": None if self.label is None else _label(self.label, classes),
            "caption": None if self.prompt is None else [self.prompt],
            "map": None if self.map is None else torch.from_numpy(_pixels(self.map, "L"))[None].long(),
            "image": None if self.image is None else _image(self.image, model.shape[0]),
        }
        given = {name: value for name, value in asked.items() if value is not None}
        known = (*taken_by(model), *(("label",) if classifier_guided else ()))
        for name in given:
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it was trained without conditions"
                raise UserError(f"this run takes no {name}: {takes}; conditions are chosen with model.conditioner")
        return {name: _to(value, model.device) for name, value in given.items()} or None


def rows_of(cond: Mapping[str, Any] | None, start: int, count: int) -> dict[str, Any] | None:
    """`count` rows of every condition from `start` on; a single row is repeated."""
    return None if cond is None else {name: _rows(value, start, count) for name, value in cond.items()}


def _rows(value: Any, start: int, count: int) -> Any:
    if len(value) == 1:
        return value.expand(count, *value.shape[1:]) if isinstance(value, Tensor) else list(value) * count
    return value[start : start + count]


def taken_by(model: ImageModel | None) -> tuple[str, ...]:
    """The names of the conditions that a model takes."""
    return () if model is None else model.condition_names


def _label(label: str, classes: Sequence[str]) -> Tensor:
    """Its number: names win over numbers, so that the class '3' is the one called so."""
    numbers = {str(index): index for index in range(len(classes))}
    return torch.tensor([lookup({**numbers, **{name: i for i, name in enumerate(classes)}}, label, "class")])


def _image(file: Path, channels: int) -> Tensor:
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    pixels = np.atleast_3d(_pixels(file, modes[channels]))
    return from_uint8(torch.from_numpy(pixels.transpose(2, 0, 1).copy()))[None]


def _pixels(file: Path, mode: str) -> np.ndarray:
    """uint8 (H, W) or (H, W, C). A palette picture of class numbers keeps its numbers."""
    try:
        with Image.open(file) as picture:
            kept = picture.mode == "P" and mode == "L"
            return np.array(picture if kept else picture.convert(mode))
    except OSError as error:
        raise UserError(f"cannot read the image {file}: {error}") from None


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
