from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import unnoise
from unnoise.runs.checkpoint import checkpoints
from unnoise.training.train import train

SMALL = {
    "model.network.channels": 8,
    "model.conditioner": "class",
    "train.batch_size": 16,
    "train.samples": 0,
    "train.warmup": 1,
    "data.limit": 64,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("transfer") / "base"
    train("digits", "ddpm-digits", out, steps=3, overrides=SMALL, device="cpu")
    return out


def two_classes(folder: Path) -> Path:
    draws = np.random.default_rng(0)
    file = folder / "two.npz"
    np.savez(file, images=draws.integers(0, 255, (20, 12, 10), dtype=np.uint8), labels=np.arange(20) % 2)
    return file


def test_another_size_and_class_count_take_what_fits_and_say_what_does_not(
    base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"train.learning_rate": 1e-9}
    run = train(two_classes(tmp_path), out=tmp_path / "run", steps=1, overrides=options, start=base, device="cpu")
    printed = capfd.readouterr().err
    assert f"starting from {base}" in printed
    assert "conditioner.table.weight" in printed
    assert run.config["model"]["network"]["channels"] == 8  # the base's recipe
    first, second = (unnoise.load(folder, device="cpu").state_dict() for folder in (base, run.folder))
    torch.testing.assert_close(first["network.first.weight"], second["network.first.weight"], atol=1e-6, rtol=0)
    assert second["conditioner.table.weight"].shape[0] == 3


def test_a_run_that_began_elsewhere_resumes_to_the_bit(base: Path, tmp_path: Path) -> None:
    whole = train("digits", out=tmp_path / "whole", steps=4, start=base, device="cpu")
    train("digits", out=tmp_path / "parts", steps=2, start=base, device="cpu")
    parts = train("digits", out=tmp_path / "parts", steps=4, start=base, device="cpu")
    assert parts.summary is not None
    assert parts.summary["resumed_from"] == 2
    one, other = (unnoise.load(run.folder, device="cpu").state_dict() for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_adapters_leave_the_base_as_it_was_and_are_merged_where_it_is_loaded(base: Path, tmp_path: Path) -> None:
    options = {"model.lora.rank": 2}
    run = train("digits", out=tmp_path / "lora", steps=3, overrides=options, start=base, device="cpu")
    first = unnoise.load(base, device="cpu").state_dict()
    trained, loaded = run.model(), run.load("cpu")
    trained.load_state_dict(checkpoints(run.folder / "checkpoints")[-1].tensors("ema"))
    second, merged = trained.state_dict(), loaded.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(second[name].any() for name in second if name.endswith("lora.up.weight"))
    assert merged.keys() == first.keys()
    assert not all(torch.equal(first[name], merged[name]) for name in first)
    images = [model.eval().sample(range(2)) for model in (trained, loaded)]  # type: ignore[operator, union-attr]
    torch.testing.assert_close(*images, atol=1e-3, rtol=0)


def test_a_model_that_shares_nothing_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing of .* fits"):
        train("digits", "autoencoder", tmp_path / "run", steps=1, start=base, device="cpu")
