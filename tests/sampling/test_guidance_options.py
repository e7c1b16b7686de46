from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import unnoise
from unnoise.models import Classifier
from unnoise.process.schedule import VE, CosineBetas
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.generate import generate
from unnoise.sampling.guidance_options import GuidanceOptions, guiding_weights
from unnoise.sources import open_source
from unnoise.training.train import train

SMALL = {"train.batch_size": 64, "train.samples": 0, "train.warmup": 5}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("guidance")
    judge = {**SMALL, "model.channels": 16, "model.multipliers": [1, 2]}
    plain = {**SMALL, "model.network.channels": 8}
    train("digits", "classifier", folder / "judge", steps=300, overrides=judge, device="cpu")
    train("digits", "ddpm-digits", folder / "plain", steps=150, overrides=plain, device="cpu")
    train("digits", "ddpm-digits", folder / "worse", steps=10, overrides=plain, device="cpu")
    return {name: folder / name for name in ("judge", "plain", "worse")}


def test_the_classifier_reads_clean_digits_and_is_unsure_of_noise(runs: dict[str, Path]) -> None:
    judge = unnoise.load(runs["judge"], device="cpu")
    assert isinstance(judge, Classifier)
    batch = open_source("digits", split="test", progress=False).batch(range(200))
    clean = judge(batch.image, torch.zeros(200))
    assert float((clean.argmax(1) == batch.cond["label"]).float().mean()) > 0.8
    noise = judge(torch.randn(200, 1, 8, 8), torch.full((200,), math.pi / 2)).softmax(1)
    assert float(noise.max(1).values.mean()) < 0.5


def test_it_says_the_same_of_an_image_on_every_schedule(runs: dict[str, Path]) -> None:
    judge = unnoise.load(runs["judge"], device="cpu")
    assert isinstance(judge, Classifier)
    batch = open_source("digits", split="test", progress=False).batch(range(8))
    eps, betas = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), CosineBetas(100)
    t = torch.tensor(40.0, dtype=torch.float64)
    sigma = betas.sigma(t) / betas.alpha(t)
    one = judge.log_prob(betas)((betas.alpha(t) * batch.image + betas.sigma(t) * eps).float(), t, batch.cond["label"])
    other = judge.log_prob(VE())((batch.image + sigma * eps).float(), sigma, batch.cond["label"])
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def drawn(runs: dict[str, Path], guidance: GuidanceOptions | None, label: str | None = None) -> np.ndarray:
    out = runs["plain"] / "drawn.npy"
    options = {"steps": 20}
    generate(
        runs["plain"],
        range(30),
        options=options,
        conditions=SampleConditions(label),
        guidance=guidance,
        precision="fp32",
        out=out,
        overwrite=True,
        device="cpu",
    )
    return np.load(out)


def test_an_unconditional_run_is_led_to_the_label(runs: dict[str, Path]) -> None:
    judge = unnoise.load(runs["judge"], device="cpu")
    assert isinstance(judge, Classifier)

    def share(images: np.ndarray) -> float:
        x = torch.from_numpy(images).float() / 127.5 - 1
        return float((judge(x, torch.zeros(len(x))).argmax(1) == 0).float().mean())

    guided = drawn(runs, GuidanceOptions(5.0, classifier=runs["judge"]), "0")
    assert share(guided) > share(drawn(runs, None)) + 0.3
    nowhere = drawn(runs, GuidanceOptions(5.0, classifier=runs["judge"], interval=(1e6, 2e6)), "0")
    assert np.array_equal(nowhere, drawn(runs, None))


def test_autoguidance_of_scale_one_is_the_run_itself_and_more_is_not(runs: dict[str, Path]) -> None:
    plain = drawn(runs, None)
    assert np.array_equal(drawn(runs, GuidanceOptions(1.0, autoguidance=runs["worse"])), plain)
    assert not np.array_equal(drawn(runs, GuidanceOptions(2.0, autoguidance=runs["worse"])), plain)


def test_a_run_is_guided_by_what_it_was_early_in_its_training(runs: dict[str, Path], tmp_path: Path) -> None:
    options = {**SMALL, "model.network.channels": 8, "train.guiding_at": 0.25}
    early = train("digits", "ddpm-digits", tmp_path / "early", steps=2, overrides=options, device="cpu")
    train("digits", "ddpm-digits", tmp_path / "run", steps=5, overrides=options, device="cpu")
    run = train("digits", "ddpm-digits", tmp_path / "run", steps=8, overrides=options, device="cpu")
    kept, then = run.load_early("cpu").state_dict(), early.load("cpu").state_dict()
    assert all(torch.equal(kept[name], then[name]) for name in kept)
    both = {"plain": run.folder}
    by_itself = drawn(both, GuidanceOptions(2.0, autoguidance=tmp_path / "run@early"))
    assert np.array_equal(by_itself, drawn(both, GuidanceOptions(2.0, autoguidance=early.folder)))
    assert not np.array_equal(by_itself, drawn(both, None))
    assert guiding_weights(tmp_path / "run@early")["checkpoint"] != run.weights()["checkpoint"]
    with pytest.raises(ValueError, match="kept no early weights"):
        drawn(both, GuidanceOptions(2.0, autoguidance=runs["plain"].with_name("plain@early")))


def test_what_does_not_go_together_is_refused(runs: dict[str, Path]) -> None:
    for guidance, label, message in (
        (GuidanceOptions(2.0, runs["judge"], runs["worse"]), "0", "not both"),
        (GuidanceOptions(2.0, runs["judge"]), None, "needs a --label"),
        (GuidanceOptions(2.0, runs["worse"]), "0", "recipe classifier"),
        (GuidanceOptions(2.0), None, "conditional run"),
    ):
        with pytest.raises(ValueError, match=message):
            drawn(runs, guidance, label)
