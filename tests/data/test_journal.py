from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.data.journal import Journal


def test_results_come_back_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", {"what": 1}) as journal:
        journal.add([3, "broken"])
        journal.add([4, True])
    with Journal(tmp_path / "a.jsonl", {"what": 1}) as again:
        assert again.results == [[3, "broken"], [4, True]]
        again.add("last")
    assert Journal(tmp_path / "a.jsonl", {"what": 1}).results == [[3, "broken"], [4, True], "last"]


def test_the_lines_of_other_tasks_do_not_count(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", {"what": 1}) as journal:
        journal.add(1)
    with Journal(tmp_path / "a.jsonl", {"what": 2}) as other:
        assert other.results == []
        other.add(2)
    assert Journal(tmp_path / "a.jsonl", {"what": 1}).results == []
    assert Journal(tmp_path / "a.jsonl", {"what": 2}).results == [2]


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_line_that_was_cut_short_does_not_count(tmp_path: Path, cut: int) -> None:
    """Even one that reads as a whole: 123456 cut to 123."""
    file = tmp_path / "a.jsonl"
    with Journal(file, {}) as journal:
        for number in (111111, 123456):
            journal.add(number)
    file.write_bytes(file.read_bytes()[:-cut])
    left = Journal(file, {}).results
    assert left == ([111111] if cut <= 7 else [])
    with Journal(file, {}) as again:
        again.add(7)
    assert Journal(file, {}).results == [*left, 7]
