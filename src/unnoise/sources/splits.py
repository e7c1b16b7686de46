"""Which folders of a tree are its splits, and what stands beside them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unnoise.errors import DamagedSource, NoSplit
from unnoise.io.tree import Tree

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")
NAMED = 3


@dataclass(frozen=True)
class Splits:
    """base: the folder that holds all images. prefixes: split -> its folder, where there are splits. notes: what stands
    beside them and is left out."""

    base: str
    prefixes: dict[str, str]
    notes: tuple[str, ...] = ()

    def roots(self) -> list[str]:
        """The folders below which class folders lie."""
        return sorted(self.prefixes.values()) or [self.base]


def find_splits(tree: Tree, names: Sequence[str]) -> Splits:
    """`train` beside `test` (or `val`) are splits, whatever else lies there; names: of the images."""
    base = _common_folder(names)
    folders = _folders(names, base)
    train, test = (_first(folders, allowed) for allowed in (TRAIN_NAMES, TEST_NAMES))
    if train is None or test is None:
        return Splits(base, {})
    prefixes = {"train": train, "test": test}
    beside = [name for name in names if not name.startswith((train, test))]
    return Splits(base, prefixes, _notes(beside, base, train, test))


def prefix_of(tree: Tree, splits: Splits, split: str) -> str:
    """The folder of a split.

    Raises:
        NoSplit: where the source has no splits and 'test' is asked for.
        DamagedSource: where the folder of the split is there and no file in it is a picture.
    """
    if split in splits.prefixes or split == "train":
        return splits.prefixes.get(split, splits.base)
    empty = _empty_test(tree, splits.base)
    if empty:
        raise DamagedSource(f"{tree.root} has a folder {empty}, and nothing in it is a picture that can be read")
    raise NoSplit(f"{tree.root} has no split of its own, so no 'test'; open it with split='train'")


def _empty_test(tree: Tree, base: str) -> str | None:
    """The test folder beside a lone train folder, where it holds files and no images."""
    parent, last = posixpath.split(base.rstrip("/"))
    if last.lower() not in TRAIN_NAMES:
        return None
    return _first(_folders(list(tree.files), parent + "/" if parent else ""), TEST_NAMES)


def _folders(names: Sequence[str], base: str) -> dict[str, str]:
    """Lower-case name of each folder directly below base -> its prefix."""
    inside = [f"{folder}/"[len(base) :] for folder in folders_of(names) if f"{folder}/".startswith(base)]
    firsts = {name.partition("/")[0] for name in inside} - {""}
    return {first.lower(): f"{base}{first}/" for first in sorted(firsts)}


def _first(folders: dict[str, str], allowed: Sequence[str]) -> str | None:
    return next((folders[name] for name in allowed if name in folders), None)


def _notes(beside: Sequence[str], base: str, train: str, test: str) -> tuple[str, ...]:
    if not beside:
        return ()
    parts = sorted({_top(name, base) for name in beside})
    more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    return (
        f"{train} and {test} are its splits; {len(beside)} images beside them are left out "
        f"({', '.join(parts[:NAMED])}{more})",
    )


def _top(name: str, base: str) -> str:
    first, slash, _ = name[len(base) :].partition("/")
    return first + slash


def _common_folder(names: Sequence[str]) -> str:
    common = posixpath.commonpath(folders_of(names))
    return common + "/" if common else ""


def folders_of(names: Iterable[str]) -> set[str]:
    """The folders that files lie in, '' for the uppermost."""
    return {name.rpartition("/")[0] for name in names}
