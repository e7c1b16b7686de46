"""What a model has learned to see: its features of images, and how far a linear classifier gets with them."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from unnoise.data import Images
from unnoise.evaluation.entry import Result
from unnoise.evaluation.target import Source
from unnoise.files import claim, write_atomic
from unnoise.models import ImageModel
from unnoise.probing.encoder import ImageEncoder
from unnoise.progress import progress_bar
from unnoise.runs.run import Run

ROWS = 256
PROBED = 5000
"""Training images of the linear probe, at most."""


def export_features(
    folder: str | Path,
    data: Source | None = None,
    out: str | Path | None = None,
    *,
    split: str = "train",
    n: int | None = None,
    overwrite: bool = False,
    device: str | None = None,
) -> Result:
    """Writes the features of images to an .npz, and probes them with a linear classifier.

    The features are the latents of an autoencoder or a VAE, or the activations in the middle of a diffusion model's
    U-Net at log-SNR 2, averaged over positions. With labels and a test split a logistic regression is trained on them
    and, for comparison, on the pixels.

    Args:
        folder: of the run.
        data: a source; by default what the run was trained on.
        out: the .npz with `features` (N, D), and `labels` where there are some; by default in the run's folder.
        split: 'train' or 'test'.
        n: images at most.
        overwrite: whether a file that is there already may be written over; the one in the run's folder may be.
        device: by default the best there is.

    Returns:
        {features, dim, n, out, probe}, the probe {accuracy, pixels, train, test} or None.

    Raises:
        NotApplicable: for a model that encodes nothing.
        UserError: for a file that is there already.
    """
    run = Run.open(folder)
    if out is not None:
        claim(Path(out), overwrite=overwrite)
    model = run.load(device)
    images, used = run.open_data(split, data, n)
    features = features_of(model, images)
    out = Path(out) if out is not None else run.folder / "features" / f"{used}-{len(images)}.npz"
    labels = {} if images.labels is None else {"labels": images.labels}
    stream = io.BytesIO()
    np.savez(stream, features=features, **labels)
    write_atomic(out, stream.getvalue())
    test, test_split = run.open_data("test", data)
    probed = images.labels is not None and used == "train" and test_split == "test"
    return {
        "run": str(folder),
        "features": f"{type(model).__name__.lower()}, {ImageEncoder(model).where}",
        "dim": features.shape[1],
        "n": len(images),
        "data": {"source": images.source, "split": used},
        "out": str(out),
        "probe": probe(model, images, test) if probed else None,
    }


def probe(model: ImageModel, train: Images, test: Images) -> Result:
    """The test accuracy of logistic regressions on the features and on the pixels of at most PROBED training images."""
    rows = np.random.default_rng(0).permutation(len(train))[:PROBED]
    few = train.subset(np.sort(rows))
    return {
        "accuracy": _accuracy(features_of(model, few), features_of(model, test), few, test),
        "pixels": _accuracy(_flat(few), _flat(test), few, test),
        "train": len(few),
        "test": len(test),
    }


@torch.no_grad()
def features_of(model: ImageModel, images: Images) -> np.ndarray:
    """(N, D) float32, with a progress bar on a terminal."""
    encoder = ImageEncoder(model)
    with progress_bar() as progress:
        starts = progress.track(range(0, len(images), ROWS), description="features")
        parts = [
            encoder(images.batch(range(start, min(start + ROWS, len(images))), model.device).image).cpu()
            for start in starts
        ]
    return torch.cat(parts).numpy()


def fitted_probe(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    """A logistic regression of standardised features (N, D), the penalty falling with their number."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, C=1 / math.sqrt(features.shape[1])))
    return classifier.fit(features, labels)


def _accuracy(train: np.ndarray, test: np.ndarray, of_train: Images, of_test: Images) -> float:
    return float(fitted_probe(train, np.asarray(of_train.labels)).score(test, np.asarray(of_test.labels)))


def _flat(images: Images) -> np.ndarray:
    return images.pixels.reshape(len(images), -1).astype(np.float32) / 127.5 - 1
