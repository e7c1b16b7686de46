"""What tools/fuzz.py draws: sound files of every kind that is read, and the accidents that befall them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


@st.composite
def damaged(draw: st.DrawFn, sound: tuple[bytes, ...]) -> bytes:
    """One of the sound files after one to three accidents, or bytes without meaning."""
    if draw(st.integers(0, 15)) == 0:
        return draw(st.binary(max_size=300))
    data = draw(st.sampled_from(sound))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 32)))
        other = draw(_BYTES)
        written_over = data[:start] + other + data[start + len(other) :]
        data = draw(
            st.sampled_from(
                (
                    *[written_over] * 4,
                    data[:start] + other + data[end:],
                    data[:start] + data[end:],
                    data[:start],
                    data[start:] + data[:start],
                    data[:end] + data[start:end] * draw(st.integers(1, 9)) + data[end:],
                )
            )
        )
    return data


_BYTES = st.one_of(
    st.binary(min_size=1, max_size=16),
    st.sampled_from((b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"/../", b"\r\n", b"\x80")),
)

VALUES = st.one_of(
    st.integers(-3, 40),
    st.sampled_from((10**9, -(10**9), 2**63, 2**70)),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(-2, 9), st.text(max_size=3), st.floats()), max_size=4),
    st.dictionaries(st.sampled_from(("kind", "steps", "x")), st.one_of(st.text(max_size=4), st.integers()), max_size=2),
)
"""What somebody may write where a number, a name or a list belongs."""


# Sound files


def picture(kind: str, mode: str = "RGB") -> bytes:
    pixels = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).convert(mode)
    pixels.save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


@cache
def pictures() -> tuple[bytes, ...]:
    kinds = [picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000")]
    modes = [picture("PNG", mode) for mode in ("L", "P", "I;16", "RGBA", "1")]
    return (*kinds, *modes, picture("JPEG", "CMYK"), picture("TIFF", "F"))


@cache
def zips() -> tuple[bytes, ...]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(buffer := io.BytesIO(), "w", method) as file:
            for name in ("a/1.png", "b/2.png"):
                file.writestr(name, picture("PNG"))
        made.append(buffer.getvalue())
    return tuple(made)


@cache
def tars() -> tuple[bytes, ...]:
    made = []
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        with tarfile.open(fileobj=(buffer := io.BytesIO()), mode=mode) as file:  # type: ignore[call-overload]
            for name in ("a/1.png", "b/2.png"):
                member = tarfile.TarInfo(name)
                member.size = len(picture("PNG"))
                file.addfile(member, io.BytesIO(picture("PNG")))
        made.append(buffer.getvalue())
    return tuple(made)


@cache
def arrays() -> tuple[bytes, ...]:
    made = []
    for array in (np.zeros((3, 8, 8, 3), np.uint8), np.zeros((2, 6, 6), np.uint16), np.zeros((2, 6, 6), bool)):
        np.save(buffer := io.BytesIO(), array)
        made.append(buffer.getvalue())
    return tuple(made)


@cache
def archives_of_arrays() -> tuple[bytes, ...]:
    images, labels = np.zeros((3, 8, 8, 3), np.uint8), np.arange(3)
    made = []
    for save in (np.savez, np.savez_compressed):
        for parts in ({"images": images, "labels": labels}, {"x_train": images, "y_train": labels, "x_test": images}):
            save(buffer := io.BytesIO(), **parts)
            made.append(buffer.getvalue())
    return tuple(made)


@st.composite
def odd_arrays(draw: st.DrawFn) -> bytes:
    """An .npz of arrays of any names, types and shapes, objects and texts among them."""
    kinds = st.one_of(
        hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.boolean_dtypes(), hnp.unicode_string_dtypes(max_len=3)
    )
    shapes = hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    names = st.sampled_from(
        ("images", "labels", "x_train", "y_train", "x_test", "maps", "captions", "class_names", "a/b")
    )
    parts = draw(st.dictionaries(names, hnp.arrays(kinds, shapes), max_size=3))
    if draw(st.booleans()):
        sides = hnp.array_shapes(min_dims=3, max_dims=4, max_side=5)
        parts["images"] = draw(hnp.arrays(draw(st.sampled_from((np.uint8, np.uint16, np.bool_))), sides))
    np.savez(buffer := io.BytesIO(), **parts)
    return buffer.getvalue()


@cache
def idx() -> tuple[bytes, ...]:
    plain = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 4]) + bytes(range(40))
    return plain, gzip.compress(plain, mtime=0)


@cache
def cifar() -> tuple[bytes, ...]:
    return (bytes(3073), bytes(3073) + b"\x07" + bytes(3072))


@cache
def metadata() -> tuple[bytes, ...]:
    rows = [{"file_name": "a.png", "text": "a cat"}, {"file_name": "b.png", "label": 3, "text": "a \u732b"}]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    return lines, b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"), lines.replace(b'"a cat"', b"[1, {}]")


@cache
def tables() -> tuple[bytes, ...]:
    """Of metadata.csv."""
    whole = 'file_name,label,text\na.png,3,a cat\nb.png,4,"a, \u732b"\n'
    return whole.encode(), b"file_name\na.png\n"


@cache
def captions() -> tuple[bytes, ...]:
    return b"a cat\n", "\u732b".encode("utf-16"), b"\xef\xbb\xbfa cat"


@cache
def statistics() -> tuple[bytes, ...]:
    """As pytorch-fid writes them."""
    made = []
    for kind in (np.float32, np.float64):
        np.savez(buffer := io.BytesIO(), mu=np.zeros(4, kind), sigma=np.eye(4, dtype=kind))
        made.append(buffer.getvalue())
    return tuple(made)


def recipes() -> st.SearchStrategy[bytes]:
    folder = ROOT / "src" / "unnoise" / "recipes"
    return damaged(tuple(path.read_bytes() for path in sorted(folder.glob("*.toml"))))


def assignments() -> st.SearchStrategy[tuple[str, Any]]:
    """A key of the configuration, sometimes misspelt, and a value that may not suit it."""
    from unnoise.runs.config import read_recipe

    keys = sorted(_dotted(read_recipe("ddpm-digits")))
    return st.tuples(st.one_of(st.sampled_from(keys), st.text(min_size=1, max_size=12)), VALUES)


def _dotted(config: dict[str, Any], before: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield f"{before}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{before}{key}.")


def sampler_specs() -> st.SearchStrategy[dict[str, Any]]:
    from unnoise.registry import describe
    from unnoise.samplers import SAMPLERS

    options = sorted({option.name for kind in SAMPLERS.values() for option in describe(kind)})
    return st.builds(
        lambda kind, rest: {"kind": kind, **rest},
        st.sampled_from((*SAMPLERS, "ddimm")),
        st.dictionaries(st.sampled_from(options), VALUES, max_size=2),
    )


def sampler_texts() -> st.SearchStrategy[str]:
    """Such as ddim@50:eta=0.5, with pieces in any order."""
    from unnoise.samplers import SAMPLERS

    pieces = st.one_of(
        st.sampled_from((*SAMPLERS, "@", ":", ",", "=", "eta", "grid", "steps", "karras", "order", "(", ")")),
        st.integers(-1, 2000).map(str),
        st.text(max_size=4),
    )
    sound = st.sampled_from(("ddim@50:eta=0.5", "heun@18:churn=40,grid=karras", "unipc@10"))
    return st.one_of(sound, st.lists(pieces, max_size=6).map("".join), st.tuples(sound, pieces).map("".join))
