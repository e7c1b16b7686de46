"""A run, a model or images, measured against data: what `unnoise evaluate` does."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import unnoise
from unnoise.aliases import Record
from unnoise.data.settings import check_split
from unnoise.errors import UserError
from unnoise.evaluation.context import Context, Settings
from unnoise.evaluation.entry import Result
from unnoise.evaluation.keeping import keep
from unnoise.evaluation.metrics import Metric, find_metrics, named_metrics
from unnoise.evaluation.moments import Drawing, measure_against, read_moments
from unnoise.evaluation.plan import MOST, announce, plan_samples
from unnoise.evaluation.target import Source, Target, as_levels, open_target
from unnoise.files import finite
from unnoise.models import ImageModel
from unnoise.registry import Positive, fitted
from unnoise.runs.data import Reading
from unnoise.runtime.cpu import keep_pages
from unnoise.runtime.device import chosen_device
from unnoise.runtime.world import join
from unnoise.sources.paths import looking_once


def evaluate(
    what: Source | ImageModel,
    data: Source | None = None,
    metrics: Sequence[str] = ("fid",),
    features: str | None = None,
    n: int | None = None,
    *,
    reference: str = "train",
    split: str = "test",
    sampler: str | None = None,
    options: Mapping[str, object] | None = None,
    guidance: float = 1.0,
    times: int | None = None,
    precision: str = "auto",
    seed: int = 0,
    batch_size: int = 256,
    device: str | None = None,
    value_range: str | None = None,
    aspect: str | None = None,
) -> Result:
    """Measures a run, a model or a source of images; a run keeps the result in its evaluations folder, and shows it on
    its page.

    Several processes share the drawing, the features and the network's part of likelihoods, and each gets all of them:
    the numbers are those of one process.

    Args:
        what: a run's folder, a model, or a source of images.
        data: the source to measure against, or an .npz of its mean and covariance as pytorch-fid and clean-fid write
            them (`evaluation.moments`); by default what the run was trained on.
        metrics: names in METRICS.
        features: a name in FEATURES; by default classifier where there are labels, else imagenet.
        n: samples, and images at most whose likelihood is measured; by default 10,000, or as many samples as five
            minutes allow, at least 500; fewer only where these take more than half an hour, which the plan says.
        reference: the split that samples are compared with, 'train' as in the literature, or 'test'.
        split: the split whose likelihood is measured; 'train' where the data has no test split, which the result says.
        sampler: by default the run's own.
        options: keywords of the sampler.
        guidance: scale of classifier-free guidance.
        times: steps per image of a likelihood's sum.
        precision: of sampling, as in `chosen_precision`.
        seed: of the first sample.
        batch_size: images drawn at once.
        device: by default the best there is.
        value_range: of float images, '0,1' or '-1,1'; by default by their own range, which is reported.
        aspect: 'W:H': of a run with buckets, the bucket that is drawn and compared with its own images; by default the
            one with most images.

    Returns:
        A JSON object: the numbers, and the conditions they were measured under.

    Raises:
        UserError: for an unknown name, for numbers below 1, and for data that cannot be read.
        NotApplicable: for a metric that this model, data or feature space does not have.
    """
    keep_pages()
    metrics = named_metrics(metrics)
    chosen = find_metrics(metrics)
    for name in (reference, split):
        check_split(name)
    for name, value in {"n": n, "batch_size": batch_size, "times": times}.items():
        fitted(value, Positive | None, name)
    world = join()
    device = world.device(device)
    with world.first_goes_ahead():
        target = open_target(
            what,
            sampler=sampler,
            options=options,
            guidance=guidance,
            device=device,
            value_range=value_range,
            aspect=aspect,
        )
    if moments := read_moments(data):
        how = Drawing(seed, batch_size, precision, chosen_device(device))
        return kept(measure_against(moments, target, metrics, features, n, how), target, metrics)
    data = None if data is None else as_levels(data, value_range)
    settings = Settings(
        MOST if n is None else n, seed, reference, features, batch_size, times, chosen_device(device), precision
    )
    with world.first_goes_ahead():
        context, used = open_context(target, data, split, settings)
    check_feasible(context, chosen)
    if any(metric.of_samples for metric in chosen) and target.why_no_samples() is None:
        plan = plan_samples([target], [context.train], n, seed, precision)
        announce(plan)
        context.settings = replace(context.settings, n=world.broadcast(plan.n))
    return kept(measure(context, chosen, used), target, metrics)


def check_feasible(context: Context, metrics: Iterable[Metric]) -> None:
    """Whatever can be wrong about what was asked for is found before anything is drawn.

    Raises:
        UserError: for an unknown feature space, and one whose weights are not there.
        NotApplicable: for a metric that this target, data or feature space does not have.
    """
    for metric in metrics:
        metric.check(context)
        if metric.of_samples:
            _ = context.reference_images, context.extractor


def kept(result: Result, target: Target, metrics: Sequence[str]) -> Result:
    """The result, which a run also keeps."""
    if target.run is not None and join().is_first:
        keep(target.run, _name(result, metrics), result)
    return result


def measure(context: Context, metrics: Iterable[Metric], split: str) -> Result:
    """Every metric's entries, and the conditions they were measured under. split: whose likelihood is measured."""
    metrics = list(metrics)
    begun, images = time.perf_counter(), context.likelihood_images
    values = {name: value for metric in metrics for name, value in metric.measure(context).items()}
    of_samples = any(metric.of_samples for metric in metrics)
    return finite(
        {
            "target": context.target.name,
            **context.target.checkpoint(),
            "data": {
                "source": images.source,
                "fingerprint": images.fingerprint,
                "split": split,
                **_bucket(context.target),
            },
            **(_conditions(context) if of_samples else {"n": min(context.settings.n, len(images))}),
            "seed": context.settings.seed,
            **values,
            "seconds": round(time.perf_counter() - begun, 3),
            "unnoise": unnoise.__version__,
        }
    )


def _bucket(target: Target) -> Record:
    """Of a run with buckets: the one that is measured, as WIDTHxHEIGHT."""
    if target.run is None or target.model is None or not target.run.buckets:
        return {}
    _, height, width = target.model.shape
    return {"bucket": f"{width}x{height}"}


def open_context(target: Target, data: Source | None, split: str, settings: Settings) -> tuple[Context, str]:
    """The context for a target, and the split whose likelihood it measures.

    A run's data is opened as the run's model takes it; other data as it is.

    Raises:
        UserError: where there is no data, or it cannot be read.
    """
    source = data if data is not None or target.run is None else target.run.config["source"]
    if source is None:
        raise UserError(f"{target.name} does not say what to measure it against: give --data")
    reading = Reading() if target.run is None else target.run.reading(data)
    reading = replace(reading, shape=None if target.model is None else target.model.shape)
    with looking_once():
        splits = {"train": reading.open(source, "train"), "test": reading.open_test(source)}
    used = split if splits[split] is not None else "train"
    measured = splits[used]
    assert measured is not None
    return Context(target, splits["train"], splits["test"], settings, measured), used


def _conditions(context: Context) -> Result:
    """How the numbers about samples were made."""
    extractor = context.extractor
    return {
        "features": extractor.name,
        "feature_space": {"version": extractor.version, "dim": extractor.dim, **extractor.quality()},
        "n": len(context.drawn.pixels),
        "reference": {
            "source": context.reference_images.source,
            "split": context.settings.reference,
            "n": len(context.reference),
            "fingerprint": context.reference_images.fingerprint,
        },
        "samples": context.drawn.how,
    }


def _name(result: Result, metrics: Sequence[str]) -> str:
    """STEP-METRICS-DIGEST: another file for other conditions, the same for the same."""
    keys = ("data", "features", "feature_space", "n", "reference", "seed", "likelihood")
    how = {name: value for name, value in result.get("samples", {}).items() if not name.startswith("seconds")}
    text = json.dumps([*(result.get(key) for key in keys), how, list(metrics)], sort_keys=True)
    return f"{result['step']}-{'-'.join(metrics)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
