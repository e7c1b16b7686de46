from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

from unnoise.evaluation import evaluate, score
from unnoise.evaluation.likelihood import auroc
from unnoise.evaluation.metrics.likelihood import BitsPerDim
from unnoise.metrics.bound import variational_bound
from unnoise.runs.run import Run
from unnoise.sources import open_source


def test_bits_per_dim_come_term_by_term_with_their_conditions(run: Path) -> None:
    result = evaluate(run, metrics=("bpd",), n=100)
    bits = result["bits_per_dim"]
    assert set(bits) == {"total", "prior", "denoising", "decoder", "stderr"}
    assert bits["total"] == pytest.approx(bits["prior"] + bits["denoising"] + bits["decoder"])
    assert 0 < bits["total"] < 8
    assert bits["prior"] < 1e-3
    assert result["likelihood"]["times"] == "every step"
    assert len(result["bits_per_t"]["t"]) == 49
    assert sum(result["bits_per_t"]["bits"]) == pytest.approx(bits["denoising"], rel=1e-6)
    assert result["data"]["split"] == "test"
    (saved,) = (run / "evaluations").glob("*bpd*.json")
    assert json.loads(saved.read_text())["checkpoint"] == result["checkpoint"]


def test_the_likelihood_by_the_ode_stands_beside_the_bound_and_says_what_it_is(run: Path) -> None:
    result = evaluate(run, metrics=("bpd", "ode"), n=16)
    exact, bound = result["bits_per_dim_ode"]["total"], result["bits_per_dim"]["total"]
    assert exact == pytest.approx(bound, abs=2)
    assert "exact up to solver tolerance" in result["ode"]["what"]
    assert result["ode"]["images"] == 16
    assert result["ode"]["sigma_min"] > 0.01


def test_a_sampled_bound_agrees_with_the_whole_one_and_says_that_it_was_sampled(run: Path) -> None:
    whole = evaluate(run, metrics=("bpd",), n=200)
    sampled = evaluate(run, metrics=("bpd",), n=200, times=10)
    assert sampled["likelihood"]["times"] == "a stratified sample of the steps"
    assert sampled["likelihood"]["times_per_image"] == 10
    gap = abs(whole["bits_per_dim"]["total"] - sampled["bits_per_dim"]["total"])
    assert gap < 4 * sampled["bits_per_dim"]["stderr"]


def test_the_variance_that_is_asked_for_is_that_of_the_bound(run: Path) -> None:
    model = Run.open(run).load("cpu")
    x_0 = open_source("digits", split="test", progress=False).batch(range(20)).image
    for variance in ("beta", "beta-tilde"):
        found = evaluate(run, metrics=("bpd",), n=20, sampler=f"ddpm@5:variance={variance}")
        alone = variational_bound(model.guided(), x_0, variance=variance)
        assert found["likelihood"]["variance"] == variance
        assert found["bits_per_dim"]["total"] == pytest.approx(alone.bits_per_dim()["total"], rel=1e-6)
    assert evaluate(run, metrics=("bpd",), n=20, sampler="ddpm@5")["likelihood"]["variance"] == "beta"
    best = evaluate(run, metrics=("bpd",), n=20, sampler="ddpm@50:variance=analytic")
    assert best["likelihood"]["variance"] == "analytic"


def test_a_measurement_repeats_to_the_bit(run: Path) -> None:
    first, second = (evaluate(run, metrics=("bpd",), n=20)["bits_per_dim"] for _ in range(2))
    assert first == second


def test_noise_is_stranger_than_digits_by_both_scores(run: Path) -> None:
    digits = score(run, "digits", n=40)
    noise = score(run, np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    assert digits["n"] == noise["n"] == 40
    assert noise["split"] == "train"
    for name in ("bits_per_dim", "denoising_error"):
        assert min(noise[name]) > np.median(digits[name])


def test_out_of_distribution_auroc_names_the_better_score(run: Path) -> None:
    found = evaluate(run, metrics=("ood_auroc",), n=100)["ood_auroc"]
    assert found["noise"]["bits_per_dim"] > 0.9
    assert found["noise"]["denoising_error"] > 0.9
    worst = {name: min(found[kind][name] for kind in ("glyphs", "noise")) for name in found["noise"]}
    assert worst[found["works"]] == max(worst.values())


def test_auroc_is_the_probability_of_a_higher_score() -> None:
    draws = torch.Generator().manual_seed(0)
    known, strange = torch.randn(20_000, generator=draws), torch.randn(20_000, generator=draws) + 1
    assert auroc(known, strange) == pytest.approx(norm.cdf(1 / 2**0.5), abs=0.01)
    assert auroc(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])) == (1 + 0.5 + 2) / 4


@pytest.mark.parametrize(
    ("total", "of", "warned"), [(29.9, {}, True), (7.9, {}, False), (29.9, {"of": "binary pixels"}, False)]
)
def test_more_bits_than_raw_pixels_take_are_a_warning(total: float, of: dict[str, str], warned: bool) -> None:
    how = {
        "what": "upper bound",
        "images": 1,
        "times": "every step",
        "times_per_image": 1,
        "steps": 1,
        "variance": "beta",
    }
    result = {"bits_per_dim": {"total": total}, "likelihood": {**how, **of}, "data": {"split": "test"}}
    assert ("recipe likelihood" in str(BitsPerDim().lines(result))) == warned
