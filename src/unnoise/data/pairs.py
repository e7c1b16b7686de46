"""Two sets of files whose images belong together by name."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unnoise.data.images import Images
from unnoise.errors import UserError
from unnoise.progress import notice

NAMED = 3


@dataclass(frozen=True)
class Pairs:
    """Rows of two sets that belong together, in order of name, and the names that have no partner."""

    first: np.ndarray
    second: np.ndarray
    without_partner: tuple[str, ...] = ()

    def note(self) -> str:
        """What was left out, or ''."""
        if not self.without_partner:
            return ""
        more = f" and {len(self.without_partner) - NAMED} more" if len(self.without_partner) > NAMED else ""
        return f"left out, for want of a partner: {', '.join(self.without_partner[:NAMED])}{more}"


def paired_rows(first: Images, second: Images) -> tuple[np.ndarray, np.ndarray]:
    """The rows of two sets that belong together: by the names of their files, and what has no partner is said; by
    position where a set, such as an array, has no names.

    Raises:
        UserError: as `pair_by_name`, and for unnamed sets of different sizes.
    """
    if first.names and second.names:
        pairs = pair_by_name(first.names, second.names)
        if pairs.without_partner:
            notice(f"{first.source} and {second.source}: {pairs.note()}")
        return pairs.first, pairs.second
    if len(first) != len(second):
        raise UserError(
            f"images without names are paired by position: one partner for each is needed, got {len(first)} and "
            f"{len(second)}"
        )
    rows = np.arange(len(first))
    return rows, rows


def pair_by_name(first: Sequence[str], second: Sequence[str]) -> Pairs:
    """The pairs of two lists of file names.

    Names pair without their ending, so that 1.jpg belongs to 1.png: by the whole relative path where one matches,
    otherwise by the last part of it.

    Args:
        first: `Images.names` of one set.
        second: of the other.

    Raises:
        UserError: where nothing matches, a set has no names, or one name stands for several files of a set.
    """
    if not first or not second:
        raise UserError("pairs are found by the names of files, and one of the two sets has none")
    by_path = [_rows(names, whole=True) for names in (first, second)]
    rows = by_path if set(by_path[0]) & set(by_path[1]) else [_rows(names, whole=False) for names in (first, second)]
    common = sorted(set(rows[0]) & set(rows[1]))
    if not common:
        raise UserError(f"no two files are called alike: {first[0]}, ... and {second[0]}, ...; rename one of the sets")
    alone = sorted(set(rows[0]) ^ set(rows[1]))
    one, other = (np.array([side[name] for name in common], np.int64) for side in rows)
    return Pairs(one, other, tuple(alone))


def _rows(names: Sequence[str], whole: bool) -> dict[str, int]:
    stems = [posixpath.splitext(name if whole else posixpath.basename(name))[0] for name in names]
    rows: dict[str, int] = {}
    for row, stem in enumerate(stems):
        if stem in rows:
            raise UserError(f"{names[rows[stem]]} and {names[row]} are both called {stem}: rename one")
        rows[stem] = row
    return rows
