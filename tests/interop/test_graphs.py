"""Runs as graphs: what onnxruntime and torch.export answer is what the run answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from unnoise.cli import app
from unnoise.errors import NotApplicable, UserError
from unnoise.guidance import ClassifierFree, Interval
from unnoise.interop.formats import export_run
from unnoise.interop.graph_files import graphs_of
from unnoise.interop.graphs import autoencoder_graphs
from unnoise.interop.new_run import new_run
from unnoise.interop.options import ExportOptions
from unnoise.models.assembly import build_model
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, DPMSolver, Sampler
from unnoise.sampling.guidance_options import GuidanceOptions

from .conftest import diffusion
from .topologies import randomised

pytestmark = pytest.mark.filterwarnings("ignore")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "deploy" / "sample_onnx.py"
TINY = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1, "attention": []}
AUTO = {
    "network": {**TINY, "patch": 2, "time_injection": "adagn"},
    "schedule": {"kind": "cosine-betas"},
    "parametrization": "x0",
    "conditioner": {"kind": "combined", "dropout": 0.0, "parts": {"class": {"dim": 8}, "augment": {"features": 8}}},
}
"""What the recipe `auto` trains on a small set with classes."""


def a_run(folder: Path, sampler: dict[str, Any] | None = None, **parts: Any) -> Run:
    model = {"kind": "diffusion", "network": TINY, **parts}
    classes = [f"class {index}" for index in range(4)] if "conditioner" in parts else []
    built = randomised(build_model(model, (1, 8, 8), len(classes)))
    sampler = sampler or {"kind": "ddim", "steps": 4}
    return new_run(folder, model, built.state_dict(), shape=(1, 8, 8), classes=classes, sampler=sampler)


@pytest.fixture(scope="module")
def exported(onnxruntime: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, dict[str, Any]]:
    """A run of `auto` with classes, guidance and a multistep solver in its graph: exporting takes seconds, so once."""
    folder = tmp_path_factory.mktemp("graphs")
    run = a_run(folder / "run", **AUTO)
    options = ExportOptions("dpm-solver++@6", GuidanceOptions(guidance=2.0, interval=(0.1, 5.0)))
    return run, folder / "onnx", export_run(run, "onnx", folder / "onnx", options=options)


def images(run: Run, sampler: Sampler, noise: np.ndarray, labels: np.ndarray, guidance: Any) -> np.ndarray:
    model = diffusion(run)
    cond = {"label": torch.from_numpy(labels)}
    x = sampler.run(model.guided(guidance), torch.from_numpy(noise), cond=cond)
    return model.decode_point(x).numpy()


@pytest.mark.parametrize("count", [1, 5])
def test_the_sampler_s_graph_draws_the_run_s_images_for_any_batch(
    count: int, exported: tuple[Run, Path, dict[str, Any]], onnxruntime: ModuleType
) -> None:
    run, folder, _ = exported
    noise = np.random.default_rng(0).standard_normal((count, 1, 8, 8), dtype=np.float32)
    labels = np.arange(count, dtype=np.int64) % 4
    session = onnxruntime.InferenceSession(str(folder / "sampler.onnx"))
    (found,) = session.run(None, {"noise": noise, "label": labels})
    guidance = Interval(ClassifierFree(2.0), 0.1, 5.0)
    expected = images(run, DPMSolver(steps=6), noise, labels, guidance)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    unguided = images(run, DPMSolver(steps=6), noise, labels, None)
    assert np.abs(found - unguided).max() > 1e-2
    (other,) = session.run(None, {"noise": noise, "label": (labels + 1) % 4})
    assert np.abs(found - other).max() > 1e-2


def test_the_denoiser_s_graph_is_the_denoiser_at_any_times(
    exported: tuple[Run, Path, dict[str, Any]], onnxruntime: ModuleType
) -> None:
    run, folder, _ = exported
    x, t = np.random.default_rng(0).standard_normal((3, 1, 8, 8), dtype=np.float32), np.array([1, 37.5, 1000], "f4")
    labels = np.array([0, 3, 1])
    found = onnxruntime.InferenceSession(str(folder / "denoiser.onnx")).run(None, {"x_t": x, "t": t, "label": labels})
    with torch.no_grad():
        denoised = diffusion(run)(
            torch.from_numpy(x), torch.from_numpy(t).double(), {"label": torch.from_numpy(labels)}
        )
    for answer, expected in zip(found, (denoised.x_0, denoised.eps), strict=True):
        np.testing.assert_allclose(answer, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_what_a_graph_is_is_written_beside_it_and_in_it(
    exported: tuple[Run, Path, dict[str, Any]], onnx: ModuleType
) -> None:
    run, folder, result = exported
    about = json.loads((folder / "unnoise.json").read_text())
    assert result["opset"] == about["opset"] == 20
    assert about["sampler"]["kind"] == "dpm-solver++"
    assert about["guidance"] == 2.0
    assert about["images"] == {"shape": [1, 8, 8], "range": [-1, 1]}
    assert about["classes"] == run.classes
    assert about["steps"][-1] == {"t": 0.0, "alpha": 1.0, "sigma": 0.0}
    assert about["graphs"]["sampler"]["inputs"] == ["noise", "label"]
    assert set(result["files"]) == {"denoiser.onnx", "sampler.onnx"}
    assert all(difference < 1e-5 for difference in result["files"].values())
    model = onnx.load(folder / "sampler.onnx")
    inside = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert inside["model"]["schedule"] == about["model"]["schedule"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    parameters = sum(value.numel() for value in diffusion(run).parameters())
    assert (folder / "sampler.onnx").stat().st_size < 4 * parameters + 200_000, "the network is in the graph once"
    assert str(Path(__file__).parents[2]).encode() not in (folder / "sampler.onnx").read_bytes()


@pytest.mark.parametrize("way", [[], ["--loop"]])
def test_the_example_draws_with_numpy_alone(
    way: list[str], exported: tuple[Run, Path, dict[str, Any]], tmp_path: Path
) -> None:
    run, folder, _ = exported
    script = (
        "import runpy, sys; sys.modules.update(torch=None, unnoise=None); "
        f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    )
    out = tmp_path / "images.npy"
    words = [str(folder), "--number", "2", "--label", "1", "--out", str(out), *way]
    subprocess.run([sys.executable, "-c", script, *words], check=True)
    found = np.load(out)
    noise = np.random.default_rng(0).standard_normal((2, 1, 8, 8), dtype=np.float32)
    times = tuple(float(t) for t in DPMSolver(steps=6).times(diffusion(run).schedule)[:-1])
    sampler = DDIM(steps=6, grid=times) if way else DPMSolver(steps=6)
    guidance = None if way else Interval(ClassifierFree(2.0), 0.1, 5.0)
    expected = images(run, sampler, noise, np.ones(2, dtype=np.int64), guidance)
    assert np.abs(found.astype(int) - np.rint((expected + 1) * 127.5).astype(int)).max() <= 1


def test_a_program_of_torch_export_is_loaded_without_the_run(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", {"kind": "heun", "steps": 3}, schedule="rectified-flow", parametrization="velocity")
    result = export_run(run, "torch", tmp_path / "out")
    assert set(result["files"]) == {"denoiser.pt2", "sampler.pt2"}
    assert all(difference < 1e-5 for difference in result["files"].values())
    extra = {"unnoise.json": ""}
    program = torch.export.load(tmp_path / "out" / "sampler.pt2", extra_files=extra).module()
    assert json.loads(extra["unnoise.json"])["sampler"]["kind"] == "heun"
    noise = torch.randn(3, 1, 8, 8)
    model = diffusion(run)
    expected = model.decode_point(run.sampler().run(model.guided(), noise))
    torch.testing.assert_close(program(noise), expected, rtol=0, atol=1e-4)


def test_a_sampler_that_draws_noise_gives_way_to_ddim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "run", {"kind": "sde-dpm-solver++", "steps": 4})
    assert graphs_of(run, ExportOptions()).metadata["sampler"] == {
        "kind": "ddim",
        "steps": 4,
        "grid": "auto",
        "eta": 0.0,
    }
    assert "sde-dpm-solver++@4, draws it in its steps: ddim@4 takes its place" in capsys.readouterr().err
    quiet = a_run(tmp_path / "quiet", {"kind": "unipc", "steps": 4})
    assert graphs_of(quiet, ExportOptions()).metadata["sampler"]["kind"] == "unipc"


def test_what_cannot_be_a_graph_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", {"kind": "ddpm", "steps": 50})
    with pytest.raises(NotApplicable, match=r"ddpm@50 draws noise in its steps.*choose a deterministic --sampler"):
        graphs_of(run, ExportOptions("ddpm"))
    with pytest.raises(UserError, match="needs a conditional run"):
        graphs_of(run, ExportOptions("ddim@4", GuidanceOptions(guidance=2.0)))
    with pytest.raises(UserError, match="are part of no such export"):
        export_run(run, "diffusers", tmp_path / "out", options=ExportOptions("ddim@4"))
    with pytest.raises(UserError, match=r"this run is a gan, which draws in one step"):
        graphs_of(_gan(tmp_path / "gan"), ExportOptions("ddim@4"))
    text = a_run(tmp_path / "text", network={**TINY, "attention": [8]}, conditioner={"kind": "text", "dim": 8})
    with pytest.raises(NotApplicable, match="labels and vectors as conditions, and this run takes caption"):
        graphs_of(text, ExportOptions())


def test_without_the_runtime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'unnoise\[onnx\]'"):
        app(
            ["export", str(_gan(tmp_path / "gan").folder), "--to", "onnx", "--out", str(tmp_path / "out")],
            exit_on_error=False,
            result_action="return_value",
        )


def _gan(folder: Path) -> Run:
    model = {"kind": "gan", "latent": 4, "channels": 4, "multipliers": [1], "blocks": 0}
    built = build_model(model, (1, 8, 8), 0)
    sampler = {"kind": "ddim", "steps": 1}
    objective = {"kind": "adversarial"}
    return new_run(folder, model, built.state_dict(), shape=(1, 8, 8), classes=[], sampler=sampler, objective=objective)


def test_autoencoders_are_graphs_both_ways() -> None:
    vae = build_model({"kind": "vae", "latent": 4, "channels": 4, "multipliers": [1], "blocks": 0}, (1, 8, 8), 0)
    gan = build_model({"kind": "gan", "latent": 4, "channels": 4, "multipliers": [1], "blocks": 0}, (1, 8, 8), 0)
    assert set(autoencoder_graphs(vae)) == {"encoder", "decoder"}
    assert set(autoencoder_graphs(gan)) == {"decoder"}
    graph = autoencoder_graphs(vae)["decoder"]
    assert graph.module(*graph.inputs.values()).shape == (2, 1, 8, 8)
