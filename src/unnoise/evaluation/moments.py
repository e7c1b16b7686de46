"""Measuring against a mean and a covariance that others computed: FID statistics of pytorch-fid and clean-fid.

pytorch-fid writes them with `--save-stats`, clean-fid with `make_custom_stats`: an .npz with `mu` (D,) and `sigma`
(D, D) of Inception's features. clean-fid's own preprocessing ('clean') is another feature space, and a distance to its
statistics is no FID of either; its mode 'legacy_pytorch' has the statistics of the common one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

import unnoise
from unnoise.aliases import Source
from unnoise.data.cache import cache_folder
from unnoise.errors import DamagedSource, NotApplicable, UserError
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics.frechet import fid_name
from unnoise.evaluation.plan import announce, plan_samples
from unnoise.evaluation.target import Target
from unnoise.features import FEATURES
from unnoise.features.cache import features_of
from unnoise.features.extractor import FeatureExtractor
from unnoise.files import digest, finite
from unnoise.metrics.frechet_interval import frechet_to_moments
from unnoise.registry import build
from unnoise.sources.npz import NpzFile, is_npz

KEYS = ("mu", "sigma")
WIDEST = 1 << 13
INTERVAL = "95 %, over repetitions that draw samples anew; the reference is given"


@dataclass(frozen=True)
class Moments:
    """mean (D,) and covariance (D, D) of a reference's features, and the file that they came from."""

    file: Path
    mean: np.ndarray
    covariance: np.ndarray


class Drawing(NamedTuple):
    """How samples are drawn: as the arguments of `evaluate`."""

    seed: int
    batch_size: int
    precision: str
    device: str


def read_moments(data: Source) -> Moments | None:
    """The statistics in a file; None for everything that is no statistics file.

    Raises:
        DamagedSource: for mu and sigma that are no mean and covariance.
    """
    if not isinstance(data, str | Path) or not Path(data).is_file() or not is_npz(Path(data)):
        return None
    file = NpzFile(Path(data))
    if not set(KEYS) <= set(file.names):
        return None
    mean, covariance = (file.read(name) for name in KEYS)
    dim = mean.size
    if mean.ndim != 1 or covariance.shape != (dim, dim) or not 1 <= dim <= WIDEST:
        raise DamagedSource(f"{data}: mu and sigma must be (D,) and (D, D); got {mean.shape} and {covariance.shape}")
    if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in (mean, covariance)):
        raise DamagedSource(f"{data}: mu and sigma must hold finite floating-point numbers")
    return Moments(Path(data), mean, covariance)


def measure_against(
    moments: Moments,
    target: Target,
    metrics: Sequence[str],
    features: str | None,
    n: int | None,
    how: Drawing,
) -> Result:
    """The Frechet distance of n samples from the statistics, with the conditions that `evaluate` gives.

    Raises:
        NotApplicable: for metrics that need the reference images themselves.
        UserError: for features of another width.
    """
    others = [name for name in metrics if name != "fid"]
    if others:
        raise NotApplicable(f"{moments.file} holds a mean and a covariance: {others[0]} needs images; --metrics fid")
    begun = time.perf_counter()
    extractor = _extractor(features or "inception", moments, target, how.device)
    plan = plan_samples([target], [None], n, how.seed, how.precision)
    announce(plan)
    drawn = target.draw(plan.n, None, how.seed, how.batch_size, how.precision)
    found = frechet_to_moments(features_of(drawn.pixels, extractor, "samples"), moments.mean, moments.covariance)
    return finite(
        {
            "target": target.name,
            **target.checkpoint(),
            "data": {"source": str(moments.file), "fingerprint": digest(moments.file), "split": "statistics"},
            "features": extractor.name,
            "feature_space": {"version": extractor.version, "dim": extractor.dim},
            "n": len(drawn.pixels),
            "reference": {"source": str(moments.file), "split": "statistics", "n": None},
            "samples": drawn.how,
            "seed": how.seed,
            "fid": found.found.distance,
            "fid_stderr": found.stderr,
            "fid_interval": list(found.interval),
            "fid_infinite": None,
            "fid_interval_of": INTERVAL,
            "fid_terms": {"mean": found.found.mean_term, "covariance": found.found.covariance_term},
            "fid_name": fid_name(extractor.name),
            "seconds": round(time.perf_counter() - begun, 3),
            "unnoise": unnoise.__version__,
        }
    )


def _extractor(name: str, moments: Moments, target: Target, device: str) -> FeatureExtractor:
    """A feature space that no training set is needed for, of the statistics' width."""
    if name == "classifier":
        raise UserError("features 'classifier' are trained on the reference's images, and statistics have none")
    shape = target.model.shape if target.model is not None else target.images.shape if target.images else None
    folder = cache_folder() / "downloads" / name
    extractor = build(FEATURES, name, "feature space", shape=shape, folder=folder).to(device)
    if extractor.dim != len(moments.mean):
        raise UserError(
            f"{moments.file} holds statistics of {len(moments.mean)} features; {name!r} has {extractor.dim}"
        )
    return extractor
