"""Feature spaces at hand, and the features of data sets, computed once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unnoise.data import Images
from unnoise.data.cache import cache_folder
from unnoise.errors import DamagedSource, UserError
from unnoise.features import FEATURES, ClassifierFeatures, FeatureExtractor, train_classifier
from unnoise.files import read_tensors, write_tensors
from unnoise.progress import notice, progress_bar
from unnoise.registry import build, lookup
from unnoise.runtime.world import join

CLASSIFIER_SEED = 0
BATCH = 64
"""Images at once. With 256 of 224x224 the largest layers are given back to the system and cleared again at every batch,
which was a third of the processor's time of an evaluation."""


def default_features(data: Images) -> str:
    """'classifier' for labelled data, else 'imagenet'."""
    return "classifier" if data.labels is not None else "imagenet"


def open_features(
    name: str, train: Images, test: Images | None, device: str | torch.device = "cpu"
) -> FeatureExtractor:
    """The extractor called `name`; a classifier is trained on the labelled data at hand, once, and cached by content.

    Raises UserError for an unknown name, data without labels, and weights that are not installed.
    """
    kind = lookup(FEATURES, name, "feature space")
    if kind is not ClassifierFeatures:
        downloads = cache_folder() / "downloads" / name
        return build(FEATURES, name, "feature space", shape=train.shape, folder=downloads).to(device)
    if train.labels is None:
        raise UserError("features 'classifier' need labels, and the data has none; use imagenet or pixels")
    folder = _place("classifiers", train.fingerprint, None if test is None else test.fingerprint, CLASSIFIER_SEED)
    with join().first_goes_ahead():
        if folder.exists():
            try:
                return ClassifierFeatures.load(folder).to(device)
            except DamagedSource as error:
                notice(f"{error}; it is trained again")
        _train(train, test, device).save(folder)
    return ClassifierFeatures.load(folder).to(device)


def _train(train: Images, test: Images | None, device: str | torch.device) -> ClassifierFeatures:
    """Trains a classifier on the data."""
    held_out = None if test is None or test.labels is None else (np.array(test.pixels), np.array(test.labels))
    with progress_bar() as progress:
        progress.add_task("training the classifier whose features are used (once for this data)", total=None)
        return train_classifier(
            np.array(train.pixels),
            np.array(train.labels),
            len(train.classes),
            seed=CLASSIFIER_SEED,
            test=held_out,
            device=device,
        )


def features_of(pixels: np.ndarray, extractor: FeatureExtractor, what: str) -> Tensor:
    """(N, D) of uint8 images (N, C, H, W), with a progress bar on a terminal; several processes share the work."""
    world = join()
    rows = world.portion(len(pixels), BATCH)
    with progress_bar() as progress:
        starts = progress.track(range(rows.start, rows.stop, BATCH), description=f"{extractor.name} features of {what}")
        batches = (torch.from_numpy(np.array(pixels[start : start + BATCH])) for start in starts)
        return torch.cat(world.gather(extractor.extract(batches)))


def cached_features(images: Images, rows: np.ndarray, extractor: FeatureExtractor) -> Tensor:
    """(N, D) of the images at `rows`, kept in the cache by content, so that a reference is measured once."""
    rows_digest = hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()
    file = _place("features", images.fingerprint, rows_digest, extractor.version).with_suffix(".bin")
    stored = read_tensors(file)
    (missing,) = join().agree(stored is None)
    if missing or stored is None:
        stored = {"features": features_of(images.pixels[rows], extractor, images.source)}
        write_tensors(file, stored)
    return stored["features"]


def _place(kind: str, *key: str | int | None) -> Path:
    return cache_folder() / kind / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
