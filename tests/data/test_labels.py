from __future__ import annotations

import pytest

from unnoise.data.labels import class_table

TABLES = {
    "integers keep their numbers": ([2, 0, 2], [2, 0, 2], ("0", "1", "2")),
    "large integers are numbered in order": ([5000, 12, 5000], [1, 0, 1], ("12", "5000")),
    "negative integers too": ([-1, 1], [0, 1], ("-1", "1")),
    "texts are sorted": (["b", "a", "b"], [1, 0, 1], ("a", "b")),
    "a mixture is text": (["b", 1], [1, 0], ("1", "b")),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    values, labels, classes = TABLES[name]
    found, names = class_table(values)
    assert (found.tolist(), names) == (labels, classes)
