"""metadata.jsonl, as Hugging Face imagefolders have it: one JSON object per line about one image."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass, field

from unnoise.data.tree import Broken, Tree
from unnoise.errors import UserError

FILE = "metadata.jsonl"
CAPTION_KEYS = ("text", "caption")


@dataclass
class Metadata:
    """What the metadata files of a tree say: labels and captions by image name, and the lines that say nothing."""

    labels: dict[str, str | int] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)


def read_metadata(tree: Tree) -> Metadata:
    """Reads every metadata.jsonl of the tree; `file_name` is relative to the folder it lies in."""
    found = Metadata()
    for name in tree.places:
        if posixpath.basename(name) == FILE:
            _read_file(tree, name, found)
    return found


def _read_file(tree: Tree, name: str, found: Metadata) -> None:
    for number, line in enumerate(tree.read(name).decode("utf-8-sig", "replace").split("\n"), 1):
        if not line.strip():
            continue
        try:
            _read_line(tree, posixpath.dirname(name), line, found)
        except ValueError as error:
            found.broken.append(Broken(f"{name}:{number}", str(error)))


def _read_line(tree: Tree, folder: str, line: str, found: Metadata) -> None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError("not JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise UserError("no file_name")
    image = posixpath.normpath(posixpath.join(folder, row["file_name"]))
    if image not in tree.places:
        raise UserError(f"there is no file {row['file_name']!r}")
    label = row.get("label")
    if label is not None and (isinstance(label, bool) or not isinstance(label, (str, int))):
        raise UserError("label must be a text or an integer")
    text = next((row[key] for key in CAPTION_KEYS if row.get(key) is not None), None)
    if text is not None and not isinstance(text, str):
        raise UserError("the caption must be a text")
    if label is not None:
        found.labels[image] = label
    if text is not None:
        found.captions[image] = text
