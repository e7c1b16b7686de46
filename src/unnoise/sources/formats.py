"""Which files are pictures: by their ending, or, without one, by their first bytes."""

from __future__ import annotations

import posixpath

from unnoise.data.fields import FIELDS
from unnoise.io.tree import FileRef, Tree
from unnoise.sources.metadata import FILES as METADATA

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
    *(".tga", ".jp2", ".j2k", ".avif"),
)
UNREADABLE = {
    ".heic": "HEIC, which cannot be read here; convert it to JPEG or PNG",
    ".heif": "HEIF, which cannot be read here; convert it to JPEG or PNG",
    ".svg": "a vector drawing; export it as PNG",
    ".psd": "a Photoshop document; export it as PNG",
    ".raw": "a camera's raw file; export it as JPEG",
    ".cr2": "a camera's raw file; export it as JPEG",
    ".nef": "a camera's raw file; export it as JPEG",
    ".dng": "a camera's raw file; export it as JPEG",
}
"""Endings of pictures that are named as left out, and why."""

SIGNATURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*"),
    *(b"P1\n", b"P2\n", b"P3\n", b"P4\n", b"P5\n", b"P6\n", b"P5 ", b"P6 "),
    *(b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"),
)
HEAD = 16  # bytes that tell


SPATIAL = tuple(kind.sidecar for kind in FIELDS.values() if kind.spatial and kind.sidecar)
"""How files beside pictures end that are pictures themselves, and no images of the set."""


def is_image(name: str, tree: Tree) -> bool:
    """Whether a file of a tree is a picture: by its ending, or where it has none, by its content."""
    lower = name.lower()
    if lower.endswith(EXTENSIONS):
        return not lower.endswith(SPATIAL)
    return not posixpath.splitext(lower)[1] and looks_like_an_image(_head(tree.files[name]))


def looks_like_an_image(head: bytes) -> bool:
    """Whether the first HEAD bytes of a file are those of a picture."""
    boxed = (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[4:12] in (b"ftypavif", b"ftypavis")
    return boxed or head.startswith(SIGNATURES)


def is_wanted(name: str, head: bytes) -> bool:
    """Whether an archive's member is worth unpacking: pictures, what belongs to them, and the binary sets."""
    lower = name.lower()
    known = (*EXTENSIONS, *(kind.sidecar for kind in FIELDS.values() if kind.sidecar), ".bin", "ubyte", ".gz")
    no_ending = not posixpath.splitext(lower)[1] and looks_like_an_image(head)
    return lower.endswith(known) or posixpath.basename(name) in METADATA or no_ending


def _head(file: FileRef) -> bytes:
    try:
        with file.open() as stream:
            return stream.read(HEAD)
    except Exception:  # damaged archives raise anything; the file is then no picture
        return b""
