"""A tree of image files: its splits, classes, and what lies beside the images.

Folders on the way to all images are no classes. Below them, `train` beside `test` (or `val`) are splits; every other
first-level folder is a class. Metadata files go before the folders and before files beside the images.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from unnoise.aliases import Record, Value
from unnoise.data.fields import FIELDS, Field, Values, read_array
from unnoise.data.listing import Listing, Named
from unnoise.errors import UserError
from unnoise.io.tree import Broken, FileRef, Tree
from unnoise.sources.formats import EXTENSIONS, UNREADABLE, is_image
from unnoise.sources.labels import class_table
from unnoise.sources.metadata import Metadata, read_metadata
from unnoise.sources.splits import Splits, find_splits, folders_of, prefix_of

LABELS = "labels"


def list_images(tree: Tree, split: str) -> Listing:
    """The images of a split with what is known about them; raises UserError when there are none."""
    names = sorted(name for name in tree.files if is_image(name, tree))
    if not names:
        raise UserError(f"{tree.root} holds no images; looked for {', '.join(EXTENSIONS)}{_others(tree)}")
    splits = find_splits(tree, names)
    prefix = prefix_of(tree, splits, split)
    metadata = read_metadata(tree)
    in_splits = [name for name in names if name.startswith(tuple(splits.roots()))]
    labels, note = _labels(in_splits, splits, metadata)
    number, classes = _numbered(labels)
    chosen = [name for name in in_splits if name.startswith(prefix)]
    found = {name: values for name, values in _found(tree, chosen, prefix, metadata).items() if values}
    if classes:
        found[LABELS] = {name: number[name] for name in chosen if name in number}
    notes = (*tree.notes, *splits.notes, *((note,) if note else ()))
    listing = _listing(tree, chosen, found, classes, notes)
    elsewhere = tuple(root for root in splits.roots() if root != prefix)
    broken = [
        item
        for item in (*tree.broken, *metadata.broken, *_unreadable(tree), *_lone(tree, names, prefix))
        if not item.name.startswith(elsewhere)
    ]
    return Listing(**{**vars(listing), "broken": (*broken, *listing.broken)})


def _labels(names: Sequence[str], splits: Splits, metadata: Metadata) -> tuple[dict[str, str | int], str]:
    """What each image is called by its metadata, or else by its folder."""
    if metadata.values.get(LABELS):
        return metadata.values[LABELS], ""
    roots = splits.roots()
    classes = {folder: _class_folder(folder, roots) for folder in folders_of(names)}
    folders: dict[str, str | int] = {
        name: folder for name in names if (folder := classes[name.rpartition("/")[0]]) is not None
    }
    lone = [name for name in names if name not in folders]
    if lone and folders:
        note = f"{len(lone)} images (such as {lone[0]}) lie beside the sub-folders, so these are not taken as classes"
        return {}, note
    return folders, ""


def _class_folder(folder: str, roots: Sequence[str]) -> str | None:
    """The class of images that lie in a folder; None where that is no folder below the roots."""
    inside = f"{folder}/" if folder else ""
    root = next(root for root in roots if inside.startswith(root))
    return inside[len(root) :].partition("/")[0] or None


def _numbered(labels: Mapping[str, str | int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Numbers over all splits together, so that a number means one class in each of them."""
    if not labels:
        return {}, ()
    numbers, classes = class_table(list(labels.values()))
    return dict(zip(labels, numbers.tolist(), strict=True)), classes


def _found(tree: Tree, names: Sequence[str], prefix: str, metadata: Metadata) -> dict[str, dict[str, Any]]:
    """field -> image -> its value, the UserError that stands for it, or the file of a spatial field."""
    found: dict[str, dict[str, Any]] = {}
    for name, field in FIELDS.items():
        beside = _files_beside(tree, names, field)
        if field.spatial:
            found[name] = beside
        else:
            found[name] = {
                **_folder_arrays(tree, names, prefix, field),
                **{image: _from_sidecar(field, file) for image, file in beside.items()},
                **{image: value for image, value in metadata.values.get(name, {}).items() if name != LABELS},
            }
    return {
        name: {image: values[image] for image in names if image in values} if values else {}
        for name, values in found.items()
    }


def _files_beside(tree: Tree, names: Sequence[str], field: Field) -> dict[str, FileRef]:
    """image -> the file beside it that holds its value."""
    ending = field.sidecar
    if not ending or not any(file.endswith(ending) for file in tree.files):
        return {}
    files = ((image, posixpath.splitext(image)[0] + ending) for image in names)
    return {image: tree.files[file] for image, file in files if file in tree.files}


def _from_sidecar(field: Field, file: FileRef) -> Value:
    try:
        return field.from_sidecar(file)
    except (UserError, OSError) as error:
        return UserError(str(error))


def _folder_arrays(tree: Tree, names: Sequence[str], prefix: str, field: Field) -> Record:
    """image -> its row of the array file in a folder above it."""
    rows: Record = {}
    if not field.folder_array:
        return rows
    for file in sorted(file for file in tree.files if file.endswith(field.folder_array)):
        if posixpath.basename(file) == field.folder_array and file.startswith(prefix):
            below = [name for name in names if name.startswith(file[: -len(field.folder_array)])]
            values = field.from_array(read_array(tree.read(file)), file, (0, 0))
            if len(values) != len(below):
                raise UserError(f"{tree.root}: {file} has {len(values)} rows for the {len(below)} images of its folder")
            rows |= dict(zip(below, values, strict=True))
    return rows


def _listing(
    tree: Tree, names: Sequence[str], found: Mapping[str, Mapping[str, Any]], classes: tuple[str, ...], notes: tuple
) -> Listing:
    """Leaves out images that lack what others have, and those whose value cannot be used."""
    reasons: dict[str, str] = {}
    for field in (FIELDS[name] for name in found):
        for image in names:
            value = found[field.name].get(image, field.missing)
            if value is None:
                reasons[image] = f"no {field.condition} beside it" if field.spatial else f"no {field.condition}"
            elif isinstance(value, UserError):
                reasons[image] = str(value)
    kept = [name for name in names if name not in reasons]
    values: dict[str, Values] = {}
    beside: dict[str, tuple[FileRef, ...]] = {}
    for field in (FIELDS[name] for name in found):
        column = [found[field.name].get(image, field.missing) for image in kept]
        if field.spatial:
            beside[field.name] = tuple(column)
        else:
            values[field.name] = field.stacked(column)
    return Listing(
        names=tuple(kept),
        files=Named(tree.files, kept),
        fields=values,
        beside=beside,
        classes=classes,
        broken=tuple(Broken(name, reason) for name, reason in reasons.items()),
        notes=notes,
    )


def _unreadable(tree: Tree) -> list[Broken]:
    found = [name for name in tree.files if name.lower().endswith(tuple(UNREADABLE))]
    return [Broken(name, UNREADABLE[posixpath.splitext(name.lower())[1]]) for name in found]


def _others(tree: Tree) -> str:
    found = _unreadable(tree)
    return f"; left out: {found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}" if found else ""


def _lone(tree: Tree, images: Sequence[str], prefix: str) -> list[Broken]:
    """The files of spatial fields that lie beside no image."""
    spatial = [field for field in FIELDS.values() if field.spatial and field.sidecar]
    files = [
        (field, name)
        for field in spatial
        for name in tree.files
        if name.endswith(field.sidecar) and name.startswith(prefix)
    ]
    stems = {posixpath.splitext(name)[0] for name in images} if files else set()
    return [
        Broken(name, f"a {field.condition} without an image")
        for field, name in files
        if name[: -len(field.sidecar)] not in stems
    ]
