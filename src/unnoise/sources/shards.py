"""Tar shards as WebDataset writes them (Aizman, Maltby and Breuel 2019): what is in one of them.

Members that follow one another and are called alike up to the first dot of their names make one sample: KEY.jpg or any
other picture, KEY.cls (the class), KEY.txt (the caption), KEY.json (what a line of metadata.jsonl says), KEY.npy (the
vector), KEY.mask.png (the map). Where the bytes of each lie is written to an index, so that a shard is read through
once and at random afterwards.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import BinaryIO

from unnoise.aliases import Record, Value
from unnoise.data.fields import FIELDS
from unnoise.errors import UserError
from unnoise.files import write_atomic
from unnoise.io.json_file import json_or
from unnoise.io.tree import Broken, InMemory
from unnoise.sources.archive import ENDS_EARLY, is_plain_tar, plain_members
from unnoise.sources.formats import EXTENSIONS
from unnoise.sources.metadata import values_of

ENDING = ".tar"
CLASS, METADATA = ".cls", ".json"
MOST_OF_A_SAMPLE = 16  # members that are looked at to tell what a tar is
MAX_BESIDE = 1 << 20  # bytes of a class, a caption, a vector or metadata of one sample
VERSION = 1
SPATIAL = {kind.sidecar: kind.name for kind in FIELDS.values() if kind.spatial and kind.sidecar}
SMALL = {kind.sidecar: kind for kind in FIELDS.values() if not kind.spatial and kind.sidecar}


@dataclass
class ShardIndex:
    """What is in a shard, in its order.

    Attributes:
        names: of the pictures.
        places: of the pictures, (offset, size) in bytes.
        beside: field -> (offset, size) for each picture, or None.
        values: field -> a value for each picture, or None.
        broken: (name, reason) of what cannot be used.
    """

    names: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    beside: dict[str, list[tuple[int, int] | None]] = field(default_factory=dict)
    values: dict[str, list[Value]] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, place: tuple[int, int], beside: Record, values: Record) -> None:
        """One more picture."""
        before = len(self.names)
        self.names.append(name)
        self.places.append(place)
        for columns, given in ((self.beside, beside), (self.values, values)):
            for key in {*columns, *given}:
                columns.setdefault(key, [None] * before).append(given.get(key))


@dataclass(frozen=True)
class Member:
    """A member of a tar: its key, how its name ends from the first dot on, and where its bytes lie."""

    key: str
    ending: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        return self.key + self.ending


def indexed(shard: str, stamp: list[int], folder: str) -> ShardIndex:
    """The index of a shard, from the cache folder where it is there and of this file, else made and written there.

    stamp: changes whenever the shard does.
    """
    file = Path(folder) / f"{hashlib.sha256(shard.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"
    found = _stored(file, stamp)
    if found is None:
        found = read_shard(Path(shard))
        text = json.dumps(asdict(found))
        write_atomic(file, json.dumps([VERSION, stamp, _digest(text), text]))
    return found


def make_index(shard: str, stamp: list[int], folder: str) -> int:
    """As `indexed`, for a worker process: gives the number of pictures."""
    return len(indexed(shard, stamp, folder).names)


def is_shard(path: Path) -> bool:
    """Whether a file is a tar of samples: beside its first picture lies a .cls or .json of the same name."""
    if path.suffix.lower() != ENDING or not is_plain_tar(path):
        return False
    with path.open("rb") as file, suppress(*ENDS_EARLY):
        _, first = next(groupby(_members(file, path, ShardIndex()), key=lambda member: member.key), (None, ()))
        endings = {member.ending for member in islice(first, MOST_OF_A_SAMPLE)}
        return bool(endings & {CLASS, METADATA}) and any(ending in EXTENSIONS for ending in endings)
    return False


def read_shard(shard: Path) -> ShardIndex:
    """Reads a shard through. What is damaged or is no sample is named in `broken`; what comes before it counts.

    Raises UserError where it holds more than its size allows.
    """
    found = ShardIndex()
    with shard.open("rb") as file:
        try:
            for key, group in groupby(_members(file, shard, found), key=lambda member: member.key):
                _add_sample(file, key, list(group), found)
        except UserError:
            raise
        except ENDS_EARLY as error:
            plain = "" if is_plain_tar(shard) else "; a compressed tar cannot be read at random, so unpack it"
            found.broken.append((shard.name, f"it ends early or is damaged: {error}{plain}"))
    return found


def _members(file: BinaryIO, shard: Path, found: ShardIndex) -> Iterator[Member]:
    broken: list[Broken] = []
    for name, info in plain_members(file, shard, broken):
        folder, base = posixpath.split(name)
        stem, dot, ending = base.partition(".")
        yield Member(posixpath.join(folder, stem), dot + ending.lower(), info.offset_data, info.size)
    found.broken += [(item.name, item.reason) for item in broken]


def _add_sample(file: BinaryIO, key: str, members: list[Member], found: ShardIndex) -> None:
    by_ending = {member.ending: member for member in members}
    pictures = [member for member in members if member.ending in EXTENSIONS]
    if len(pictures) != 1:
        what = "no picture" if not pictures else "more than one picture"
        found.broken.append((members[0].name, f"the sample {key} has {what}"))
        return
    try:
        values = _values(file, by_ending)
    except UserError as error:
        found.broken.append((pictures[0].name, str(error)))
        return
    beside = {name: _place(by_ending[ending]) for ending, name in SPATIAL.items() if ending in by_ending}
    found.add(pictures[0].name, _place(pictures[0]), beside, values)


def _place(member: Member) -> tuple[int, int]:
    return member.offset, member.size


def _values(file: BinaryIO, members: dict[str, Member]) -> Record:
    """field -> value. A file of its own goes before the metadata."""
    values: Record = {}
    if METADATA in members:
        values |= values_of(_json(_bytes(file, members[METADATA])))
    if CLASS in members:
        text = _bytes(file, members[CLASS]).decode("utf-8", "replace").strip()
        values["labels"] = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else text
    for ending, kind in SMALL.items():
        if ending in members:
            values[kind.name] = kind.from_sidecar(InMemory(members[ending].name, _bytes(file, members[ending])))
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}


def _bytes(file: BinaryIO, member: Member) -> bytes:
    if member.size > MAX_BESIDE:
        raise UserError(f"{member.name} has {member.size} bytes, more than the limit of {MAX_BESIDE}")
    file.seek(member.offset)
    return file.read(member.size)


def _json(data: bytes) -> Record:
    found = json_or(data, UserError("its .json is not JSON"))
    if isinstance(found, UserError):
        raise found
    return found if isinstance(found, dict) else {}


def _stored(file: Path, stamp: list[int]) -> ShardIndex | None:
    if not file.is_file():
        return None
    found = json_or(file.read_bytes(), None)
    if not isinstance(found, list) or len(found) != 4 or found[:2] != [VERSION, stamp]:
        return None
    _, _, digest, text = found
    return ShardIndex(**json.loads(text)) if isinstance(text, str) and digest == _digest(text) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def broken_of(index: ShardIndex, shard: str) -> list[Broken]:
    """What a shard holds that cannot be used."""
    return [Broken(f"{shard}/{name}", reason) for name, reason in index.broken]
