from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.sources import open_source
from unnoise.sources.labels import class_table

TABLES = {
    "integers keep their numbers": ([2, 0, 2], [2, 0, 2], ("0", "1", "2")),
    "large integers are numbered in order": ([5000, 12, 5000], [1, 0, 1], ("12", "5000")),
    "negative integers too": ([-1, 1], [0, 1], ("-1", "1")),
    "texts are sorted": (["b", "a", "b"], [1, 0, 1], ("a", "b")),
    "whole floats are integers": ([0.0, 1.0], [0, 1], ("0", "1")),
    "floats in order of size": ([10.5, 2.5], [1, 0], ("2.5", "10.5")),
    "years": ([2020, 1999, 2020], [1, 0, 1], ("1999", "2020")),
    "bytes are text": ([b"b", b"a"], [1, 0], ("a", "b")),
    "a mixture is text": (["b", 1], [1, 0], ("1", "b")),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    values, labels, classes = TABLES[name]
    found, names = class_table(values)
    assert (found.tolist(), names) == (labels, classes)


SPLITS = {
    "texts": (["cat", "dog"], ["bird", "dog"], [1, 2], [0, 2], ("bird", "cat", "dog")),
    "-1, 0, 1 against 0, 1": ([0, 1], [-1, 1], [1, 2], [0, 2], ("-1", "0", "1")),
    "years": ([2001, 2003], [2002, 2003], [0, 2], [1, 2], ("2001", "2002", "2003")),
    "floats": ([10.5, 2.5], [3.5, 2.5], [2, 0], [1, 0], ("2.5", "3.5", "10.5")),
    "numbers from 0": ([0, 2], [1, 5], [0, 2], [1, 5], ("0", "1", "2", "3", "4", "5")),
}


@pytest.mark.parametrize("name", SPLITS)
def test_classes_of_array_files_are_numbered_over_all_splits(name: str, tmp_path: Path) -> None:
    train, test, train_labels, test_labels, classes = SPLITS[name]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", x_train=pixels, x_test=pixels, y_train=np.array(train), y_test=np.array(test))
    for split, labels in (("train", train_labels), ("test", test_labels)):
        images = open_source(tmp_path / "set.npz", split=split, progress=False)
        assert images.labels is not None
        assert (images.labels.tolist(), images.classes) == (labels, classes)


def test_classes_of_idx_files_are_counted_over_both_splits(tmp_path: Path) -> None:
    for part, labels in (("train", [0, 3]), ("t10k", [1, 1])):
        for kind, array in (("images-idx3", np.zeros((2, 4, 4))), ("labels-idx1", np.array(labels))):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
    train, test = (open_source(tmp_path, split=split, progress=False) for split in ("train", "test"))
    assert train.classes == test.classes == ("0", "1", "2", "3")
