from __future__ import annotations

from unnoise.metrics.uncertainty import small_sample_warning


def test_small_samples_are_named() -> None:
    assert "singular" in (small_sample_warning(128, 128) or "")
    assert "640 would be better" in (small_sample_warning(129, 128) or "")
    assert small_sample_warning(640, 128) is None
