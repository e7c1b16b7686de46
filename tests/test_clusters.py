"""The examples of docs/clusters.md are what the tools they are for can read, and the plan for other devices adds up."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from unnoise.errors import UserError
from unnoise.runs.estimate import Estimate
from unnoise.runtime.peaks import PEAKS, parse_devices
from unnoise.training import estimate as module
from unnoise.training.estimate import FRACTION
from unnoise.training.train import train

PAGE = Path(__file__).parents[1] / "docs" / "clusters.md"
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SCRIPTS = [text for language, text in FENCES if language == "bash"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_bash(script: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_job_and_its_service_belong_together() -> None:
    yaml = pytest.importorskip("yaml")
    (text,) = [text for language, text in FENCES if language == "yaml"]
    service, job = yaml.safe_load_all(text)
    assert (service["kind"], job["kind"], job["apiVersion"]) == ("Service", "Job", "batch/v1")
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert f"--master-addr={job['metadata']['name']}-0.{pod['subdomain']}" in container["args"]
    assert f"--nnodes={job['spec']['completions']}" in container["args"]
    assert f"--master-port={service['spec']['ports'][0]['port']}" in container["args"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    per_node = container["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--nproc-per-node={per_node}" in container["args"]


TINY = {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": [], "data.limit": 16}


def estimate(tmp_path: Path, devices: str, recipe: str = "ddpm-digits", **more: Any) -> Estimate:
    overrides = {**(TINY if recipe.startswith("ddpm") else {"data.limit": 16}), "train.batch_size": 64, **more}
    run = train(
        "digits", recipe, tmp_path / "run", 1000, None, 0, overrides, dry_run=True, devices=devices, device="cpu"
    )
    assert run.plan is not None
    assert run.plan.estimate is not None
    assert not (tmp_path / "run").exists()
    assert run.plan.to_dict()["estimate"]["device"] == run.plan.estimate.device
    return run.plan.estimate


def test_the_plan_for_other_devices_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAUNCH", 0.0)
    found = estimate(tmp_path, "8xH100")
    assert (found.count, found.device, found.precision, found.peak_tflops) == (8, "H100", "bf16", 989)
    assert found.weights_memory == 5 * 4 * found.parameters
    assert found.exchanged == 2 * 7 / 8 * 4 * found.parameters
    assert (found.images_at_once, found.parts) == (8, 1)
    assert found.images_per_second == pytest.approx(8 * FRACTION * 989e12 / found.training_flops)
    assert found.seconds == pytest.approx(1000 * 64 / found.images_per_second)
    one = estimate(tmp_path, "h100")
    assert one.activation_memory == 8 * found.activation_memory
    assert one.exchanged == 0
    assert estimate(tmp_path, "T4").precision == "fp32"
    assert estimate(tmp_path, "T4").activation_memory > one.activation_memory  # autocast keeps half as much
    for line, words in {"speed": "estimate: 35% of the peak", "memory": "measured with one image here"}.items():
        assert any(text.startswith(line) and words in text for text in found.lines())


def test_every_phase_counts(tmp_path: Path) -> None:
    """A GAN computes the discriminator's phase too."""
    found, less = (estimate(tmp_path, "A100", "gan", **{"objective.channels": count}) for count in (32, 1))
    assert found.training_flops > 1.5 * less.training_flops


def test_small_networks_wait_for_their_operations(tmp_path: Path) -> None:
    """An eight-pixel set was to train at a million images a second."""
    found = estimate(tmp_path, "8xH100")
    assert found.launching
    assert found.seconds == pytest.approx(1000 * found.operations * module.LAUNCH)
    assert 2.5 < found.training_flops / found.forward_flops < 3.5


def test_a_large_batch_is_taken_in_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = estimate(tmp_path, "A100")
    needed = (whole.weights_memory + whole.activation_memory) / 1e9
    monkeypatch.setitem(PEAKS, "A100", type(PEAKS["A100"])(needed / 2 / 0.8, PEAKS["A100"].tflops))  # type: ignore[arg-type]
    assert estimate(tmp_path, "A100").parts == 4  # half of the room is half of weights and activations together
    monkeypatch.setitem(PEAKS, "A100", type(PEAKS["A100"])(1e-6, PEAKS["A100"].tflops))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="one image and the weights need more"):
        estimate(tmp_path, "A100")


@pytest.mark.parametrize(
    ("text", "found"), [("8xH100", (8, "H100")), ("a100", (1, "A100")), ("2 x rtx4090", (2, "RTX4090"))]
)
def test_devices_are_read(text: str, found: tuple[int, str]) -> None:
    assert parse_devices(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [("8xH10", "unknown device 'H10'; did you mean 'H100'"), ("x", "unknown"), ("0xH100", "cannot")],
)
def test_devices_that_do_not_exist_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_devices(text)


def test_devices_are_for_plans(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --dry-run as well"):
        train("digits", out=tmp_path / "run", devices="H100")
    with pytest.raises(UserError, match="65 devices for batches of 64"):
        estimate(tmp_path, "65xH100")
