"""Options of `unnoise train` that are keys of the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from unnoise.cli.train import train


def test_options_are_keys_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Exception):
        """Instead of a training."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise Asked(*arguments)

    monkeypatch.setattr("unnoise.training.train.train", refuse)
    with pytest.raises(Asked) as asked:
        train("digits", size=16, quality="draft", strict=True, set_=["train.batch_size=4"])
    overrides = {"data.size": 16, "dial.quality": "draft", "data.strict": True, "train.batch_size": 4}
    assert asked.value.args[-1] == overrides
