"""A tree of image files: its splits, classes, captions and masks.

Folders on the way to all images are no classes. Below them, `train` beside `test` (or `val`) are splits; every other
first-level folder is a class. `metadata.jsonl` goes before the folders, and gives captions too. `name.mask.png` is
the segmentation map of the image `name.*` beside it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unnoise.data.labels import class_table
from unnoise.data.metadata import Metadata, read_metadata
from unnoise.data.tree import Broken, Place, Tree
from unnoise.errors import NoSplit, UserError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
MASK = ".mask.png"
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")


@dataclass(frozen=True)
class Listing:
    """The image files of one split, in order of name, not decoded yet; `masks` has None where an image has none."""

    names: tuple[str, ...]
    places: tuple[Place, ...]
    masks: tuple[Place | None, ...]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    captions: tuple[str, ...] | None = None
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()

    def take(self, rows: Sequence[int] | np.ndarray) -> Listing:
        """The files at `rows`."""
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            places=tuple(self.places[row] for row in rows),
            masks=tuple(self.masks[row] for row in rows),
            labels=None if self.labels is None else self.labels[np.asarray(rows, np.int64)],
            captions=None if self.captions is None else tuple(self.captions[row] for row in rows),
        )

    def without(self, reasons: dict[int, str]) -> Listing:
        """The files without those at the keys of `reasons`, which join `broken`."""
        lost = tuple(Broken(self.names[row], reason) for row, reason in sorted(reasons.items()))
        kept = self.take([row for row in range(len(self.names)) if row not in reasons])
        return replace(kept, broken=self.broken + lost)


def is_image_tree(tree: Tree) -> bool:
    """Whether image files, by their extension, are among the files."""
    return any(_is_image(name) for name in tree.places)


def list_images(tree: Tree, split: str) -> Listing:
    """The images of a split with what is known about them; raises UserError when there are none."""
    names = sorted(name for name in tree.places if _is_image(name))
    if not names:
        raise UserError(f"{tree.root} holds no images; looked for {', '.join(EXTENSIONS)}")
    base = _common_folder(names)
    prefixes = _split_prefixes(names, base)
    if split == "test" and not prefixes:
        raise NoSplit(f"{tree.root} has no split of its own, so no 'test'; open it with split='train'")
    roots = sorted({_first_folder(name, base) for name in names}) if prefixes else [base]
    metadata = read_metadata(tree)
    values, note = _values(names, roots, metadata)
    prefix = prefixes.get(split, base)
    listing = _with_labels(tree, names, values, metadata, note)
    kept = listing.take([row for row, name in enumerate(names) if name.startswith(prefix)])
    elsewhere = tuple(root for root in roots if root != prefix)
    broken = [item for item in (*tree.broken, *metadata.broken) if not item.name.startswith(elsewhere)]
    captions = kept.captions if any(kept.captions or ()) else None
    return _checked(replace(kept, broken=(*broken, *_lone_masks(tree, prefix)), captions=captions))


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not name.lower().endswith(MASK)


def _common_folder(names: Sequence[str]) -> str:
    common = posixpath.commonpath([posixpath.dirname(name) for name in names])
    return common + "/" if common else ""


def _split_prefixes(names: Sequence[str], base: str) -> dict[str, str]:
    """Split -> the folder that holds it, when the folders are train and test, or train and val; otherwise nothing."""
    folders = {name[len(base) :].partition("/")[0].lower(): name for name in names if "/" in name[len(base) :]}
    train = [folder for folder in TRAIN_NAMES if folder in folders]
    test = [folder for folder in TEST_NAMES if folder in folders]
    others = set(folders) - {*TRAIN_NAMES, *TEST_NAMES}
    if not train or not test or others or any("/" not in name[len(base) :] for name in names):
        return {}
    return {split: _first_folder(folders[part[0]], base) for split, part in (("train", train), ("test", test))}


def _first_folder(name: str, base: str) -> str:
    return base + name[len(base) :].partition("/")[0] + "/"


def _values(names: Sequence[str], roots: Sequence[str], metadata: Metadata) -> tuple[list[str | int | None], str]:
    """What each image is called by its metadata, or else by its folder; None where nothing says."""
    if metadata.labels:
        return [metadata.labels.get(name) for name in names], ""
    folders = [_class_folder(name, roots) for name in names]
    lone = [name for name, folder in zip(names, folders, strict=True) if folder is None]
    if not lone:
        return list(folders), ""
    if len(lone) < len(names):
        note = f"{len(lone)} images (such as {lone[0]}) lie beside the sub-folders, so these are not taken as classes"
        return [None] * len(names), note
    return [None] * len(names), ""


def _class_folder(name: str, roots: Sequence[str]) -> str | None:
    root = next(root for root in roots if name.startswith(root))
    folder, slash, _ = name[len(root) :].partition("/")
    return folder if slash else None


def _with_labels(
    tree: Tree, names: Sequence[str], values: Sequence[str | int | None], metadata: Metadata, note: str
) -> Listing:
    """Labels are numbered over all splits together, so that a number means one class in each of them; -1 is none."""
    known = [value for value in values if value is not None]
    labels, classes = None, ()
    if known:
        numbers, classes = class_table(known)
        labels = np.full(len(names), -1, np.int64)
        labels[[row for row, value in enumerate(values) if value is not None]] = numbers
    return Listing(
        names=tuple(names),
        places=tuple(tree.places[name] for name in names),
        masks=tuple(tree.places.get(posixpath.splitext(name)[0] + MASK) for name in names),
        labels=labels,
        classes=classes,
        captions=tuple(metadata.captions.get(name, "") for name in names),
        notes=(note,) if note else (),
    )


def _checked(listing: Listing) -> Listing:
    """Leaves out images that lack a label or a mask where others have one."""
    reasons: dict[int, str] = {}
    if listing.labels is not None:
        reasons |= {int(row): "no label" for row in np.flatnonzero(listing.labels < 0)}
    if any(listing.masks):
        reasons |= {row: "no mask beside it" for row, mask in enumerate(listing.masks) if mask is None}
    return listing.without(reasons) if reasons else listing


def _lone_masks(tree: Tree, prefix: str) -> list[Broken]:
    stems = {posixpath.splitext(name)[0] for name in tree.places if _is_image(name)}
    masks = [name for name in tree.places if name.endswith(MASK) and name.startswith(prefix)]
    return [Broken(mask, "a mask without an image") for mask in masks if mask[: -len(MASK)] not in stems]
