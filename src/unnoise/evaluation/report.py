"""One page about a comparison, whole in one file: no network, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from unnoise.data import image_grid
from unnoise.evaluation.entry import Card, Entry, Figure, Result, Section
from unnoise.evaluation.metrics import METRICS
from unnoise.evaluation.plots import curves, loss_curve
from unnoise.evaluation.table import brief_names, shown
from unnoise.files import write_atomic
from unnoise.runs.html import picture_url, render

CONDITIONS = ("features", "feature_space", "n", "reference", "samples", "step", "checkpoint", "seed", "likelihood")


def write_report(
    entries: Sequence[Entry], path: Path, real: np.ndarray | None = None, sheet: Image.Image | None = None
) -> Path:
    """Writes the page and returns where.

    real: images of the data (S, C, H, W), shown before the samples. sheet: one picture of the samples of all rows.
    """
    together = None if sheet is None else picture_url(sheet)
    write_atomic(path, render("report.html", picture=_picture, sheet=together, **_content(entries, real)))
    return path


def _content(entries: Sequence[Entry], real: np.ndarray | None) -> dict[str, object]:
    results = [entry.result for entry in entries]
    headings, rows = shown([entry.row for entry in entries], results)
    entries = _briefly_named(entries)
    return {
        "headings": headings,
        "rows": rows,
        "baseline": next((result["fid_baseline"] for result in results if "fid_baseline" in result), None),
        "fid_name": next((result["fid_name"] for result in results if "fid_name" in result), "FID"),
        "warnings": _warnings(entries),
        "figures": [*(figure for metric in METRICS for figure in metric.figures(entries)), *_losses(entries)],
        "sections": [section for metric in METRICS for section in metric.sections(entries)],
        "samples": _samples(entries, real),
        "conditions": [(entry.title, _conditions(entry.result)) for entry in entries],
    }


def _warnings(entries: Sequence[Entry]) -> list[str]:
    """What the metrics warn of, each once, without what another one says at greater length."""
    found = [text for metric in METRICS for entry in entries for text in metric.warnings(entry)]
    once = list(dict.fromkeys(found))
    return [text for text in once if not any(other.startswith(text) for other in once if other != text)]


def _briefly_named(entries: Sequence[Entry]) -> list[Entry]:
    names = brief_names([entry.target.name for entry in entries])
    return [
        replace(
            entry,
            row={**entry.row, "run": names[entry.target.name]},
            target=replace(entry.target, name=names[entry.target.name]),
        )
        for entry in entries
    ]


def _samples(entries: Sequence[Entry], real: np.ndarray | None) -> Section | None:
    cards = [Card(entry.title, entry.samples) for entry in entries if entry.samples is not None]
    shown = [] if real is None else [Card("real images", real)]
    return Section("Samples from the same seeds", "", cards=(*shown, *cards)) if cards else None


def _losses(entries: Sequence[Entry]) -> list[Figure]:
    folders = {entry.target.name: entry.target.run.folder for entry in entries if entry.target.run is not None}
    lines = {name: loss_curve(folder) for name, folder in folders.items() if (folder / "metrics.jsonl").exists()}
    if not lines:
        return []
    log = "y" if all(min(values, default=0) > 0 for _, values in lines.values()) else ""
    return [Figure("Training loss (each objective has its own scale)", curves(lines, x="step", y="loss", log=log))]


def _conditions(result: Result) -> Result:
    return {**{key: result[key] for key in CONDITIONS if key in result}, "left out": result["left_out"]}


def _picture(card: Card) -> str:
    """The card's images as a data URI."""
    return picture_url(image_grid(np.ascontiguousarray(card.pixels), card.columns))
