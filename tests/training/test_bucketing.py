"""Training on buckets of aspect ratios: it resumes to the bit, draws the shapes, measures one of them, and refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import unnoise
from unnoise.data.buckets import Bucketed
from unnoise.errors import UserError
from unnoise.networks import NETWORKS
from unnoise.runs.aspect import at_aspect
from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.config import override, read_recipe
from unnoise.runs.metrics_file import read_metrics
from unnoise.runs.run import Run
from unnoise.sampling.generate import generate
from unnoise.training.bucketing import bucketed, square_shape
from unnoise.training.settings import DataSettings
from unnoise.training.setup import prepare
from unnoise.training.train import train
from unnoise.training.watchers import Watchers

SHAPES = {(40, 24): 15, (32, 32): 45, (24, 40): 20}
TINY = {
    "model.network.channels": 8,
    "model.network.multipliers": [1, 1, 1, 1],
    "model.network.blocks": 1,
    "model.network.attention": [],
    "model.network.dropout": 0.1,
    "model.schedule.T": 10,
    "sampler.steps": 2,
    "data.fit": "buckets",
    "data.size": 32,
    "data.flip": True,
    "train.batch_size": 4,
    "train.samples": 2,
    "train.log_every": 1,
    "train.precision": "fp32",
}


@pytest.fixture(autouse=True)
def in_own_cache(own_cache: Path) -> Path:
    return own_cache


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """80 grey pictures of three shapes (height, width)."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shapes = [shape for shape, count in SHAPES.items() for _ in range(count)]
    for number, shape in enumerate(shapes):
        pixels = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def tiny(source: Path, out: Path, steps: int, **more: Any) -> Run:
    return train(source, "ddpm", out, steps=steps, overrides={**TINY, **more}, device="cpu")


def weights(run: Run) -> Mapping[str, torch.Tensor]:
    return checkpoints(run.folder / "checkpoints")[-1].tensors("model")


def test_a_run_draws_every_shape_and_measures_the_largest_bucket(photos: Path, tmp_path: Path) -> None:
    run = tiny(photos, tmp_path / "run", 6)
    assert run.buckets == list(SHAPES)
    assert run.shape == (1, 32, 32)
    assert run.config["data"]["multiple"] == 8
    values = read_metrics(run.folder)
    assert any("held_out_loss" in line for line in values)
    images, split = run.open_data("train")
    assert (images.shape, split) == ((1, 32, 32), "train")
    held = run.held_out()
    assert held is not None
    test, split = run.open_data("test")
    assert (test.shape, split) == ((1, 32, 32), "test")
    assert len(images) + len(test) == SHAPES[32, 32], "the bucket alone, without what is held out"

    model = run.load("cpu")
    assert model.sample([0], steps=2).shape == (1, 1, 32, 32)
    for aspect, shape in (("5:3", (24, 40)), ("1:2", (40, 24)), ("1.1:1", (32, 32))):
        out = tmp_path / f"{shape[1]}x{shape[0]}.npy"
        how: dict[str, Any] = {"options": {"steps": 2}, "precision": "fp32", "device": "cpu"}
        result = generate(run.folder, range(2), aspect=aspect, out=out, **how)
        assert result["shape"] == [2, 1, *shape]
        assert np.load(out).shape == (2, 1, *shape)
        drawn = at_aspect(run, model, aspect).sample(range(2), steps=2)  # as many at once: the same bits
        assert np.array_equal(((drawn + 1) * 127.5 + 0.5).floor().clamp(0, 255).byte().numpy(), np.load(out))
    with pytest.raises(UserError, match=r"written W:H, such as 3:2; got '3x2'"):
        at_aspect(run, model, "3x2")

    how = {"metrics": ("fid",), "features": "pixels", "n": 4, "options": {"steps": 2}, "device": "cpu"}
    assert unnoise.evaluate(str(run.folder), **how)["data"]["bucket"] == "32x32"
    wide = unnoise.evaluate(str(run.folder), aspect="5:3", **how)
    assert wide["data"]["bucket"] == "40x24"
    assert wide["reference"]["n"] <= SHAPES[24, 40]


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(photos: Path, tmp_path: Path) -> None:
    whole = tiny(photos, tmp_path / "whole", 8)
    tiny(photos, tmp_path / "parts", 3)
    parts = tiny(photos, tmp_path / "parts", 8)
    assert parts.summary is not None
    assert parts.summary["resumed_from"] == 3
    left, right = weights(whole), weights(parts)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_the_guard_draws_every_bucket_and_tells_copies_in_each(photos: Path, tmp_path: Path) -> None:
    config = override(read_recipe("ddpm"), {**TINY, "train.steps": 4, "data.hold_out": 0.2})
    setup = prepare(photos, "ddpm", config, 0, None, "cpu")
    assert isinstance(setup.images, Bucketed)
    run = Run(tmp_path / "run", setup.config)
    trainer = setup.trainer(None)
    shapes = {tuple(trainer.loader.batch(step).image.shape[2:]) for step in range(12)}
    assert shapes == set(SHAPES)

    from unnoise.runs.plan import Measured
    from unnoise.training.log import SilentLog
    from unnoise.training.plan import known_plan

    plan = known_plan(trainer, setup.images, run.folder)
    run.plan = type(plan)(**{**vars(plan), "measured": Measured(1, 1, 1e-3, 1.0, 1)})
    guard = Watchers(run, setup, trainer, SilentLog(run.folder)).validation().guard
    assert guard is not None
    drawn = {tuple(guard._drawing.draw(look).shape[2:]) for look in range(12)}
    assert drawn == set(SHAPES)
    training = setup.training_images()
    assert isinstance(training, Bucketed)
    for part in training.buckets:
        assert guard._watch.look(part.batch(range(5)).image).copies().all(), "training images are copies"
    copied, real = guard._watch.real
    assert real == len(setup.images)
    assert copied <= real // 10, "images of noise are not copies of each other"


@pytest.mark.parametrize(
    ("recipe", "overrides", "reason"),
    [
        ("vae", {}, "model 'vae' is for images of one shape; take data.fit=crop"),
        ("gan", {}, "model 'gan' is for images of one shape"),
        ("ddpm", {"model.codec.kind": "latents"}, "the autoencoder behind its latents"),
        ("sr", {}, "the condition 'image' lies on images of one shape"),
        ("consistency", {}, "objective 'consistency' is for images of one shape"),
        ("ddpm", {"data.size": [32, 32]}, r"data.fit=buckets needs data.size, .* got .32, 32."),
        ("ddpm", {"data.stream": True}, "leave data.stream out"),
        ("ddpm", {"data.size": 28}, "multiples of 4 here|has to be one"),
        ("ddpm", {"data.fit": "crop", "data.multiple": 4}, "give data.fit=buckets as well"),
    ],
)
def test_what_takes_one_shape_is_refused_in_a_line(
    photos: Path, recipe: str, overrides: dict[str, Any], reason: str
) -> None:
    config = override(read_recipe(recipe), {"data.fit": "buckets", "data.size": 32, **overrides})
    if overrides.get("data.size") == 28:
        config = override(config, {"model.network.multipliers": [1, 1, 1, 1]})
    with pytest.raises(UserError, match=reason) as error:
        prepare(photos, recipe, config, 0, None, "cpu")
    assert "\n" not in str(error.value)


def test_a_run_of_one_shape_takes_no_aspect_ratio(photos: Path, tmp_path: Path) -> None:
    run = tiny(photos, tmp_path / "run", 1, **{"data.fit": "crop", "data.size": 16})
    assert run.buckets == []
    with pytest.raises(UserError, match=r"draws images of 16x16 only: .* --set data\.fit=buckets"):
        generate(run.folder, [0], aspect="3:2", device="cpu")


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_answer_in_any_size_and_say_what_sides_suit(kind: str) -> None:
    config = {"model": {"network": {"kind": kind}}}
    data = bucketed(DataSettings(fit="buckets", size=64), config)
    assert square_shape(data) == (3, 64, 64)
    network = NETWORKS[kind](**{"in_channels": 1, "out_channels": 1, **_sized(kind)})
    with torch.no_grad():
        for size in ((64, 64), (40, 48), (35, 21)):
            x = torch.zeros(1, 1, *size)
            assert network(x, torch.zeros(1)).shape == x.shape
    assert data.multiple == network.multiple


def _sized(kind: str) -> dict[str, tuple[int, int]]:
    return {"image_size": (64, 64)} if kind in ("unet", "unet2d", "dit2d") else {}
