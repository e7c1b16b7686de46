"""What `model.sample` understands from Python."""

from __future__ import annotations

import pytest
import torch

from unnoise.errors import UserError
from unnoise.guidance import ClassifierFree
from unnoise.models import CanSample
from unnoise.models.assembly import build_model
from unnoise.models.image_model import ImageModel
from unnoise.models.sample_arguments import sample_arguments
from unnoise.samplers import DDIM


@pytest.fixture(scope="module")
def model() -> ImageModel:
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 8, "blocks": 1, "multipliers": [1], "attention": []}
    built = build_model({"network": network, "conditioner": {"kind": "class"}}, (1, 8, 8), 5).eval()
    with torch.no_grad():  # as drawn, the output layer and the embedding's way in are zero
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built


def test_the_short_form_draws_what_the_long_form_draws(model: ImageModel) -> None:
    assert isinstance(model, CanSample)
    short = model.sample(n=2, sampler="ddim", steps=3, guidance=2.0, label=3)
    long = model.sample(
        seeds=range(2), cond={"label": torch.tensor([3, 3])}, sampler=DDIM(steps=3), guidance=ClassifierFree(2.0)
    )
    assert torch.equal(short, long)
    assert not torch.equal(short, model.sample(n=2, sampler="ddim", steps=3, guidance=2.0, label=[3, 1]))


def test_the_text_of_a_sampler_brings_its_own_options(model: ImageModel) -> None:
    asked = sample_arguments(model, sampler="ddim@50:eta=0.5")
    assert asked.sampler == DDIM(steps=50, eta=0.5)
    assert list(asked.seeds) == list(range(16))
    assert sample_arguments(model, steps=7).sampler.steps == 7  # type: ignore[union-attr]
    assert sample_arguments(model, guidance=1.0).guidance is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": [1], "n": 2}, "seeds or n, not both"),
        ({"seeds": 4}, "for 4 images give n=4"),
        ({"n": 0}, "at least 1 image"),
        ({"sampler": "dim"}, "did you mean 'ddim'"),
        ({"label": "cat"}, "number of a class"),
        ({"label": [1, 2, 3], "n": 2}, "each of the 2 images; got 3"),
        ({"label": 1, "cond": {"label": torch.tensor([1])}}, "not both"),
    ],
)
def test_what_is_not_understood_is_refused(model: ImageModel, given: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        sample_arguments(model, **given)


def test_a_model_of_one_step_takes_no_steps() -> None:
    gan = build_model({"kind": "gan", "channels": 8}, (1, 8, 8), 0)
    assert isinstance(gan, CanSample)
    assert len(gan.sample(n=3)) == 3
    with pytest.raises(UserError, match="one step"):
        gan.sample(n=1, steps=5)
    with pytest.raises(UserError, match="without conditions"):
        gan.sample(n=1, label=3)
