"""What the user asks a conditional run to draw. `SampleConditions` is also the option group of the command line, so
nothing here imports torch or numpy before a condition is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.aliases import Conditions, Record
from unnoise.errors import UserError
from unnoise.progress import notice
from unnoise.registry import lookup

if TYPE_CHECKING:
    import numpy as np
    import torch

    from unnoise.models import ImageModel


@dataclass(frozen=True)
class SampleConditions:
    """What to draw, of a conditional run; None where nothing is asked.

    Args:
        label: A class, by name or number, of a class-conditional run.
        prompt: A text, of a run trained on captions.
        map: A picture whose pixels are class numbers, of a run trained on segmentation maps.
        image: A picture of low resolution, of a run trained to enlarge.
        vector: An .npy with one row of numbers for all images, or a row for each, of a run trained on vectors.
    """

    label: str | None = None
    prompt: str | None = None
    map: Path | None = None
    image: Path | None = None
    vector: Path | None = None

    def for_model(self, model: ImageModel, classes: Sequence[str], classifier_guided: bool = False) -> Record | None:
        """The conditions asked for, one row for all images or a row for each, on the model's device.

        Args:
            model: what they are for.
            classes: the names of its classes.
            classifier_guided: whether a classifier guides, which takes labels whatever the model takes.

        Returns:
            Condition -> rows; None where nothing is asked for.

        Raises:
            UserError: for a condition that the model does not take, an unknown class, and a file that cannot be read.
        """
        known = (*taken_by(model), *(("label",) if classifier_guided else ()))
        asked = {option: getattr(self, option.name) for option in OPTIONS}
        given = {option: value for option, value in asked.items() if value is not None}
        for option in given:
            if option.condition not in known:
                takes = f"it takes {', '.join(known)}" if known else "it was trained without conditions"
                raise UserError(
                    f"this run takes no {option.condition}: {takes}; conditions are chosen with model.conditioner"
                )
        made = {option.condition: option.read(value, model, classes) for option, value in given.items()}
        for note in model.condition_notes(made):
            notice(note)
        return {name: _to(value, model.device) for name, value in made.items()} or None

    def among(self, names: Collection[str]) -> SampleConditions:
        """Those of the conditions that are among `names`."""
        return replace(self, **{option.name: None for option in OPTIONS if option.condition not in names})

    def files(self) -> list[Path]:
        """The files that are read for them."""
        given = (getattr(self, option.name) for option in OPTIONS)
        return [value for value in given if isinstance(value, Path)]

    def text(self) -> str:
        """For names of files: 'label3', '' where nothing is asked."""
        given = [(option.name, getattr(self, option.name)) for option in OPTIONS]
        return "-".join(f"{name}-{_word(value)}" for name, value in given if value is not None)


def _word(value: str | Path) -> str:
    """Letters, digits and hyphens of a text, or of a file's name, for the name of another file."""
    text = value.stem if isinstance(value, Path) else value
    return re.sub(r"[^\w]+", "-", text).strip("-")[:40] or "x"


def rows_of(cond: Conditions | None, start: int, count: int) -> Record | None:
    """`count` rows of every condition from `start` on; a single row is repeated.

    Raises:
        UserError: for a condition with more than one row and fewer than are asked for.
    """
    return None if cond is None else {name: _rows(name, value, start, count) for name, value in cond.items()}


def _rows(name: str, value: Any, start: int, count: int) -> Any:
    if len(value) == 1:
        return list(value) * count if isinstance(value, list) else value.expand(count, *value.shape[1:])
    if len(value) < start + count:
        raise UserError(f"the {name} has {len(value)} rows, and image {start + count} has none; give one row for all")
    return value[start : start + count]


def taken_by(model: ImageModel | None) -> tuple[str, ...]:
    """The names of the conditions that a model takes."""
    return () if model is None else model.condition_names


def _label(label: str, model: ImageModel, classes: Sequence[str]) -> np.ndarray:
    """Its number: names win over numbers, so that the class '3' is the one called so."""
    import numpy as np

    numbers = {str(index): index for index in range(len(classes))}
    return np.array([lookup({**numbers, **{name: i for i, name in enumerate(classes)}}, label, "class")])


def _prompt(prompt: str, model: ImageModel, classes: Sequence[str]) -> list[str]:
    return [prompt]


def _map(file: Path, model: ImageModel, classes: Sequence[str]) -> np.ndarray:
    """(1, H, W) int64, brought to the model's size; a palette picture of class numbers keeps its numbers."""
    import numpy as np

    from unnoise.data.fields import Maps
    from unnoise.io.picture_reader import read_picture

    height, width = model.shape[1:]
    picture = read_picture(file, None)
    if picture.mode not in ("1", "L", "P"):
        raise UserError(f"{file} has mode {picture.mode}; a map is a grey or palette picture of class numbers")
    return Maps().from_picture(picture, height, width)[None].astype(np.int64)


def _image(file: Path, model: ImageModel, classes: Sequence[str]) -> np.ndarray:
    """(1, C, h, w) float32 in [-1, 1]."""
    import numpy as np

    from unnoise.io.picture_reader import read_picture

    pixels = np.array(read_picture(file, model.shape[0], model.pictures))
    pixels = pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)[None]
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def _vector(file: Path, model: ImageModel, classes: Sequence[str]) -> np.ndarray:
    """(1 or N, features) float32."""
    import numpy as np

    from unnoise.data.fields import Vectors, read_array
    from unnoise.io.tree import DiskFile

    try:
        with DiskFile(str(file)).open() as stream:
            rows = np.atleast_2d(read_array(stream.read()))
    except (OSError, UserError) as error:
        raise UserError(f"cannot read the vector {file}: {error}") from None
    return Vectors().from_array(rows, str(file), (0, 0))


@dataclass(frozen=True)
class ConditionOption:
    """How a user asks for a condition.

    Args:
        name: the field of `SampleConditions`, and so the option of the command line.
        condition: the key in a batch's conditions.
        read: (what the user gave, the model, the names of its classes) -> rows.
    """

    name: str
    condition: str
    read: Callable[[Any, ImageModel, Sequence[str]], np.ndarray | list[str]]


OPTIONS = (
    ConditionOption("label", "label", _label),
    ConditionOption("prompt", "caption", _prompt),
    ConditionOption("map", "map", _map),
    ConditionOption("image", "image", _image),
    ConditionOption("vector", "vector", _vector),
)
assert [option.name for option in OPTIONS] == [field.name for field in fields(SampleConditions)]


def _to(value: np.ndarray | list[str], device: torch.device) -> Any:
    import torch

    return value if isinstance(value, list) else torch.from_numpy(value).to(device)
