"""Networks that are no UNet2DModel as components of diffusers' pipelines, those of the recipe `auto` among them."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from unnoise.interop.diffusers_export import export_diffusers
from unnoise.runs.config import read_recipe
from unnoise.samplers import DDIM

from .conftest import diffusion, our_run, quietly
from .topologies import ATTENDED

pytestmark = pytest.mark.filterwarnings("ignore")
AUTO = read_recipe("auto")["model"]
SIZES = {"channels": 8, "multipliers": [1, 2, 4], "blocks": 1, "patch": 2, "attention": [8]}
"""A rung of the dial, small."""
AUGMENT = {"kind": "augment", "features": 8}
PLAIN = {"kind": "unet", "channels": 64, "multipliers": [1], "blocks": 1}
UNET2D = {"kind": "unet2d", "block_out_channels": [8, 16], "norm_num_groups": 4, **ATTENDED}

OWN: dict[str, tuple[dict[str, Any], str]] = {
    "auto": ({**AUTO, "network": {**AUTO["network"], **SIZES}, "conditioner": AUGMENT}, "patches of 2 pixels"),
    "auto with classes": (
        {
            **AUTO,
            "network": {**AUTO["network"], **SIZES, "patch": 1},
            "conditioner": {"kind": "combined", "dropout": 0.0, "parts": {"class": {}, "augment": {"features": 8}}},
        },
        "norms have 4, 8, 12, 16, 24, 32 groups",
    ),
    "auto with clusters": (
        {
            **AUTO,
            "network": {**AUTO["network"], **SIZES},
            "conditioner": {
                "kind": "combined",
                "dropout": 0.0,
                "parts": {"cluster": {"clusters": 5}, "augment": {"features": 8}},
            },
        },
        "patches of 2 pixels",
    ),
    "clusters that are shown": (
        {**AUTO, "network": PLAIN, "conditioner": {"kind": "cluster", "clusters": 5, "shown": True}},
        "cannot be shown the mean of a cluster",
    ),
    "dit": (
        {"network": {"kind": "dit", "dim": 12, "depth": 1, "heads": 2}, "conditioner": {"kind": "class", "dim": 5}},
        "no counterpart of a DiT",
    ),
    "heads": ({"network": {**PLAIN, "heads": 4}}, "4 heads"),
    "steps": ({"network": PLAIN, "schedule": {"kind": "linear-betas", "T": 500}}, "not the 1000 steps"),
    "sines": ({"network": {**PLAIN, "time_features": "fourier"}}, "not the sinusoidal"),
    "pixels": ({"network": {**PLAIN, "fourier": [7]}}, "Fourier features"),
    "unet2d": ({"network": UNET2D, "schedule": {"kind": "cosine-betas", "T": 10}}, "has 10 steps, and the network"),
    "unet2d heads": ({"network": {**UNET2D, "attention_heads": 2, "up_block_types": ["AttnUpBlock2D"] * 2}}, "2 heads"),
    "unet2d times": ({"network": {**UNET2D, "time_features_dim": 12}}, "12 wide"),
}


@pytest.fixture(autouse=True)
def imported(diffusers: ModuleType) -> None:
    """diffusers takes a component from a module that its caller has imported, and imports none that a folder names."""
    import_module("unnoise.interop.diffusers_network")


@pytest.mark.parametrize("name", OWN)
def test_a_pipeline_loads_our_own_network_and_draws_the_run_s_images(
    name: str, diffusers: ModuleType, tmp_path: Path
) -> None:
    parts, why = OWN[name]
    run = our_run(tmp_path, **parts)
    result = export_diffusers(run, tmp_path / "out")
    assert result["network"] == "UnnoiseNetwork"
    assert why in result["needs"]
    assert json.loads((tmp_path / "out/model_index.json").read_text())["unet"][0] == "unnoise.interop.diffusers_network"
    pipeline = quietly(diffusers.DDIMPipeline.from_pretrained, tmp_path / "out")
    model, theirs = diffusion(run), pipeline.unet.eval()
    assert model.schedule.grid is not None
    steps = len(model.schedule.grid)
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    times = torch.tensor([0, 1, steps // 2, steps - 1])
    names = (*model.condition_names, *model.own_conditions)
    labels = torch.arange(4) if names else None
    with torch.no_grad():
        for given in (None,) if labels is None else (None, labels):
            found = theirs(x, times, class_labels=given).sample
            expected, _ = model.predict(x, times.double() + 1, None if given is None else {names[0]: given})
            assert expected.std() > 0.05
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max().clamp(min=1)))
    assert torch.equal(theirs(x, times, return_dict=False)[0], theirs(x, times).sample)
    if labels is None:
        return
    assert not torch.allclose(theirs(x, times, labels).sample, theirs(x, times, labels.flip(0)).sample, atol=1e-3)


def test_ddim_of_diffusers_draws_the_images_of_an_auto_run_from_the_same_noise(
    diffusers: ModuleType, tmp_path: Path
) -> None:
    run = our_run(tmp_path, **OWN["auto"][0])
    export_diffusers(run, tmp_path / "out")
    pipeline = quietly(diffusers.DDIMPipeline.from_pretrained, tmp_path / "out")
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    options = {"num_inference_steps": 5, "output_type": "np", "use_clipped_model_output": True}
    theirs = pipeline(batch_size=2, generator=torch.Generator().manual_seed(0), **options).images
    model = diffusion(run)
    ours = model.decode_point(DDIM(steps=5).run(model.guided(), noise))
    assert ours.std() > 0.05
    torch.testing.assert_close(ours.permute(0, 2, 3, 1) / 2 + 0.5, torch.as_tensor(theirs), rtol=0, atol=1e-3)
    pipeline.save_pretrained(tmp_path / "again")
    again = quietly(diffusers.DDPMPipeline.from_pretrained, tmp_path / "again").unet
    for (key, value), other in zip(pipeline.unet.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other), key
