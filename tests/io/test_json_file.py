"""JSON of others: whatever a text holds, it is a value or an error that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.data.journal import Journal
from unnoise.errors import UserError
from unnoise.io.json_file import found_json, json_or, parse_json, read_json
from unnoise.lectures.cells import Cells
from unnoise.runs.metrics_file import parse_line

NO_JSON = ("", "{", "[1, 2", "nul", "[" * 100_000, "9" * 5000)


@pytest.mark.parametrize("text", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_json_has_what_stands_for_it(text: str, tmp_path: Path) -> None:
    assert json_or(text, "otherwise") == "otherwise"
    assert parse_line(text) is None
    with pytest.raises(UserError, match="the body is not valid JSON"):
        parse_json(text.encode(), "the body")
    file = tmp_path / "a.json"
    file.write_text(text)
    assert found_json(file) is None
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        read_json(file)


@pytest.mark.parametrize("line", NO_JSON, ids=range(len(NO_JSON)))
def test_a_damaged_line_of_a_journal_ends_what_counts(line: str, tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", {}) as journal:
        journal.add(1)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(f"{line}\n2\n")
    assert Journal(tmp_path / "a.jsonl", {}).results == [1]


def test_a_file_is_an_object_of_bounded_size(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    assert found_json(file) is None
    file.write_text("[]")
    assert found_json(file) is None
    file.write_text('{"a": 1}')
    assert read_json(file) == found_json(file) == {"a": 1}
    with pytest.raises(UserError, match="larger"):
        read_json(file, most=7)


def test_a_damaged_result_of_an_experiment_is_named(tmp_path: Path) -> None:
    cells = Cells(tmp_path, {"seed": 0})
    cells.once("a cell", lambda folder: {"x": 1})
    (tmp_path / "a-cell" / "cell.json").write_text('{"x"')
    with pytest.raises(UserError, match=r"cell\.json is not valid JSON"):
        cells.once("a cell", lambda folder: {"x": 2})
