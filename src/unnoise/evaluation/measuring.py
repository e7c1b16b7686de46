"""The journey behind `unnoise evaluate`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import unnoise
from unnoise.data import Images, open_source
from unnoise.evaluation.bench import Bench, Settings
from unnoise.evaluation.measures import MEASURES, OF_SAMPLES
from unnoise.evaluation.subject import Subject, open_subject
from unnoise.files import write_atomic
from unnoise.registry import lookup
from unnoise.training.device import best_device

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
    Raises ValueError for an unknown name and for what cannot be measured, saying why.
    """
    for name in metrics:
        lookup(MEASURES, name, "metric")
    for name in (reference, split):
        lookup(dict.fromkeys(SPLITS), name, "split")
    subject = open_subject(what, sampler=sampler, options=options, guidance=guidance, device=device)
    bench, used = open_bench(
        subject,
        data,
        split,
        Settings(n, seed, reference, features, batch_size, times, device or best_device(), precision),
    )
    result = measure(bench, metrics, used)
    if subject.run is not None:
        name = f"{_name(result, metrics)}.json"
        write_atomic(subject.run.folder / "evaluations" / name, json.dumps(result, indent=1))
    return result


def measure(bench: Bench, metrics: Sequence[str], split: str) -> dict[str, Any]:
    """Every metric's entries, and the conditions they were measured under. split: whose likelihood is measured."""
    chosen = dict.fromkeys(lookup(MEASURES, name, "metric") for name in metrics)
    begun, images = time.perf_counter(), bench.likelihood_images
    values = {name: value for measured in chosen for name, value in measured(bench).items()}
    of_samples = bool(OF_SAMPLES & set(metrics))
    return {
        "subject": bench.subject.name,
        **bench.subject.checkpoint(),
        "data": {"source": images.source, "fingerprint": images.fingerprint, "split": split},
        **(_conditions(bench) if of_samples else {"n": min(bench.settings.n, len(images))}),
        "seed": bench.settings.seed,
        **values,
        "seconds": round(time.perf_counter() - begun, 3),
        "unnoise": unnoise.__version__,
    }


def open_bench(subject: Subject, data: Any, split: str, settings: Settings) -> tuple[Bench, str]:
    """The bench for a subject, and the split whose likelihood it measures.

    A run's data is opened as the run's model takes it; other data as it is.
    """
    source = data if data is not None or subject.run is None else subject.run.config["source"]
    if source is None:
        raise ValueError(f"{subject.name} does not say what to measure it against: give --data")
    options: dict[str, Any] = {"progress": False}
    if subject.model is not None:
        channels, height, width = subject.model.shape
        options = {**options, "size": (height, width), "channels": channels}
    splits: dict[str, Images | None] = {
        "train": _open(source, "train", options),
        "test": _open(source, "test", options),
    }
    used = split if splits[split] is not None else "train"
    measured = splits[used]
    assert measured is not None
    return Bench(subject, splits["train"], splits["test"], settings, measured), used


def _open(source: Any, split: str, options: Mapping[str, Any]) -> Images | None:
    """The split of a source; None for a test split that the source does not have."""
    try:
        return open_source(source, split=split, **options)
    except ValueError:
        if split == "train":
            raise
        return None


def _conditions(bench: Bench) -> dict[str, Any]:
    """How the numbers about samples were made."""
    extractor = bench.extractor
    trained = getattr(extractor, "training", None)
    return {
        "features": extractor.name,
        "feature_space": {
            "version": extractor.version,
            "dim": extractor.dim,
            **({} if trained is None else {"accuracy": trained.accuracy, "test_images": trained.test_images}),
        },
        "n": len(bench.drawn.pixels),
        "reference": {
            "source": bench.reference_images.source,
            "split": bench.settings.reference,
            "n": len(bench.reference),
            "fingerprint": bench.reference_images.fingerprint,
        },
        "samples": bench.drawn.how,
    }


def _name(result: Mapping[str, Any], metrics: Sequence[str]) -> str:
    """STEP-METRICS-DIGEST: another file for other conditions, the same for the same."""
    keys = ("data", "features", "feature_space", "n", "reference", "seed", "likelihood")
    how = {name: value for name, value in result.get("samples", {}).items() if not name.startswith("seconds")}
    text = json.dumps([*(result.get(key) for key in keys), how, list(metrics)], sort_keys=True)
    return f"{result['step']}-{'-'.join(metrics)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
