"""examples/sound: the sounds differ, are told apart, and go through training and sampling."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.io import wavfile
from sklearn.linear_model import LogisticRegression

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "sound"
TRAIN, HELD_OUT = 200, 60


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The example, with its folder on the path as it has when it is run."""
    before = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("sound_to_digit")
    sys.path[:] = before


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_it_needs_nothing_that_unnoise_does_not(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    allowed = {"numpy", "scipy", "torch", "unnoise", "listen", "speech"} | sys.stdlib_module_names
    assert {name.split(".")[0] for name in named} <= allowed


def test_no_two_utterances_are_alike(script: ModuleType) -> None:
    first, again, second = (script.speech.speak(7, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert len(first) != len(second)
    assert np.abs(first).max() <= 1


def test_a_tone_lies_in_the_band_of_its_frequency(script: ModuleType, tmp_path: Path) -> None:
    listen = script.listen
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    wavfile.write(tmp_path / "tone.wav", 16_000, (tone * 32767).astype(np.int16))
    bands = listen.log_mel(tmp_path / "tone.wav").reshape(listen.MELS, listen.MOMENTS).mean(1)
    low, high = (2595 * np.log10(1 + f / 700) for f in (listen.LOWEST, listen.HIGHEST))
    expected = (2595 * np.log10(1 + 1000 / 700) - low) / (high - low) * (listen.MELS + 1) - 1
    assert abs(int(bands.argmax()) - expected) <= 1


def test_a_line_tells_the_digits_of_other_speakers_apart(script: ModuleType, tmp_path: Path) -> None:
    digits = np.arange(TRAIN + HELD_OUT) % 10
    heard = script.hear(tmp_path, digits, seed=0)
    line = LogisticRegression(C=0.01, max_iter=500).fit(heard[:TRAIN], digits[:TRAIN])
    assert line.score(heard[TRAIN:], digits[TRAIN:]) > 0.85


@pytest.mark.usefixtures("short_classifiers")
def test_it_runs_in_short(script: ModuleType, tmp_path: Path) -> None:
    facts = script.main(out=tmp_path, steps=2, sounds=20, held_out=10)
    assert facts["classifier"] > 0.95
    assert 0 <= facts["accuracy"] <= 1
    assert len(list((tmp_path / "sounds").rglob("*.wav"))) == 30
    assert np.load(tmp_path / "held-out.npy").shape == (10, script.listen.MELS * script.listen.MOMENTS)


@pytest.mark.slow
def test_the_digit_that_is_spoken_is_drawn(script: ModuleType, tmp_path: Path) -> None:
    assert script.main(out=tmp_path, steps=450, sounds=2000, held_out=200)["accuracy"] >= 0.95
