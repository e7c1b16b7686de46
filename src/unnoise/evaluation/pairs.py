"""Which image belongs to which: by the names of their files, by position only where there are no names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from unnoise.data import Images
from unnoise.errors import UserError

NAMED = 5
"""Names at most that a message lists."""


def paired_rows(images: Images, originals: Images) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the images and of the originals that belong together.

    Images with names are paired by name, without the ending of the file; images that have no partner are named on
    standard error. Images of arrays, which have no names, are paired by position.

    Raises:
        UserError: where nothing matches, where a name occurs twice, and for unnamed sets of different sizes.
    """
    if not (images.names and originals.names):
        if len(images) != len(originals):
            raise UserError(
                f"images without names are paired by position: need one original for each image, got {len(images)} and "
                f"{len(originals)}"
            )
        return np.arange(len(images)), np.arange(len(images))
    rows, others = _by_name(images), _by_name(originals)
    common = [name for name in rows if name in others]
    if not common:
        raise UserError(
            f"no image of {images.source} has the name of an original in {originals.source}: "
            f"{_some(list(rows))} against {_some(list(others))}"
        )
    for source, names in ((images.source, rows), (originals.source, others)):
        alone = [name for name in names if name not in rows or name not in others]
        if alone:
            print(f"{source}: {len(alone)} images without a partner are left out: {_some(alone)}", file=sys.stderr)
    return np.array([rows[name] for name in common]), np.array([others[name] for name in common])


def _by_name(images: Images) -> dict[str, int]:
    names = [str(PurePosixPath(name).with_suffix("")) for name in images.names]
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{images.source} has two images called {twice!r}: pairs by name need different names")
    return rows


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
