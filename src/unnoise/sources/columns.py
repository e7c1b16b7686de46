"""Values of images in columns, with None where an image has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unnoise.aliases import Value
from unnoise.data.fields import FIELDS, Field, Values


def lost_rows(columns: Mapping[str, Sequence[Any]]) -> dict[int, str]:
    """The images that lack what others have, and why they are left out; columns: by field."""
    lost: dict[int, str] = {}
    for name, column in columns.items():
        if FIELDS[name].missing is None:
            lost |= {row: f"no {FIELDS[name].condition}" for row, value in enumerate(column) if value is None}
    return lost


def stored(field: Field, values: Sequence[Value]) -> Values:
    """The values as they are stored. Images that are lost get any value: they are left out afterwards."""
    any_value = next(value for value in values if value is not None)
    blank = any_value if field.missing is None else field.missing
    given = [blank if value is None else value for value in values]
    return field.stacked([np.asarray(value, field.dtype) if isinstance(value, list) else value for value in given])
