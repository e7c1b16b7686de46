"""Which images stand beside a training's samples."""

from __future__ import annotations

import numpy as np

from unnoise.data import Images
from unnoise.training.previews import preview_rows

PIXELS = np.zeros((100, 1, 2, 2), np.uint8)


def test_of_images_without_labels_some_of_all_are_shown() -> None:
    """The first of a folder are of one kind: 36 emoji were all digits and letters."""
    rows = preview_rows(Images(PIXELS), 20)
    assert len(set(rows.tolist())) == 20
    assert rows.min() < 25
    assert rows.max() >= 75
    assert preview_rows(Images(PIXELS), 20).tolist() == rows.tolist()
    assert len(preview_rows(Images(PIXELS), 200)) == 100


def test_of_labelled_images_each_class_is_shown_in_turn() -> None:
    labelled = Images(PIXELS, {"labels": np.repeat([0, 1, 2], [50, 30, 20])}, ("a", "b", "c"))
    assert preview_rows(labelled, 5).tolist() == [0, 50, 80, 1, 51]
