"""Trainings whose network is told the cluster of each image: what is chosen, kept and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unnoise
from unnoise.data import Images
from unnoise.models import Diffusion
from unnoise.networks.combined import Combined
from unnoise.runs.config import override, read_recipe
from unnoise.runs.run import Run
from unnoise.samplers import DDIM
from unnoise.sampling.tune import tune_run
from unnoise.training.clustered import clustered
from unnoise.training.previews import preview
from unnoise.training.train import train

from .guarded import SMALL as GUARDED

SMALL = {**GUARDED, "train.samples": 0, "train.guard": "off"}
CLUSTERS = {"model.conditioner.kind": "cluster", "model.conditioner.clusters": 2}
DARK, BRIGHT = (np.random.default_rng(0).integers(low, low + 60, (30, 1, 8, 8), dtype=np.uint8) for low in (0, 190))


def begun(out: Path, pixels: np.ndarray, steps: int = 2, **more: Any) -> Run:
    overrides = {**SMALL, **CLUSTERS, **more}
    return train(pixels, "ddpm-digits", out, steps=steps, overrides=overrides, device="cpu")


def shares(run: Run) -> list[float]:
    return run.diffusion("a test", "cpu").conditioner.share.sort().values.tolist()  # type: ignore[union-attr, operator]


def test_the_recipe_auto_tells_clusters_of_fifteen_images_at_least() -> None:
    recipe = read_recipe("auto")
    for count, clusters in ((3_135, 200), (450, 30), (60_000, 200)):
        made, notes = clustered(recipe, count, None)
        assert made["model"]["conditioner"] == {"kind": "cluster", "clusters": clusters, "shown": True}
        assert f"which of {clusters} clusters" in notes[0]
    assert "conditioner" not in clustered(recipe, 29, None)[0]["model"]
    assert "conditioner" not in clustered(override(recipe, {"model.conditioner": "none"}), 3_135, None)[0]["model"]


def test_what_a_run_chose_stays() -> None:
    recipe, told = read_recipe("auto"), {"kind": "cluster", "clusters": 7}
    assert clustered(recipe, 3_135, {"model": {"conditioner": told}}) == (
        override(recipe, {"model.conditioner": told}),
        (),
    )
    assert "conditioner" not in clustered(recipe, 3_135, {"model": {}})[0]["model"]  # from before there were clusters


def test_a_resumed_run_has_the_same_clusters(tmp_path: Path) -> None:
    pixels = np.concatenate([DARK, BRIGHT[:10]])
    whole = begun(tmp_path / "whole", pixels, 4)
    begun(tmp_path / "run", pixels, 2)
    halves = begun(tmp_path / "run", pixels, 4)
    expected, found = (run.load("cpu").state_dict() for run in (whole, halves))
    assert expected["conditioner.centers"].any()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert shares(halves) == pytest.approx([0.25, 0.75])


def test_a_run_from_another_keeps_its_clusters_and_counts_its_own_images(tmp_path: Path) -> None:
    base = begun(tmp_path / "base", np.concatenate([DARK, BRIGHT]))
    run = train(DARK, None, tmp_path / "dark", steps=1, start=base.folder, device="cpu")
    mine, theirs = (found.load("cpu").state_dict()["conditioner.centers"] for found in (run, base))
    assert torch.equal(mine, theirs)
    assert shares(base) == pytest.approx([0.5, 0.5])
    assert shares(run) == [0, 1]


def test_clusters_and_what_augmentation_did_are_told_together(tmp_path: Path) -> None:
    augmented: dict[str, Any] = {"data.augment": 0.5}
    run = begun(tmp_path / "run", np.concatenate([DARK, BRIGHT]), **augmented)
    model = run.load("cpu")
    assert isinstance(model, Diffusion)
    assert isinstance(model.conditioner, Combined)
    assert set(model.completed(None, [0]) or {}) == {"cluster"}
    assert model.sample([0, 1]).isfinite().all()


def test_a_run_of_clusters_is_measured_guided_and_tuned(tmp_path: Path) -> None:
    pixels = np.concatenate([DARK, BRIGHT])
    run = begun(tmp_path / "run", pixels, 60)
    one, two = (
        unnoise.evaluate(run.folder, Images(pixels), n=60, features="pixels", device="cpu", guidance=scale)
        for scale in (1.0, 2.0)
    )
    assert tuple(found["samples"]["guidance"] for found in (one, two)) == (1.0, 2.0)
    assert one["fid"] != two["fid"]
    assert tune_run(run.folder, 2, trajectories=2, iterations=0)["trajectories"] == 2


def test_sample_grids_show_what_sample_draws_not_the_clusters_of_the_images_beside_them(tmp_path: Path) -> None:
    run = begun(tmp_path / "run", np.concatenate([DARK, BRIGHT]), 1)
    model, batch = run.load("cpu"), Images(BRIGHT).batch(range(8))
    assert set(model.conditions(batch) or {}) == {"cluster"}
    assert model.asked_for(batch) is None
    drawn = preview(model, batch, DDIM(steps=2)).samples
    assert drawn is not None
    assert torch.equal(drawn, run.diffusion("a test", "cpu").sample(range(8), sampler=DDIM(steps=2)))
