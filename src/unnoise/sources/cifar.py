"""CIFAR-10's binary batches (Krizhevsky, 2009): records of one label byte and 3 x 32 x 32 bytes, planar."""

from __future__ import annotations

import re

import numpy as np

from unnoise.data.settings import Settings
from unnoise.errors import NoSplit, UserError
from unnoise.io.tree import Tree
from unnoise.sources.arrays import Arrays

BATCH = re.compile(r"(^|/)(data_batch_\d+|test_batch)\.bin$")
TRAIN_BATCH = re.compile(r"(^|/)data_batch_\d+\.bin$")
RECORD = 1 + 3 * 32 * 32
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def is_cifar(tree: Tree) -> bool:
    """Whether CIFAR-10's batches are among the files."""
    return any(TRAIN_BATCH.search(name) for name in tree.files)


def read_cifar(tree: Tree, settings: Settings) -> Arrays:
    """The train batches in order, or the test batch; raises UserError when one is missing or not whole."""
    split = settings.split
    batches = sorted(name for name in tree.files if BATCH.search(name))
    names = [name for name in batches if bool(TRAIN_BATCH.search(name)) == (split == "train")]
    if not names:
        raise NoSplit(f"{tree.root} has no {split} batches; it has {', '.join(batches)}")
    records = np.concatenate([_records(tree, name) for name in names])
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise UserError(f"{tree.root} has label {labels.max()}; CIFAR-10's labels are 0..9")
    return Arrays(records[:, 1:].reshape(-1, 3, 32, 32), {"labels": labels}, CLASSES)


def _records(tree: Tree, name: str) -> np.ndarray:
    data = tree.read(name)
    if not data or len(data) % RECORD:
        raise UserError(f"{name} of {tree.root} has {len(data)} bytes, not a whole number of {RECORD}-byte records")
    return np.frombuffer(data, np.uint8).reshape(-1, RECORD)
