"""What `unnoise features` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.cli.features import features
from unnoise.probing import linear_probe


def test_it_says_where_the_features_are_and_what_comes_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = {"n": 5, "dim": 3, "features": "latents", "out": "run/f.npz", "probe": None}
    monkeypatch.setattr(linear_probe, "export_features", lambda *_, **__: result)
    features(Path("run"))
    out, err = capsys.readouterr()
    assert out == "features  5 x 3 (latents) in run/f.npz\n"
    assert err == "next: numpy.load('run/f.npz')['features'], or unnoise evaluate run\n"
    features(Path("run"), json=True)
    assert capsys.readouterr().err == ""
