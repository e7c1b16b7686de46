"""What a run keeps of its evaluations: a file each, and their numbers on its page."""

from __future__ import annotations

from pathlib import Path

from unnoise.errors import UserError
from unnoise.evaluation.entry import Result
from unnoise.evaluation.summary import lines_of
from unnoise.files import json_text, write_atomic
from unnoise.io.json_file import read_json
from unnoise.progress import notice
from unnoise.runs.html import render
from unnoise.runs.run import Run
from unnoise.training.page import page_file
from unnoise.training.page_measured import replace_measured

FOLDER = "evaluations"
OF_ALL = {"target", "seconds", "unnoise"}
"""Keys that every result has."""
SHOWN = 12
"""Evaluations on a page, the newest."""


def keep(run: Run, name: str, result: Result) -> None:
    """Writes a result into the run's folder, and its page anew."""
    write_atomic(run.folder / FOLDER / f"{name}.json", json_text(result, indent=1))
    newest = results_of(run)[: -SHOWN - 1 : -1]
    replace_measured(page_file(run.folder), render("measured.html", results=[lines_of(one) for one in newest]))


def results_of(run: Run) -> list[Result]:
    """The results that a run keeps, oldest first. A file that is none, or damaged, is named and left out."""
    files = sorted((run.folder / FOLDER).glob("*.json"), key=lambda file: file.stat().st_mtime)
    return [found for file in files if (found := _read(file)) is not None]


def _read(file: Path) -> Result | None:
    try:
        found = read_json(file)
    except UserError as error:
        notice(f"not shown: {error}")
        return None
    if missing := sorted(OF_ALL - found.keys()):
        notice(f"not shown: {file} is not the result of an evaluation: it lacks {', '.join(missing)}")
        return None
    return found
