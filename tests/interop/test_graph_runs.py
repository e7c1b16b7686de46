"""Runs of several kinds as ONNX: onnxruntime draws, from the noise of a seed, the image that the run draws of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.guidance import ClassifierFree
from unnoise.interop.formats import export_run
from unnoise.interop.graph_files import _answered, graphs_of
from unnoise.interop.onnx_export import OnnxWriter
from unnoise.interop.options import ExportOptions
from unnoise.runs.config import read_recipe
from unnoise.runs.run import Run
from unnoise.sampling.guidance_options import GuidanceOptions
from unnoise.seeding import SeededNoise

from .conftest import diffusion, our_run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
AUTO = read_recipe("auto")["model"]
SIZES = {"channels": 8, "multipliers": [1], "blocks": 1, "patch": 2, "attention": []}
TINY = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1, "attention": []}
CLASSES = {"kind": "class", "dim": 8}
AUGMENT = {"kind": "augment", "features": 8}
KL = {"kind": "autoencoderkl", "latent": 4, "widths": [4, 4], "blocks": 1, "groups": 2}

RUNS: dict[str, dict[str, Any]] = {
    "auto": {**AUTO, "network": {**AUTO["network"], **SIZES}, "conditioner": AUGMENT},
    "auto-classes": {
        **AUTO,
        "network": {**AUTO["network"], **SIZES},
        "conditioner": {"kind": "combined", "dropout": 0.0, "parts": {"class": {"dim": 8}, "augment": {"features": 8}}},
    },
    "auto-clusters": {
        **AUTO,
        "network": {**AUTO["network"], **SIZES},
        "conditioner": {"kind": "cluster", "clusters": 3, "shown": True},
    },
    "dit": {
        "network": {"kind": "dit", "dim": 12, "depth": 1, "heads": 2, "patch": 4},
        "conditioner": CLASSES,
        "parametrization": "v",
    },
    "latents-kl": {
        "network": TINY,
        "parametrization": "v",
        "clip": False,
        "codec": {"kind": "latents", "autoencoder": KL},
    },
}


def exported(run: Run, out: Path, steps: int = 3) -> dict[str, Any]:
    """What the command answers; guided where there is a class to be guided by."""
    is_guided = "label" in diffusion(run).condition_names
    guidance = GuidanceOptions(guidance=2.0) if is_guided else GuidanceOptions()
    return export_run(run, "onnx", out, options=ExportOptions(f"ddim@{steps}", guidance))


def compare(run: Run, folder: Path, onnxruntime: ModuleType, steps: int = 3) -> None:
    """The sampler's graph with the noise of three seeds, against the run's own images of these seeds."""
    model, seeds = diffusion(run), (3, 11, 12)
    like = torch.empty(len(seeds), *model.codec.latent_shape)
    given = {"noise": SeededNoise(seeds).normal(like).numpy()}
    label: Tensor | None = None
    if model.own_conditions:
        given["cluster"] = model.completed(None, seeds)["cluster"].numpy()  # type: ignore[index]
    if "label" in model.condition_names:
        label = torch.tensor([2, 0, 1])
        given["label"] = label.numpy()
    (found,) = onnxruntime.InferenceSession(str(folder / "sampler.onnx")).run(None, given)
    guidance = None if label is None else ClassifierFree(2.0)
    expected = model.sample(seeds, None if label is None else {"label": label}, f"ddim@{steps}", guidance)
    assert expected.shape[1:] == model.shape
    assert expected.std() > 0.05
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_s_graphs_answer_as_it_does(name: str, onnxruntime: ModuleType, tmp_path: Path) -> None:
    run = our_run(tmp_path, **RUNS[name])
    result = exported(run, tmp_path / "onnx")
    assert {"denoiser.onnx", "sampler.onnx"} <= set(result["files"])
    assert result["files"].pop("sampler.onnx") < 1e-4  # of images, which collect what the calls before them differ by
    assert all(difference < 1e-5 for difference in result["files"].values())
    compare(run, tmp_path / "onnx", onnxruntime)


@pytest.mark.parametrize(("name", "graphs"), [("latents-kl", ("decoder", "encoder")), ("dit", ("denoiser",))])
def test_parts_of_a_run_answer_as_it_does(
    name: str, graphs: tuple[str, ...], onnxruntime: ModuleType, tmp_path: Path
) -> None:
    found = graphs_of(our_run(tmp_path, **RUNS[name]), ExportOptions("ddim@3")).graphs
    for part in graphs:
        with torch.no_grad():
            answered = _answered(found[part])
            outputs = OnnxWriter().write(found[part], tmp_path / f"{part}.onnx", {}).call(answered.inputs)
        for output, expected in zip(outputs, answered.outputs, strict=True):
            largest = max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(output, expected, rtol=0, atol=1e-5 * largest)
