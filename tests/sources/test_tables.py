"""Parquet and Arrow files, as Hugging Face's datasets write them, against the pictures that were put in."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unnoise.errors import DamagedSource, NoSplit, UserError
from unnoise.sources import open_source, table_files

pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is not installed")
from pyarrow import parquet  # noqa: E402

COUNT = 30


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels(seed)).save(stream, "PNG")
    return stream.getvalue()


def features(**columns: Any) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": columns}}).encode()}


def table(first: int, last: int, **more: list) -> Any:
    """Pictures as Hugging Face's Image is stored, with the class i % 3."""
    rows = [{"bytes": png(i), "path": f"{i}.png"} for i in range(first, last)]
    columns = {"image": rows, "label": [i % 3 for i in range(first, last)], **more}
    named = features(image={"_type": "Image"}, label={"names": ["ant", "bee", "cat"], "_type": "ClassLabel"})
    return pa.table(columns).replace_schema_metadata(named)


def write(path: Path, content: Any, rows: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, content.schema) as writer:
            writer.write_table(content, max_chunksize=rows)
    else:
        parquet.write_table(content, path, row_group_size=rows)
    return path


@pytest.fixture(params=["parquet", "arrow"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(tmp_path: Path, kind: str) -> Path:
    write(tmp_path / "set" / f"data-00000-of-00002.{kind}", table(0, 17))
    write(tmp_path / "set" / f"data-00001-of-00002.{kind}", table(17, COUNT))
    (tmp_path / "set" / "dataset_info.json").write_text("{}")
    return tmp_path / "set"


def test_pictures_and_classes_come_in_order(folder: Path) -> None:
    images = open_source(folder, progress=False)
    assert images.classes == ("ant", "bee", "cat")
    assert images.labels.tolist() == [i % 3 for i in range(COUNT)]
    for row in range(COUNT):
        np.testing.assert_array_equal(images.pixels[row], pixels(row).transpose(2, 0, 1))
    assert images.names[17].startswith("data-00001")


def test_one_file_and_bytes_without_a_path(tmp_path: Path, kind: str) -> None:
    content = pa.table({"img": [png(0), png(1)], "text": ["one", None], "vector": [[1.5, 2.0], [3.0, 4.0]]})
    images = open_source(write(tmp_path / f"a.{kind}", content), progress=False)
    np.testing.assert_array_equal(images.pixels[1], pixels(1).transpose(2, 0, 1))
    assert images.captions == ["one", ""]
    assert images.fields["vectors"].tolist() == [[1.5, 2.0], [3.0, 4.0]]
    assert images.classes == ()


def test_only_the_row_groups_that_are_needed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, each once: 30 rows in groups of 7, and never a whole file."""
    write(tmp_path / "a.parquet", table(0, COUNT))
    read = []
    real = parquet.ParquetFile.read_row_group
    monkeypatch.setattr(
        parquet.ParquetFile, "read_row_group", lambda self, i, **o: read.append((i, o["columns"])) or real(self, i, **o)
    )
    for name in ("read", "read_row_groups"):
        monkeypatch.setattr(parquet.ParquetFile, name, None)
    table_files._group.cache_clear()
    assert len(open_source(tmp_path / "a.parquet", progress=False, size=8)) == COUNT
    groups = [(group, ["image"]) for group in range(5)]
    assert read in (groups, groups * 2)  # headers first, then pixels; the groups are kept where they are few


def test_arrow_streams_and_parquet_does_not(folder: Path, kind: str) -> None:
    if kind == "parquet":
        with pytest.raises(UserError, match="a row group at a time"):
            open_source(folder, progress=False, stream=True)
        return
    images = open_source(folder, progress=False, stream=True)
    assert images.streams
    seen = ((images.batch([29]).image[0] + 1) * 127.5).round().byte().numpy()
    np.testing.assert_array_equal(seen, pixels(29).transpose(2, 0, 1))


def test_splits_and_labels_that_are_none(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "data" / f"train-00000-of-00001.{kind}", table(0, 5))
    unlabelled = table(5, 8, label=[-1, 2, -1])
    write(tmp_path / "data" / f"test-00000-of-00001.{kind}", unlabelled)
    assert len(open_source(tmp_path, progress=False)) == 5
    test = open_source(tmp_path, split="test", progress=False)
    assert test.labels.tolist() == [2]
    assert [item.reason for item in test.broken] == ["no label", "no label"]
    write(tmp_path / "data" / f"test-00000-of-00001.{kind}", table(5, 8, label=[-1, -1, -1]))
    assert open_source(tmp_path, split="test", progress=False).labels is None
    with pytest.raises(NoSplit):
        open_source(tmp_path / "data" / f"train-00000-of-00001.{kind}", split="test", progress=False)


def test_texts_as_labels_are_numbered_over_all_splits(tmp_path: Path) -> None:
    for split, labels in (("train", ["b", "c"]), ("val", ["a", "c"])):
        content = pa.table({"image": [png(0), png(1)], "label": labels})
        write(tmp_path / f"{split}-0.parquet", content)
    train, test = (open_source(tmp_path, split=split, progress=False) for split in ("train", "test"))
    assert train.classes == test.classes == ("a", "b", "c")
    assert (train.labels.tolist(), test.labels.tolist()) == ([1, 2], [0, 2])


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    rows = [{"bytes": png(0), "path": None}, {"bytes": b"none", "path": None}, {"bytes": None, "path": "x.png"}]
    content = pa.table({"image": [*rows, rows[0]], "vector": [[1.0], [1.0], [1.0], [float("nan")]]})
    images = open_source(write(tmp_path / "a.parquet", content), progress=False)
    assert len(images) == 1
    assert {item.name: item.reason for item in images.broken} == {
        "a.parquet/1": "not an image",
        "a.parquet/2": "the table has a path in place of the picture",
        "a.parquet/3": "its vector is no list of finite numbers",
    }


def test_tables_that_are_not_of_pictures_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match=r"one column of pictures.*a \(int64\)"):
        open_source(write(tmp_path / f"a.{kind}", pa.table({"a": [1]})), progress=False)
    two = pa.table({"x": [png(0)], "y": [png(1)]})
    with pytest.raises(UserError, match="one column of pictures"):
        open_source(write(tmp_path / f"b.{kind}", two), progress=False)
    write(tmp_path / "mixed" / f"0.{kind}", table(0, 2))
    write(tmp_path / "mixed" / f"1.{kind}", two)
    with pytest.raises(UserError, match="has other columns"):
        open_source(tmp_path / "mixed", progress=False)


def test_damage_and_row_groups_beyond_the_limit(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / f"a.{kind}", table(0, 9))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    with pytest.raises(DamagedSource, match="cannot be read as a table"):
        open_source(file, progress=False)
    if kind == "parquet":
        monkeypatch.setattr(table_files, "MAX_MEMBER", 1000)
        with pytest.raises(UserError, match=r"row_group_size"):
            open_source(write(tmp_path / "b.parquet", table(0, 9)), progress=False)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / f"a.{kind}", table(0, 1))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    table_files._arrow.cache_clear()
    with pytest.raises(UserError, match=r"unnoise\[parquet\]"):
        open_source(file, progress=False)


class Hub(ModuleType):
    """A hub with a set of parquet files, and one whose files are in the branch of conversions."""

    def __init__(self, root: Path) -> None:
        super().__init__("huggingface_hub")
        self.root = root
        self.asked: list[tuple[str, str | None]] = []

    def snapshot_download(self, name: str, *, repo_type: str, revision: str | None, allow_patterns: list[str]) -> str:
        assert (repo_type, allow_patterns) == ("dataset", ["*.parquet"])
        self.asked.append((name, revision))
        folder = self.root / name.replace("/", "--") / (revision or "main").replace("/", "--")
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)


def test_a_set_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    write(tmp_path / "me--mine" / "main" / "data" / "train-00000.parquet", table(0, 4))
    write(tmp_path / "me--old" / "refs--convert--parquet" / "default" / "train" / "0000.parquet", table(0, 3))
    write(tmp_path / "me--mine" / "v1" / "0.parquet", table(0, 2))
    assert len(open_source("hf://datasets/me/mine", progress=False)) == 4
    assert len(open_source("hf://datasets/me/mine@v1", progress=False)) == 2
    assert len(open_source("hf://datasets/me/old", progress=False)) == 3
    assert hub.asked[-2:] == [("me/old", None), ("me/old", "refs/convert/parquet")]
    with pytest.raises(UserError, match="holds no parquet files"):
        open_source("hf://datasets/me/none", progress=False)
    for wrong in ("hf://datasets/me", "hf://datasets/me/../x", "hf://datasets/a/b/c"):
        with pytest.raises(UserError, match="is no data set"):
            open_source(wrong, progress=False)
