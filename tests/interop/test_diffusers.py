"""diffusers in and out: the same network answers, the same images, the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from unnoise.errors import NotApplicable, UserError
from unnoise.interop.diffusers_export import export_diffusers
from unnoise.interop.diffusers_import import import_diffusers
from unnoise.models import Diffusion
from unnoise.samplers import DDIM, Ancestral

from .conftest import Saved, diffusion, our_run, quietly
from .topologies import ATTENDED, SMALL, TOPOLOGIES

pytestmark = pytest.mark.filterwarnings("ignore")
TIMES = (0, 1, 37, 500, 999)
NETWORK = "unet/diffusion_pytorch_model.safetensors"


def batch(options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    size = options.get("sample_size", 16)
    height, width = (size, size) if isinstance(size, int) else size
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(len(TIMES), options.get("in_channels", 3), height, width, generator=draws)
    return x, torch.tensor(TIMES)


def labels_of(options: dict[str, Any], count: int) -> dict[str, Tensor]:
    """The class labels that a topology takes, as diffusers wants them."""
    draws = torch.Generator().manual_seed(2)
    if "num_class_embeds" in options:
        return {"class_labels": torch.arange(count) % options["num_class_embeds"]}
    if options.get("class_embed_type") == "identity":
        return {"class_labels": torch.randn(count, 32, generator=draws)}
    if options.get("class_embed_type") == "timestep":
        return {"class_labels": 100 * torch.rand(count, generator=draws)}
    return {}


def condition_of(model: Diffusion, given: dict[str, Tensor]) -> dict[str, Tensor] | None:
    if not given:
        return None
    (value,) = given.values()
    return {model.condition_names[0]: value[:, None] if value.is_floating_point() and value.ndim == 1 else value}


def answers(model: Diffusion, x: Tensor, timesteps: Tensor, cond: Any = None) -> Tensor:
    """The network's, at diffusers' timesteps 0, 1, ..., T - 1."""
    with torch.no_grad():
        return model.predict(x, timesteps.double() + 1, cond)[0]


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_an_imported_network_gives_the_answers_of_the_original_and_comes_back_with_the_same_bits(
    name: str, saved: Saved, diffusers: ModuleType, tmp_path: Path
) -> None:
    options = TOPOLOGIES[name]
    folder = saved(**options)
    run = import_diffusers(folder, tmp_path / "run")
    model = diffusion(run)
    x, timesteps = batch(options)
    given = labels_of(options, len(x))
    original = quietly(diffusers.UNet2DModel.from_pretrained, folder, subfolder="unet").eval()
    with torch.no_grad():
        expected = original(x, timesteps, **given).sample
    assert expected.std() > 0.1
    got = answers(model, x, timesteps, condition_of(model, given))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max().clamp(min=1)))

    export_diffusers(run, tmp_path / "out")
    again = quietly(diffusers.UNet2DModel.from_pretrained, tmp_path / "out", subfolder="unet").eval()
    with torch.no_grad():
        assert torch.equal(again(x, timesteps, **given).sample, expected)
    before, after = load_file(folder / NETWORK), load_file(tmp_path / "out" / NETWORK)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(after[key][: len(value)], value)
    returned = diffusion(import_diffusers(tmp_path / "out", tmp_path / "again"))
    for (key, value), other in zip(model.state_dict().items(), returned.state_dict().values(), strict=True):
        assert torch.equal(value, other), key
    assert returned.spec() == model.spec()


SCHEDULING: list[tuple[str, dict[str, Any]]] = [
    ("DDPMScheduler", {}),
    ("DDPMScheduler", {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}),
    ("DDPMScheduler", {"beta_schedule": "sigmoid", "clip_sample": False}),
    ("DDIMScheduler", {"beta_schedule": "scaled_linear", "prediction_type": "sample"}),
    ("DDIMScheduler", {"num_train_timesteps": 100, "beta_end": 0.1}),
    ("EulerDiscreteScheduler", {"beta_start": 1e-3}),
    ("DPMSolverMultistepScheduler", {"trained_betas": [0.01, 0.02, 0.3, 0.2]}),
    ("UniPCMultistepScheduler", {"prediction_type": "v_prediction"}),
]


@pytest.mark.parametrize(("kind", "scheduling"), SCHEDULING)
def test_the_process_of_a_scheduler_is_read(
    kind: str, scheduling: dict[str, Any], saved: Saved, diffusers: ModuleType, tmp_path: Path
) -> None:
    folder = saved(kind, scheduling)
    model = diffusion(import_diffusers(folder, tmp_path / "run"))
    scheduler = getattr(diffusers, kind)(**{"num_train_timesteps": 1000, **scheduling})
    grid = model.schedule.grid
    assert grid is not None
    torch.testing.assert_close(model.schedule.alpha(grid).square().float(), scheduler.alphas_cumprod, rtol=2e-5, atol=0)
    original = quietly(diffusers.UNet2DModel.from_pretrained, folder, subfolder="unet").eval()
    x, first = torch.randn(2, 3, 16, 16), torch.tensor([0, 3])
    with torch.no_grad():
        torch.testing.assert_close(answers(model, x, first), original(x, first).sample, rtol=0, atol=1e-4)
    assert model.clip == scheduler.config.get("clip_sample", False)
    x_0, eps, at = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.tensor([1, 3])
    target = model.parametrization.target(model.schedule, x_0, eps, at.double())
    expected = {"epsilon": eps, "sample": x_0}.get(scheduler.config.prediction_type)
    if expected is None:
        expected = diffusers.DDPMScheduler.from_config(scheduler.config).get_velocity(x_0, eps, at - 1)
    torch.testing.assert_close(target.float(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["attention", "scale-shift"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ddim_pipelines_draw_the_same_images_from_the_same_noise(
    name: str, prediction: str, saved: Saved, diffusers: ModuleType, tmp_path: Path
) -> None:
    folder = saved("DDIMScheduler", {"prediction_type": prediction}, **TOPOLOGIES[name])
    run = import_diffusers(folder, tmp_path / "run")
    export_diffusers(run, tmp_path / "out")
    pipeline = quietly(diffusers.DDIMPipeline.from_pretrained, tmp_path / "out")
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    options = {"num_inference_steps": 10, "output_type": "np", "use_clipped_model_output": True}
    theirs = pipeline(batch_size=2, generator=torch.Generator().manual_seed(0), **options).images
    model = diffusion(run)
    ours = model.decode_point(DDIM(steps=10).run(model.guided(), noise))
    assert ours.std() > 0.05
    torch.testing.assert_close(ours.permute(0, 2, 3, 1) / 2 + 0.5, torch.as_tensor(theirs), rtol=0, atol=1e-3)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned_range"])
def test_ddpm_pipelines_draw_the_same_images_from_the_same_noise(
    variance: str, saved: Saved, diffusers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {"out_channels": 6} if variance == "learned_range" else {}
    scheduling = {"variance_type": variance, "num_train_timesteps": 12, "beta_end": 0.3}
    run = import_diffusers(saved("DDPMScheduler", scheduling, **outputs), tmp_path / "run")
    export_diffusers(run, tmp_path / "out")
    pipeline = quietly(diffusers.DDPMPipeline.from_pretrained, tmp_path / "out")
    pipeline.set_progress_bar_config(disable=True)
    noises = iter(list(torch.randn(12, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))))
    drawn = []

    def next_noise(*_: Any, **__: Any) -> Tensor:
        drawn.append(next(noises))
        return drawn[-1]

    monkeypatch.setattr("diffusers.pipelines.ddpm.pipeline_ddpm.randn_tensor", next_noise)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", next_noise)
    theirs = pipeline(batch_size=2, num_inference_steps=12, output_type="np").images
    model, sampler = diffusion(run), run.sampler()
    assert isinstance(sampler, Ancestral)
    replay = iter(drawn[1:])
    monkeypatch.setattr("unnoise.seeding.SeededNoise.normal", lambda self, like: next(replay))
    ours = model.decode_point(sampler.run(model.guided(), drawn[0], seeds=range(2)))
    torch.testing.assert_close(ours.permute(0, 2, 3, 1) / 2 + 0.5, torch.as_tensor(theirs), rtol=0, atol=1e-3)
    assert next(replay, None) is None


OURS: dict[str, dict[str, Any]] = {
    "recipe": {
        "network": {"kind": "unet2d", "block_out_channels": [8, 16], "norm_num_groups": 4, **ATTENDED},
        "schedule": {"kind": "cosine-betas"},
        "parametrization": "v",
    },
    "classes": {
        "network": {"kind": "unet2d", "block_out_channels": [8, 16], "norm_num_groups": 4, **ATTENDED},
        "conditioner": {"kind": "class", "dim": 12},
    },
    "unet": {"network": {"kind": "unet", "channels": 64, "multipliers": [1, 1], "blocks": 1, "attention": [8]}},
    "unet adagn": {
        "network": {"kind": "unet", "channels": 64, "multipliers": [1, 1], "blocks": 1, "time_injection": "adagn"},
        "conditioner": {"kind": "class", "dim": 12},
        "schedule": {"kind": "geometric-betas"},
    },
    "told what augmentation did": {
        "network": {"kind": "unet", "channels": 64, "multipliers": [1, 1], "blocks": 1, "time_injection": "adagn"},
        "conditioner": {"kind": "augment", "features": 8},
        "parametrization": "x0",
    },
    "classes and augmentation": {
        "network": {"kind": "unet2d", "block_out_channels": [8, 16], "norm_num_groups": 4, **ATTENDED},
        "conditioner": {"kind": "combined", "parts": {"class": {"dim": 12}, "augment": {"features": 8}}},
    },
}


@pytest.mark.parametrize("name", OURS)
def test_our_own_networks_go_out_and_come_back(name: str, diffusers: ModuleType, tmp_path: Path) -> None:
    run = our_run(tmp_path, **OURS[name])
    model = diffusion(run)
    assert export_diffusers(run, tmp_path / "out")["network"] == "UNet2DModel"
    theirs = quietly(diffusers.UNet2DModel.from_pretrained, tmp_path / "out", subfolder="unet").eval()
    x, timesteps = batch({})
    labels = {"class_labels": torch.arange(5) % 4} if model.condition_names else {}
    cond = {"label": labels["class_labels"]} if labels else None
    with torch.no_grad():
        expected = theirs(x, timesteps, **labels).sample
    got = answers(model, x, timesteps, cond)
    largest = float(got.abs().max().clamp(min=1))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * largest)
    scheduler = quietly(diffusers.DDPMScheduler.from_pretrained, tmp_path / "out", subfolder="scheduler")
    assert model.schedule.grid is not None
    levels = model.schedule.alpha(model.schedule.grid).square().float()
    torch.testing.assert_close(levels, scheduler.alphas_cumprod, rtol=2e-5, atol=1e-12)

    back = import_diffusers(tmp_path / "out", tmp_path / "back")
    assert back.classes == run.classes
    returned = diffusion(back)
    torch.testing.assert_close(answers(returned, x, timesteps, cond), got, rtol=0, atol=1e-5 * largest)
    absent = answers(returned, x, timesteps), answers(model, x, timesteps)
    torch.testing.assert_close(*absent, rtol=0, atol=1e-5 * largest)
    export_diffusers(back, tmp_path / "twice")
    for part in ("unet/config.json", NETWORK, "scheduler/scheduler_config.json", "unnoise.json", "model_index.json"):
        assert (tmp_path / "twice" / part).read_bytes() == (tmp_path / "out" / part).read_bytes(), part


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"network": OURS["recipe"]["network"], "schedule": {"kind": "ve"}}, "which VE has not"),
    ({"network": OURS["recipe"]["network"], "parametrization": "edm"}, "no prediction type for EDM"),
    ({"network": OURS["recipe"]["network"], "conditioner": {"kind": "map"}}, "no counterpart of the conditions map"),
    (
        {"network": OURS["recipe"]["network"], "conditioner": {"kind": "vector", "features": 3}},
        "no counterpart of the conditions vector",
    ),
]


@pytest.mark.parametrize(("parts", "reason"), REFUSED)
def test_what_diffusers_has_no_class_for_is_refused_with_the_reason(
    parts: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(NotApplicable, match=reason):
        export_diffusers(our_run(tmp_path, **parts), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def change(folder: Path, file: str, **values: Any) -> None:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("file", "values", "reason"),
    [
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "is of a UNet2DConditionModel"),
        ("unet/config.json", {"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, "SkipDownBlock2D, which has no"),
        ("unet/config.json", {"block_out_channels": [8, 2**40]}, "out of bounds"),
        ("unet/config.json", {"layers_per_block": 10**9}, "layers_per_block must be"),
        ("unet/config.json", {"time_embedding_type": "fourier"}, "logarithm of the timestep"),
        ("unet/config.json", {"novelty": 1}, "unknown key 'novelty'"),
        ("unet/config.json", {"sample_size": None}, "give --size"),
        ("unet/config.json", {"norm_num_groups": 2**70}, "does not divide|must be|larger than"),
        ("scheduler/scheduler_config.json", {"_class_name": "LCMScheduler"}, "unknown scheduler"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "unknown prediction_type"),
        ("scheduler/scheduler_config.json", {"rescale_betas_zero_snr": True}, "no signal is left"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**9}, "must be from 1 to"),
        ("unet/config.json", {"block_out_channels": [8, 32]}, "do not fit|has the shape"),
    ],
)
def test_what_cannot_be_read_is_refused(
    file: str, values: dict[str, Any], reason: str, saved: Saved, tmp_path: Path
) -> None:
    folder = saved()
    change(folder, file, **values)
    with pytest.raises(UserError, match=reason):
        import_diffusers(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pickled_weights_are_not_read(saved: Saved, tmp_path: Path) -> None:
    folder = saved()
    (folder / NETWORK).rename(folder / "unet/diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="is a pickle, which is not read"):
        import_diffusers(folder, tmp_path / "run")


def test_damaged_weights_are_named(saved: Saved, tmp_path: Path) -> None:
    folder = saved()
    (folder / NETWORK).write_bytes(b"\xff" * 64)
    with pytest.raises(UserError, match="is no safetensors file"):
        import_diffusers(folder, tmp_path / "run")


def test_topologies_name_every_option() -> None:
    from unnoise.interop.diffusers_unet import THEIRS

    used = {option for options in TOPOLOGIES.values() for option in options} | set(SMALL)
    assert set(THEIRS) - used == set()
