"""One page about a comparison, whole in one file: no network, light and dark."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from unnoise.data import image_grid
from unnoise.evaluation.plots import bars, binned, curves, loss_curve
from unnoise.files import write_atomic
from unnoise.progress import duration

if TYPE_CHECKING:
    from unnoise.evaluation.compare import Entry

COLUMNS: dict[str, tuple[str, str]] = {
    "run": ("run", "{}"),
    "sampler": ("sampler", "{}"),
    "steps": ("steps", "{}"),
    "guidance": ("guidance", "{:g}"),
    "fid": ("{fid_name}", "{:.3f}"),
    "kid": ("kernel distance", "{:.5f}"),
    "inception_score": ("inception score", "{:.2f}"),
    "precision": ("precision", "{:.3f}"),
    "recall": ("recall", "{:.3f}"),
    "density": ("density", "{:.3f}"),
    "coverage": ("coverage", "{:.3f}"),
    "class_accuracy": ("class right", "{:.3f}"),
    "modes": ("modes", "{}"),
    "memorised": ("copies", "{:.3f}"),
    "reconstruction": ("back from codes, dB", "{:.2f}"),
    "bits_per_dim": ("bits/dim", "{:.3f}"),
    "seconds_per_image": ("s per image", "{:.4f}"),
    "seconds_50000": ("50,000 images", "{}"),
    "parameters": ("parameters", "{:,}"),
    "training_seconds": ("training", "{}"),
}
"""The table's columns: key of a row, heading, format. Columns that no row fills are left out."""
HOW = ("sampler", "steps", "guidance")
"""Columns that say how, and are empty where there is nothing to say; measures are 'none' there."""
USUAL = {"guidance": 1.0}
"""What a column need not say when every row has it."""


def write_report(entries: Sequence[Entry], path: Path) -> Path:
    """Writes the page and returns where."""
    write_atomic(path, _template().render(**_content(entries)))
    return path


def _content(entries: Sequence[Entry]) -> dict[str, Any]:
    entries = _briefly_named(entries)
    coded = [(entry.target.name, entry.reconstructed) for entry in entries if entry.reconstructed is not None]
    return {
        "headings": _headings(entries),
        "rows": [_cells(entry, entries) for entry in entries],
        "floor": next((e.result["fid_baseline"] for e in entries if "fid_baseline" in e.result), None),
        "warnings": _warnings(entries),
        "fid_name": _fid_name(entries),
        "figures": [figure for figure in _figures(entries) if figure],
        "grids": [(_title(entry), _picture(entry.samples)) for entry in entries if entry.samples is not None],
        "pairs": [(_title(e), _picture(_flat(e.closest), 12), e.result) for e in entries if e.closest is not None],
        "codes": [(name, _picture(_flat(pairs), 12)) for name, pairs in coded],
        "bounds": [(entry.target.name, entry.result) for entry in entries if "bits_per_dim" in entry.result],
        "apart": [(entry.target.name, entry.result["ood_auroc"]) for entry in entries if "ood_auroc" in entry.result],
        "conditions": [(_title(entry), _conditions(entry)) for entry in entries],
    }


def _warnings(entries: Sequence[Entry]) -> list[str]:
    """Too few samples for the distance, and classes left out by more than chance explains (two standard deviations)."""
    few = {entry.result["fid_warning"] for entry in entries if "fid_warning" in entry.result}
    counted = [(_title(entry), entry.result["modes"]) for entry in entries if "modes" in entry.result]
    dropped = [
        f"{title} leaves out {len(modes['missing'])} of {modes['of']} classes ({', '.join(modes['missing'])}): "
        "mode collapse, or too little training"
        for title, modes in counted
        if len(modes["missing"]) > modes["missing_expected"] + 2 * math.sqrt(modes["missing_expected"])
    ]
    return [*(text for text in sorted(few) if not any(other.startswith(text) for other in few - {text})), *dropped]


def _briefly_named(entries: Sequence[Entry]) -> list[Entry]:
    """Runs called by their folders' names alone, where these differ."""
    brief = {entry.target.name: Path(entry.target.name).name for entry in entries}
    if len(set(brief.values())) < len(brief):
        return list(entries)
    return [
        replace(
            entry,
            row={**entry.row, "run": brief[entry.target.name]},
            target=replace(entry.target, name=brief[entry.target.name]),
        )
        for entry in entries
    ]


def _headings(entries: Sequence[Entry]) -> list[str]:
    short = _fid_name(entries).replace("Frechet distance", "FD").replace(" features", "")
    return [COLUMNS[key][0].format(fid_name=short) for key in _filled(entries)]


def _cells(entry: Entry, entries: Sequence[Entry]) -> list[str]:
    row = {**entry.row, **{key: _time(entry.row[key]) for key in ("training_seconds", "seconds_50000")}}
    cells = {key: _cell(key, row[key]) for key in _filled(entries)}
    if row["bits_of"] == "binary":
        cells["bits_per_dim"] += " (binary)"  # of black or white pixels: compares with no other row
    return list(cells.values())


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "" if key in HOW else "none"
    return COLUMNS[key][1].format(value)


def _filled(entries: Sequence[Entry]) -> list[str]:
    return [key for key in COLUMNS if any(entry.row.get(key) not in (None, USUAL.get(key)) for entry in entries)]


def _figures(entries: Sequence[Entry]) -> list[tuple[str, str] | None]:
    return [
        _against_steps(entries),
        *_against_guidance(entries),
        _class_shares(entries),
        _losses(entries),
        _per_t(entries),
    ]


def _against_steps(entries: Sequence[Entry]) -> tuple[str, str] | None:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for entry in entries:
        if entry.row["steps"] and entry.row["fid"] is not None:
            guided = f", guidance {entry.row['guidance']:g}" if entry.row["guidance"] not in (None, 1.0) else ""
            at, values = lines.setdefault(f"{entry.row['run']}, {entry.row['sampler']}{guided}", ([], []))
            at.append(entry.row["steps"])
            values.append(entry.row["fid"])
    if not any(len(at) > 1 for at, _ in lines.values()):
        return None
    floor = next((entry.row["fid_baseline"] for entry in entries if entry.row["fid_baseline"]), None)
    name = _fid_name(entries)
    return f"{name} against steps", curves(lines, x="steps", y=name, log="xy", markers=True, level=floor)


def _against_guidance(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """The trade of guidance: the distance, and what it is made of, against the scale."""
    if len({entry.row["guidance"] for entry in entries if entry.row["guidance"] is not None}) < 2:
        return []
    name = _fid_name(entries)
    distance = curves(_by_guidance(entries, ("fid",)), x="guidance scale", y=name, markers=True)
    shares = curves(
        _by_guidance(entries, ("precision", "recall", "class_accuracy")), x="guidance scale", y="share", markers=True
    )
    return [(f"{name} against guidance", distance), ("Precision, recall and class accuracy against guidance", shares)]


def _by_guidance(entries: Sequence[Entry], keys: Sequence[str]) -> dict[str, tuple[list[float], list[float]]]:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for entry in entries:
        for key in keys:
            if entry.row["guidance"] is not None and entry.row[key] is not None:
                at, values = lines.setdefault(f"{entry.row['run']}, {key.replace('_', ' ')}", ([], []))
                at.append(entry.row["guidance"])
                values.append(entry.row[key])
    return lines


def _class_shares(entries: Sequence[Entry]) -> tuple[str, str] | None:
    counted = [entry for entry in entries if "modes" in entry.result]
    if not counted:
        return None
    modes = counted[0].result["modes"]
    groups = {"data": list(modes["data_shares"].values())}
    groups |= {_title(entry): list(entry.result["modes"]["shares"].values()) for entry in counted[:7]}
    return "Share of each class", bars(groups, list(modes["shares"]), y="share")


def _losses(entries: Sequence[Entry]) -> tuple[str, str] | None:
    folders = {entry.target.name: entry.target.run.folder for entry in entries if entry.target.run is not None}
    lines = {name: loss_curve(folder) for name, folder in folders.items() if (folder / "metrics.jsonl").exists()}
    if not lines:
        return None
    log = "y" if all(min(values, default=0) > 0 for _, values in lines.values()) else ""
    return "Training loss (each objective has its own scale)", curves(lines, x="step", y="loss", log=log)


def _per_t(entries: Sequence[Entry]) -> tuple[str, str] | None:
    lines = {e.target.name: binned(e.result["bits_per_t"]) for e in entries if "bits_per_t" in e.result}
    return ("Bits per dimension of each step", curves(lines, x="t", y="bits/dim", log="xy")) if lines else None


def _title(entry: Entry) -> str:
    row = entry.row
    how = f", {row['sampler']} {row['steps']} steps" if row["sampler"] and row["steps"] else ""
    how += f", guidance {row['guidance']:g}" if row["guidance"] not in (None, 1.0) else ""
    return f"{row['run']}{how}"


def _conditions(entry: Entry) -> dict[str, Any]:
    shown = ("features", "feature_space", "n", "reference", "samples", "step", "checkpoint", "seed", "likelihood")
    return {**{key: entry.result[key] for key in shown if key in entry.result}, "left out": entry.result["left_out"]}


def _fid_name(entries: Sequence[Entry]) -> str:
    return next((entry.result["fid_name"] for entry in entries if "fid_name" in entry.result), "FID")


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else duration(seconds)


def _flat(pairs: np.ndarray) -> np.ndarray:
    return pairs.reshape(-1, *pairs.shape[2:])


def _picture(pixels: np.ndarray, columns: int | None = None) -> str:
    stream = io.BytesIO()
    image_grid(pixels, columns).save(stream, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _template() -> jinja2.Template:
    text = resources.files("unnoise.templates").joinpath("report.html").read_text()
    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)
