"""What every importer puts together: parts of a model, each a section of its configuration with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Record


class Part(NamedTuple):
    """spec: its section of a configuration; weights: by their names in the model's state dict."""

    spec: Record
    weights: dict[str, Tensor]


NOTHING = Part({}, {})


class Classes(NamedTuple):
    """The conditioner of a table of class embeddings, and the names of the classes."""

    part: Part
    names: tuple[str, ...]


def classes_of(table: Tensor, *, no_class: bool = False, names: Sequence[str] = ()) -> Classes:
    """A class conditioner with the rows of `table` (classes, width).

    Without an embedding for no class, their mean stands for it: training with dropped labels can improve on it.

    Args:
        table: one row per class, which joins the time embedding as it is.
        no_class: whether the last row is that of no class.
        names: of the classes, where they are known.
    """
    rows = table if no_class else torch.cat([table, table.mean(0, keepdim=True)])
    count = len(rows) - 1
    known = tuple(names) if len(names) == count else tuple(map(str, range(count)))
    return Classes(Part({"kind": "class", "dim": table.shape[1]}, {"conditioner.table.weight": rows}), known)
