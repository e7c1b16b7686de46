"""What a model has learned to see: its features of images, and how far a linear classifier gets with them."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from unnoise.data import Images
from unnoise.errors import NotApplicable
from unnoise.evaluation.entry import Result
from unnoise.evaluation.target import Source
from unnoise.files import write_atomic
from unnoise.models import CanDenoise, CanReconstruct, ImageModel
from unnoise.process.gaussian import perturb
from unnoise.progress import progress_bar
from unnoise.runs.run import Run
from unnoise.seeding import StepNoise

ROWS = 256
LOG_SNR = 2.0
"""How noisy a diffusion model sees the images: it learns most about their content from a little noise."""
PROBED = 5000
"""Training images of the linear probe, at most."""


def export_features(
    folder: str | Path,
    data: Source | None = None,
    out: str | Path | None = None,
    *,
    split: str = "train",
    n: int | None = None,
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
        device: by default the best there is.

    Returns:
        {features, dim, n, out, probe}, the probe {accuracy, pixels, train, test} or None.

    Raises:
        NotApplicable: for a model that encodes nothing.
    """
    run = Run.open(folder)
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
        "features": _kind(model),
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
    with progress_bar() as progress:
        starts = progress.track(range(0, len(images), ROWS), description="features")
        parts = [
            _features(model, images.batch(range(start, min(start + ROWS, len(images))), model.device).image)
            for start in starts
        ]
    return torch.cat(parts).flatten(1).float().cpu().numpy()


def _features(model: ImageModel, image: Tensor) -> Tensor:
    if isinstance(model, CanReconstruct):
        return model.encode(image)
    if isinstance(model, CanDenoise):
        return _middle(model, model.counted, image)
    raise NotApplicable(f"{model.kind} has no encoder; autoencoders, VAEs and diffusion models have")


def _middle(model: CanDenoise, network: nn.Module, image: Tensor) -> Tensor:
    middle = network._modules.get("middle")
    if not isinstance(middle, nn.ModuleList):
        raise NotApplicable("features of a diffusion model are taken from the middle of a U-Net, and this one has none")
    kept: list[Tensor] = []

    def keep(module: nn.Module, given: Source, output: Tensor) -> None:
        kept.append(output)

    handle = middle[-1].register_forward_hook(keep)
    try:
        t = model.schedule.t(torch.tensor(LOG_SNR, dtype=torch.float64))
        t = t.round().clamp(min=1) if model.schedule.grid is not None else t
        x_0 = model.codec.encode(image)
        model(perturb(model.schedule, x_0, StepNoise(0).normal(x_0), t), t)
    finally:
        handle.remove()
    return kept[0].mean((2, 3))


def _accuracy(train: np.ndarray, test: np.ndarray, of_train: Images, of_test: Images) -> float:
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, C=1 / math.sqrt(train.shape[1])))
    classifier.fit(train, np.asarray(of_train.labels))
    return float(classifier.score(test, np.asarray(of_test.labels)))


def _flat(images: Images) -> np.ndarray:
    return images.pixels.reshape(len(images), -1).astype(np.float32) / 127.5 - 1


def _kind(model: ImageModel) -> str:
    where = "latents" if isinstance(model, CanReconstruct) else "middle of the U-Net"
    return f"{type(model).__name__.lower()}, {where}"
