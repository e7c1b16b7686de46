"""unnoise.json in an exported folder: what diffusers' own files cannot say, and ignore."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import unnoise
from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.files import json_text
from unnoise.io.json_file import read_json

FILE = "unnoise.json"


class Sidecar(NamedTuple):
    """classes: names; no_class: whether the last class embedding is that of no class; sampler: a [sampler] section."""

    classes: Sequence[str] = ()
    no_class: bool = False
    sampler: Record | None = None


def write_sidecar(folder: Path, sidecar: Sidecar) -> None:
    """Writes FILE into an exported folder, with the version."""
    content = {"unnoise": unnoise.__version__, **sidecar._asdict()}
    (folder / FILE).write_text(json_text(content, indent=1), encoding="utf-8")


def read_sidecar(folder: Path) -> Sidecar:
    """That of an exported folder; one that says nothing for other folders.

    Raises:
        UserError: where it holds something else than `write_sidecar` writes.
    """
    if not (folder / FILE).is_file():
        return Sidecar()
    found = read_json(folder / FILE)
    classes, sampler = found.get("classes", []), found.get("sampler")
    names = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not names or not isinstance(sampler, dict | None):
        raise UserError(f"{folder / FILE} is not what unnoise wrote")
    return Sidecar(tuple(classes), found.get("no_class") is True, sampler)
