"""The journey behind `unnoise evaluate`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import unnoise
from unnoise.errors import UserError
from unnoise.evaluation.context import Context, Settings
from unnoise.evaluation.metrics import MEASURES, OF_SAMPLES
from unnoise.evaluation.target import Target, open_target
from unnoise.files import write_atomic
from unnoise.registry import lookup
from unnoise.runs.data import open_data, open_test_split
from unnoise.runtime.device import best_device

SPLITS = ("train", "test")


def evaluate(
    what: Any,
    data: Any = None,
    metrics: Sequence[str] = ("fid",),
    features: str | None = None,
    n: int = 10_000,
    *,
    reference: str = "train",
    split: str = "test",
    sampler: str | None = None,
    options: Mapping[str, Any] | None = None,
    guidance: float = 1.0,
    times: int | None = None,
    precision: str = "auto",
    seed: int = 0,
    batch_size: int = 256,
    device: str | None = None,
) -> dict[str, Any]:
    """Measures a run, a model or a source of images; a run keeps the result in its evaluations folder.

    what: a run's folder, a model, or anything `unnoise.open_source` takes. data: the source to measure against, by
    default what the run was trained on. metrics: names in MEASURES. features: a name in FEATURES, by default classifier
    where there are labels, else imagenet. n: samples, and images at most whose likelihood is measured.
    reference: the split that samples are held against, 'train' as in the literature, or 'test'. split: the one whose
    likelihood is measured, 'test' falling back to 'train' where there is none, and saying so.
    sampler, options, guidance: how to sample, default the run's own. times: per image, for likelihoods.
    precision: of sampling.
    Raises UserError for an unknown name and for what cannot be measured, saying why.
    """
    for name in metrics:
        lookup(MEASURES, name, "metric")
    for name in (reference, split):
        lookup(dict.fromkeys(SPLITS), name, "split")
    target = open_target(what, sampler=sampler, options=options, guidance=guidance, device=device)
    context, used = open_context(
        target,
        data,
        split,
        Settings(n, seed, reference, features, batch_size, times, device or best_device(), precision),
    )
    result = measure(context, metrics, used)
    if target.run is not None:
        name = f"{_name(result, metrics)}.json"
        write_atomic(target.run.folder / "evaluations" / name, json.dumps(result, indent=1))
    return result


def measure(context: Context, metrics: Sequence[str], split: str) -> dict[str, Any]:
    """Every metric's entries, and the conditions they were measured under. split: whose likelihood is measured."""
    chosen = dict.fromkeys(lookup(MEASURES, name, "metric") for name in metrics)
    begun, images = time.perf_counter(), context.likelihood_images
    values = {name: value for measured in chosen for name, value in measured(context).items()}
    of_samples = bool(OF_SAMPLES & set(metrics))
    return {
        "subject": context.target.name,
        **context.target.checkpoint(),
        "data": {"source": images.source, "fingerprint": images.fingerprint, "split": split},
        **(_conditions(context) if of_samples else {"n": min(context.settings.n, len(images))}),
        "seed": context.settings.seed,
        **values,
        "seconds": round(time.perf_counter() - begun, 3),
        "unnoise": unnoise.__version__,
    }


def open_context(target: Target, data: Any, split: str, settings: Settings) -> tuple[Context, str]:
    """The context for a target, and the split whose likelihood it measures.

    A run's data is opened as the run's model takes it; other data as it is.
    """
    source = data if data is not None or target.run is None else target.run.config["source"]
    if source is None:
        raise UserError(f"{target.name} does not say what to measure it against: give --data")
    shape = None if target.model is None else target.model.shape
    splits = {"train": open_data(source, "train", shape=shape), "test": open_test_split(source, shape=shape)}
    used = split if splits[split] is not None else "train"
    measured = splits[used]
    assert measured is not None
    return Context(target, splits["train"], splits["test"], settings, measured), used


def _conditions(context: Context) -> dict[str, Any]:
    """How the numbers about samples were made."""
    extractor = context.extractor
    trained = getattr(extractor, "training", None)
    return {
        "features": extractor.name,
        "feature_space": {
            "version": extractor.version,
            "dim": extractor.dim,
            **({} if trained is None else {"accuracy": trained.accuracy, "test_images": trained.test_images}),
        },
        "n": len(context.drawn.pixels),
        "reference": {
            "source": context.reference_images.source,
            "split": context.settings.reference,
            "n": len(context.reference),
            "fingerprint": context.reference_images.fingerprint,
        },
        "samples": context.drawn.how,
    }


def _name(result: Mapping[str, Any], metrics: Sequence[str]) -> str:
    """STEP-METRICS-DIGEST: another file for other conditions, the same for the same."""
    keys = ("data", "features", "feature_space", "n", "reference", "seed", "likelihood")
    how = {name: value for name, value in result.get("samples", {}).items() if not name.startswith("seconds")}
    text = json.dumps([*(result.get(key) for key in keys), how, list(metrics)], sort_keys=True)
    return f"{result['step']}-{'-'.join(metrics)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
