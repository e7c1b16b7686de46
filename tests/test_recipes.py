from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.runs.config import read_recipe, recipe_names
from unnoise.training.train import train

TINY = {"train.batch_size": 4, "train.samples": 2, "train.warmup": 1, "data.limit": 32, "data.size": 8}
OF_OTHER_RUNS = {"ldm"}
"""Recipes that need another run first; tests/training/test_latents.py trains them."""
SMALL = {
    "unet": {"model.network.channels": 8},
    "dit": {"model.network.dim": 12},
    "unet2d": {"model.network.block_out_channels": [16, 16, 16], "model.network.attention_head_dim": 8},
}
PICTURELESS = {"classifier"}


def with_vectors(folder: Path) -> Path:
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    np.savez(folder / "set.npz", images=pixels, vectors=draws.standard_normal((8, 5)))
    return folder / "set.npz"


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - OF_OTHER_RUNS))
def test_every_recipe_trains_a_step_and_draws_a_preview(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    small = dict(TINY)
    if recipe["model"].get("kind", "diffusion") == "diffusion":
        small["sampler.steps"] = 2
        small.update(SMALL[recipe["model"]["network"]["kind"]])
    else:
        small["model.channels"] = 8
    source = with_vectors(tmp_path) if name == "ddpm-vector" else "glyphs:size=16,n=64"
    run = train(source, name, tmp_path / "run", steps=1, overrides=small, device="cpu")
    assert run.summary is not None
    assert run.summary["steps"] == 1
    assert (run.folder / "samples" / "1.png").is_file() == (name not in PICTURELESS)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_says_what_it_is_costs_and_gives(name: str) -> None:
    import unnoise.recipes

    text = (Path(unnoise.recipes.__file__).parent / f"{name}.toml").read_text()
    header = text[: text.index("[data]")]
    for heading in ("What it is", "What it costs", "What to expect"):
        assert heading in header
    assert "TODO" not in text
