"""The Frechet distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Entry, Figure, Result
from unnoise.evaluation.metrics.metric import Line, Metric
from unnoise.evaluation.plots import Curve, curves
from unnoise.metrics.frechet_interval import Pair, frechet_estimate
from unnoise.metrics.uncertainty import small_sample_warning

INTERVAL = "95 %, over repetitions that draw samples and reference images anew"


def fid_name(features: str) -> str:
    """What a Frechet distance may be called: FID in the features of the literature, else with its features' name."""
    return "FID" if features == "inception" else f"Frechet distance ({features} features)"


def short_name(result: Result) -> str:
    """The same where there is little room: 'FD (pixels)'."""
    return "FID" if result["features"] == "inception" else f"FD ({result['features']})"


def _baseline(result: Result) -> float | None:
    return result["fid_baseline"]["value"] if "fid_baseline" in result else None


class FrechetDistance(Metric):
    """The squared Frechet distance of two Gaussians fitted to features: FID in Inception's."""

    names: ClassVar = ("fid",)
    summary: ClassVar = (
        "Frechet distance of two Gaussians in a feature space, with an interval and the held-out baseline "
        "(Heusel et al. 2017)"
    )
    columns: ClassVar = (
        Column("fid", "FID", name=short_name),
        Column("fid_baseline", "held-out baseline", value=_baseline),
    )

    def compute(self, context: Context) -> Result:
        found = frechet_estimate(context.samples, context.reference, seed=context.settings.seed)
        result: Result = {
            "fid": found.found.distance,
            "fid_stderr": found.stderr,
            "fid_interval": list(found.interval),
            "fid_infinite": None,
            "fid_interval_of": INTERVAL,
            "fid_terms": {"mean": found.found.mean_term, "covariance": found.found.covariance_term},
            "fid_name": fid_name(context.extractor.name),
        }
        if found.infinite_interval is not None:
            result["fid_infinite"] = {"value": found.infinite, "interval": list(found.infinite_interval)}
        warning = small_sample_warning(len(context.samples), context.extractor.dim)
        if warning or found.found.near_singular:
            ranks = "covariances of rank {} and {} in {} dimensions".format(*found.found.ranks, found.found.dim)
            texts = (warning, ranks if found.found.near_singular else None)
            result["fid_warning"] = "; ".join(text for text in texts if text)
        if context.held_out is not None:
            result["fid_baseline"] = {
                "value": Pair.of(context.held_out.double(), context.reference.double()).distance().distance,
                "n": len(context.held_out),
                "of": "held-out real images",
            }
        return result

    def lines(self, result: Result) -> list[Line]:
        low, high = result["fid_interval"]
        lines = [(result["fid_name"], f"{result['fid']:.4f} (95 % interval at this n: {low:.4f} to {high:.4f})")]
        if result["fid_infinite"] is not None:
            infinite = result["fid_infinite"]
            low, high = infinite["interval"]
            lines.append(("  at infinite n", f"{infinite['value']:.4f} (95 % interval: {low:.4f} to {high:.4f})"))
        if "fid_baseline" in result:
            held_out = result["fid_baseline"]
            lines.append(
                ("  held-out baseline", f"{held_out['value']:.4f}, the distance of {held_out['n']} {held_out['of']}")
            )
        if "fid_warning" in result:
            lines.append(("  take care", result["fid_warning"]))
        return lines

    def warnings(self, entry: Entry) -> list[str]:
        return [entry.result["fid_warning"]] if "fid_warning" in entry.result else []

    def figures(self, entries: Sequence[Entry]) -> list[Figure]:
        measured = [entry for entry in entries if "fid" in entry.result]
        return [*against_steps(measured), *against_guidance(measured)]


def against_steps(entries: Sequence[Entry]) -> list[Figure]:
    """The distance against the number of steps, and against the time for an image, where a run was measured at several
    numbers of steps: students stand on the axes of their teachers."""
    lines = _lines([entry for entry in entries if entry.row["steps"]], "steps", ("fid",), _sampler)
    if not any(len(at) > 1 for at, _ in lines.values()):
        return []
    baseline = next((entry.row["fid_baseline"] for entry in entries if entry.row["fid_baseline"]), None)
    name = entries[0].result["fid_name"]
    look = {"y": name, "log": "xy", "markers": True, "level": baseline}
    times = _lines([entry for entry in entries if entry.row["steps"]], "milliseconds", ("fid",), _sampler)
    return [
        Figure(f"{name} against steps", curves(lines, x="steps", **look)),
        Figure(f"{name} against time", curves(times, x="milliseconds per image", named=False, **look)),
    ]


def against_guidance(entries: Sequence[Entry]) -> list[Figure]:
    """The distance, and fidelity and variety by themselves, against the guidance scale: a line for each way of sampling
    that was measured at several scales."""
    name = entries[0].result["fid_name"] if entries else ""
    distance = _several(_lines(entries, "guidance", ("fid",), _steps))
    if not distance:
        return []
    parts = _several(_lines(entries, "guidance", ("precision", "recall", "class_accuracy"), _measure))
    fractions = curves(parts, x="guidance scale", y="fraction", markers=True)
    return [
        Figure(f"{name} against guidance", curves(distance, x="guidance scale", y=name, markers=True)),
        *([Figure("Precision, recall and class accuracy against guidance", fractions)] if parts else []),
    ]


def _several(lines: dict[str, Curve]) -> dict[str, Curve]:
    """The lines through more than one place."""
    return {name: (at, values) for name, (at, values) in lines.items() if len(set(at)) > 1}


def _sampler(entry: Entry, key: str) -> str:
    guided = f", guidance {entry.row['guidance']:g}" if entry.row["guidance"] not in (None, 1.0) else ""
    return f"{entry.row['run']}, {entry.row['sampler']}{guided}"


def _steps(entry: Entry, key: str) -> str:
    return f"{entry.row['run']}, {entry.row['sampler']} {entry.row['steps']} steps"


def _measure(entry: Entry, key: str) -> str:
    return f"{_steps(entry, key)}, {key.replace('_', ' ')}"


def _lines(
    entries: Sequence[Entry], x: str, keys: Sequence[str], name: Callable[[Entry, str], str]
) -> dict[str, Curve]:
    """A line for each key of each run: its values against the column x."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for entry in entries:
        for key in keys:
            if entry.row.get(key) is not None:
                at, values = lines.setdefault(name(entry, key), ([], []))
                at.append(entry.row[x])
                values.append(entry.row[key])
    return dict(lines)
