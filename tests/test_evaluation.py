from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unnoise.evaluation import evaluate, score
from unnoise.training.start import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation") / "run"
    overrides = {
        "model.network.channels": 8,
        "model.schedule.kind": "linear-betas",
        "model.schedule.T": 50,
        "model.schedule.beta_start": 0.002,
        "model.schedule.beta_end": 0.4,
        "sampler.steps": 5,
        "train.batch_size": 32,
        "train.samples": 0,
        "train.warmup": 10,
    }
    train("digits", "ddpm-digits", folder, steps=150, overrides=overrides, device="cpu")
    return folder


def test_bits_per_dim_come_term_by_term_with_their_conditions(run: Path) -> None:
    result = evaluate(run, n=100)
    bits = result["bits_per_dim"]
    assert set(bits) == {"total", "prior", "denoising", "decoder", "stderr"}
    assert bits["total"] == pytest.approx(bits["prior"] + bits["denoising"] + bits["decoder"])
    assert 0 < bits["total"] < 8
    assert bits["prior"] < 1e-3
    assert len(result["bits_per_t"]["t"]) == 49
    assert sum(result["bits_per_t"]["bits"]) == pytest.approx(bits["denoising"], rel=1e-6)
    assert result["data"]["split"] == "test"
    (saved,) = (run / "evaluations").glob("*bpd*.json")
    assert json.loads(saved.read_text())["checkpoint"] == result["checkpoint"]


def test_a_measurement_repeats_to_the_bit_and_another_metric_is_refused(run: Path) -> None:
    assert evaluate(run, n=20)["bits_per_dim"] == evaluate(run, n=20)["bits_per_dim"]
    with pytest.raises(ValueError, match="allowed: bpd"):
        evaluate(run, metrics=("bdp",))


def test_noise_is_stranger_than_digits_by_both_scores(run: Path) -> None:
    digits = score(run, "digits", n=40)
    noise = score(run, np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    assert digits["n"] == noise["n"] == 40
    assert noise["split"] == "train"
    for name in ("bits_per_dim", "denoising_error"):
        assert min(noise[name]) > np.median(digits[name])
