from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unnoise.data import Images
from unnoise.sources.inspect import contact_sheet, inspect


def test_the_report_counts_what_is_there(tmp_path: Path, draw) -> None:
    for name, seed in (("a/1", 1), ("a/2", 1), ("a/3", 2), ("b/1", 3)):
        draw(f"{name}.png", 8, 12, 3, seed=seed)
    (tmp_path / "set" / "a" / "bad.png").write_text("bad")
    report = inspect(tmp_path / "set", progress=False)
    facts = report.to_dict()
    assert json.loads(json.dumps(facts)) == facts | {"broken": list(facts["broken"]), "notes": list(facts["notes"])}
    assert facts["count"] == 4
    assert (facts["shape"], facts["channels"]) == ([3, 8, 12], 3)
    assert facts["sizes"] == {"12x8": 4}
    assert facts["classes"] == {"a": 3, "b": 1}
    assert facts["duplicates"] == 1
    assert facts["broken"] == ({"name": "a/bad.png", "reason": "not an image"},)
    assert facts["bytes"] == 4 * 3 * 8 * 12
    assert (facts["captions"], facts["maps"]) == (False, False)


def test_a_contact_sheet_shows_every_class_alike() -> None:
    labels = np.array([0] * 90 + [1] * 5 + [2] * 5)
    pixels = np.broadcast_to((labels * 100).astype(np.uint8)[:, None, None, None], (100, 1, 64, 64)).copy()
    sheet = np.asarray(contact_sheet(Images(pixels, {"labels": labels}, ("a", "b", "c")), n=9))
    shown = sheet[34::66, 34::66].ravel()
    assert np.bincount(shown // 100).tolist() == [3, 3, 3]


@pytest.mark.parametrize(("top", "noted"), [(16, True), (255, False)])
def test_pictures_that_use_little_of_their_range_are_noted(top: int, noted: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, top + 1, (4, 1, 32, 32), dtype=np.uint8)
    pixels[0, 0, 0, 0] = 255  # one hot pixel says nothing
    notes = inspect(pixels).notes
    assert bool(notes) == noted
    if noted:
        assert "levels 0 to 16 of 255" in notes[0]
        assert "--levels 0 0.06667" in notes[0]


def test_white_drawings_on_transparent_ground_are_noted() -> None:
    drawing = np.zeros((2, 4, 16, 16), np.uint8)
    drawing[:, :, 4:8, 4:8] = 255
    assert "--background" in inspect(drawing).notes[0]
    assert inspect(drawing, background="black").notes == ()
