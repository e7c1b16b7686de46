"""Runs, samplers and steps measured alike, in one table and on one page: what `unnoise compare` does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from unnoise.data import save_png
from unnoise.errors import NotApplicable, UserError
from unnoise.evaluation.context import Context, Settings
from unnoise.evaluation.entry import Entry, Result
from unnoise.evaluation.evaluate import measure, open_context
from unnoise.evaluation.metrics import Metric, find_metrics, named_metrics
from unnoise.evaluation.plan import announce, plan_samples
from unnoise.evaluation.report import write_report
from unnoise.evaluation.sheet import Row, by_itself, sheet
from unnoise.evaluation.table import row_of
from unnoise.evaluation.target import Source, Target, open_target
from unnoise.features import FEATURES
from unnoise.files import json_text, write_atomic
from unnoise.registry import Positive, fitted, lookup
from unnoise.runtime.cpu import keep_pages
from unnoise.runtime.device import chosen_device
from unnoise.samplers.spec import parse_sampler
from unnoise.sampling.sampler_choice import TUNED, choose_sampler

SHOWN = 36
"""Samples of each row that the page shows, from the same seeds."""
SAMPLES_FILE = "samples.png"
MOST = 2000
"""Samples of each row where no number is given and time allows it."""
DEFAULT_METRICS = ("fid", "precision", "recall", "modes", "memorised", "bpd")


def compare(
    runs: Sequence[str | Path],
    *,
    steps: Sequence[int] = (),
    samplers: Sequence[str] = (),
    guidance: Sequence[float] = (),
    data: Source | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    features: str | None = None,
    n: int | None = None,
    reference: str = "train",
    seed: int = 0,
    out: str | Path = "comparison",
    device: str | None = None,
) -> Result:
    """Measures every run with every sampler and number of steps, and writes OUT/results.json, OUT/report.html and
    OUT/samples.png, which shows samples of the same seeds in all rows and by each run's own sampler.

    Args:
        runs: run folders, or sources of images.
        steps: numbers of steps for models that sample in many; by default each run's own.
        samplers: names of samplers, alike; 'ddim@50' brings its own number of steps.
        guidance: scales of classifier-free guidance, for conditional runs; by default none.
        data: the source to measure against; by default the one each run was trained on.
        metrics: names in METRICS; one that a target does not have is None in its row, with the reason in its result.
        features: a name in FEATURES.
        n: samples of each; by default 2,000, or as many as five minutes allow for all rows together, at least 500;
            fewer only where these take more than half an hour, which the plan says.
        reference: the split that samples are compared with.
        seed: of the first sample, the same for every run.
        out: the folder of the page.
        device: by default the best there is.

    Returns:
        {table, report, results, picture}: the rows, and where the page, everything that was measured and the samples
        are; picture is None where there are no samples.

    Raises:
        UserError: for what does not exist or cannot be read, and for an n below 1.
    """
    if not runs:
        raise UserError("nothing to compare: give at least one run")
    keep_pages()
    metrics = named_metrics(metrics)
    chosen = find_metrics(metrics)
    fitted(n, Positive | None, "n")
    if features is not None:
        lookup(FEATURES, features, "feature space")
    targets = [target for run in runs for target in _variants(run, samplers, steps, guidance, device)]
    settings = Settings(MOST if n is None else n, seed, reference, features, device=chosen_device(device))
    opened = deque(open_context(target, data, "test", settings) for target in targets)
    real = opened[0][0].train.pixels[:SHOWN]
    if any(metric.of_samples for metric in chosen):
        settings = _planned([context for context, _ in opened], n, settings)
    entries: list[Entry] = []
    alone: list[Row] = []
    while opened:  # what a row has measured is let go with it
        context, split = opened.popleft()
        context.settings = settings
        first = context.target.name not in (entry.target.name for entry in entries)
        entries.append(_entry(context, split, [metric for metric in chosen if first or metric.of_samples]))
        if first and entries[-1].samples is not None:
            same = [target.sampler for target in targets if target.name == context.target.name]
            found = by_itself(context, same)
            alone += [] if found is None else [found]
    _fill_rows_of_one_run(entries, chosen)
    folder = Path(out)
    results = {"table": [entry.row for entry in entries], "results": [entry.result for entry in entries]}
    write_atomic(folder / "results.json", json_text(results, indent=1))
    picture = sheet(entries, alone)
    if picture is not None:
        save_png(picture, folder / SAMPLES_FILE)
    report = write_report(entries, folder / "report.html", real, picture)
    return {
        "table": results["table"],
        "report": str(report),
        "results": str(folder / "results.json"),
        "picture": None if picture is None else str(folder / SAMPLES_FILE),
    }


def _planned(contexts: Sequence[Context], n: int | None, settings: Settings) -> Settings:
    """The settings with the number of samples that the plan, which is announced, has."""
    drawing = [context for context in contexts if context.target.why_no_samples() is None]
    if not drawing:
        return settings
    targets, sets = [context.target for context in drawing], [context.train for context in drawing]
    plan = plan_samples(targets, sets, n, settings.seed, settings.precision, MOST)
    announce(plan)
    return replace(settings, n=plan.n)


def _variants(
    run: str | Path, samplers: Sequence[str], steps: Sequence[int], guidance: Sequence[float], device: str | None
) -> Iterator[Target]:
    """The run with each sampler, number of steps and guidance scale; a target without a sampler, once."""
    plain = open_target(run, device=device)
    if plain.sampler is None or plain.run is None:
        yield plain
        return
    scales = guidance if guidance and plain.guidable else (plain.guidance,)
    for name, counts in map(_with_steps, samplers or (None,)):
        for count in counts or steps or (None,):
            options = {} if count is None else {"steps": count}
            chosen = choose_sampler(plain.run, name, options)
            for scale in scales:
                yield replace(plain, sampler=chosen, guidance=scale)


def _with_steps(sampler: str | None) -> tuple[str | None, tuple[int, ...]]:
    """A sampler's text, and the number of steps that it brings, if it does: (50,) for 'ddim@50:eta=0.5'."""
    asked = {} if sampler is None else parse_sampler(sampler, (TUNED,))
    return sampler, (asked["steps"],) if "steps" in asked else ()


def _entry(context: Context, split: str, metrics: Sequence[Metric]) -> Entry:
    result: Result = {}
    left_out: dict[str, str] = {}
    measured: list[Metric] = []
    for metric in metrics:
        try:
            result |= measure(context, [metric], split)
            measured.append(metric)
        except NotApplicable as error:
            left_out[metric.names[0]] = str(error)
    result["left_out"] = left_out
    samples = context.drawn.pixels[:SHOWN] if any(metric.of_samples for metric in measured) else None
    target = context.target
    return Entry(target, row_of(target, result), result, samples, _pairs(context, result, measured))


def _pairs(context: Context, result: Result, metrics: Iterable[Metric]) -> dict:
    found = {metric.names[0]: metric.pairs(context, result) for metric in metrics}
    return {name: pairs for name, pairs in found.items() if pairs is not None}


def _fill_rows_of_one_run(entries: Sequence[Entry], metrics: Iterable[Metric]) -> None:
    """What no sampler changes was measured for a run's first row and holds for its other rows."""
    first: dict[str, Result] = {}
    for entry in entries:
        known = first.setdefault(entry.target.name, entry.row)
        for column in (column for metric in metrics if not metric.of_samples for column in metric.columns):
            entry.row[column.key] = known[column.key]
