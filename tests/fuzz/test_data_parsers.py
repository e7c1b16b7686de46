"""Damage of every kind becomes one UserError, whatever parser it meets."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

EXAMPLES = 40


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


parsers = load("data_parsers")


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(stream, format=kind)
    return stream.getvalue()


def array_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(4.0)[None])
    return stream.getvalue()


def arrays_file() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, images=np.zeros((2, 4, 4), np.uint8), labels=np.arange(2), vectors=np.ones((2, 3)))
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a/1.png", encoded("PNG"))
        archive.writestr("metadata.jsonl", '{"file_name": "a/1.png", "label": 1}')
    return stream.getvalue()


def tarred(mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        info = tarfile.TarInfo("a/1.png")
        info.size = len(encoded("PNG"))
        archive.addfile(info, io.BytesIO(encoded("PNG")))
    return stream.getvalue()


IDX = bytes([0, 0, 8, 3]) + np.array([2, 3, 3], ">u4").tobytes() + bytes(18)
LINE = json.dumps({"file_name": "a.png", "text": "a", "label": 3, "vector": [1, 2.5]}).encode()
CSV = b'file_name,text,label,vector\na.png,"one, two",3,"[1, 2]"\n'
SEEDS = (
    *(encoded(kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "TGA", "PPM")),
    *(array_file(), arrays_file(), zipped(), tarred("w:gz"), tarred("w:xz"), tarred("w"), IDX, gzip.compress(IDX)),
    *(LINE, CSV),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file with bytes changed, cut off, doubled or put in front of; or anything."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data) + draw(st.binary(max_size=20))


@pytest.mark.parametrize("name", parsers.PARSERS)
def test_damage_becomes_a_line(name: str) -> None:
    counts = {True: 0, False: 0}

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=st.one_of(damaged(), st.binary(max_size=200)))
    def one(data: bytes) -> None:
        counts[parsers.quiet(parsers.PARSERS[name], data)] += 1

    one()
    assert sum(counts.values()) >= EXAMPLES / 2


@pytest.mark.parametrize("name", parsers.PARSERS)
def test_whole_files_meet_every_parser(name: str) -> None:
    taken = [parsers.quiet(parsers.PARSERS[name], data) for data in (*SEEDS, b"")]
    assert any(taken), "every parser reads some of them"
