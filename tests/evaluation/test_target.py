"""What is drawn to be measured, and for which conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from unnoise.data import Images
from unnoise.evaluation.target import open_target
from unnoise.models import Diffusion
from unnoise.networks.conditioning import reduced
from unnoise.sources import open_source


@pytest.fixture(scope="module")
def glyphs() -> Images:
    return open_source("glyphs:size=16,n=12,characters=AB", progress=False)


def a_model(conditioner: str) -> Diffusion:
    network = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1, "attention": []}
    spec = {"network": network, "conditioner": {"kind": conditioner}, "schedule": {"kind": "linear-betas", "T": 3}}
    return Diffusion.build(spec, (3, 16, 16), 2).eval()


def seen_by(model: Diffusion, glyphs: Images) -> tuple[dict[str, Any], np.ndarray | None]:
    """The conditions that the network was called with, and the labels that the samples were asked for."""
    seen: dict[str, Any] = {}
    assert model.conditioner is not None
    model.conditioner.register_forward_hook(lambda _, given, __: seen.update(given[0]))
    drawn = open_target(model).draw(4, glyphs, seed=3, batch_size=4)
    return seen, drawn.labels


def test_a_run_that_enlarges_is_given_small_images_of_the_data(glyphs: Images) -> None:
    seen, asked = seen_by(a_model("image"), glyphs)
    rows = np.random.default_rng(3).integers(0, len(glyphs), 4)
    assert torch.equal(seen["image"], reduced(glyphs.batch(rows).image, 4))
    assert asked is None


def test_labels_count_as_asked_for_where_the_model_takes_them(glyphs: Images) -> None:
    rows = np.random.default_rng(3).integers(0, len(glyphs), 4)
    _, asked = seen_by(a_model("class"), glyphs)
    assert asked is not None
    assert (asked == glyphs.batch(rows).cond["label"].numpy()).all()
    assert seen_by(a_model("map"), glyphs)[1] is None
