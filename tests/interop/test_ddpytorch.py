"""denoising-diffusion-pytorch's checkpoints against its own code."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unnoise.errors import UserError
from unnoise.interop.formats import import_run
from unnoise.objectives import Denoising
from unnoise.objectives.assembly import build_objective
from unnoise.process.schedule import CosineBetas, GivenBetas, LinearBetas
from unnoise.process.weight import MinSNR
from unnoise.samplers import Ancestral
from unnoise.training.train import train

from .conftest import diffusion
from .topologies import randomised

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL: dict[str, Any] = {"dim": 8, "dim_mults": (1, 2), "attn_dim_head": 4, "attn_heads": 2}
NETWORKS: dict[str, dict[str, Any]] = {
    "default": {},
    "one-level": {"dim_mults": (1,)},
    "three-levels": {"dim_mults": (1, 2, 4)},
    "full-attention": {"full_attn": (True, False)},
    "linear-everywhere": {"full_attn": (False, False)},
    "heads-per-level": {"attn_heads": (2, 4), "attn_dim_head": (8, 4)},
    "first-width": {"init_dim": 12},
    "grey": {"channels": 1},
    "dropout": {"dropout": 0.1},
}


@pytest.fixture
def library(denoising_diffusion_pytorch: ModuleType) -> ModuleType:
    return denoising_diffusion_pytorch


def made(library: ModuleType, network: dict[str, Any] | None = None, **process: Any) -> Any:
    unet = randomised(library.Unet(**{**SMALL, **(network or {})}))
    return library.GaussianDiffusion(unet, **{"image_size": 16, "timesteps": 50, **process}).eval()


def saved(model: Any, path: Path) -> Path:
    """What the library's Trainer saves: the model, and an average of it with other weights."""
    from ema_pytorch import EMA

    average = EMA(model, beta=0.995, update_every=10)
    for parameter in average.ema_model.parameters():
        parameter.data.mul_(0.9)
    optimizer = torch.optim.Adam(model.parameters())
    state = {"step": 10, "model": model.state_dict(), "opt": optimizer.state_dict(), "ema": average.state_dict()}
    torch.save({**state, "scaler": None, "version": "2.3.4"}, path)
    model.model.load_state_dict(average.ema_model.model.state_dict())
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_an_imported_network_gives_the_answers_of_the_original(name: str, library: ModuleType, tmp_path: Path) -> None:
    original = made(library, NETWORKS[name])
    raw = {key: value.clone() for key, value in original.model.state_dict().items()}
    run = import_run(saved(original, tmp_path / "model-1.pt"), tmp_path / "run", size=16)
    model = diffusion(run)
    x, timesteps = torch.randn(4, run.shape[0], 16, 16), torch.tensor([0, 1, 30, 49])
    with torch.no_grad():
        expected = original.model(x, timesteps)
        got = model.predict(x, timesteps.double() + 1)[0]
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max().clamp(min=1)))
    (checkpoint,) = (run.folder / "checkpoints").iterdir()
    trained = load_file(checkpoint / "model.safetensors")
    assert all(torch.equal(trained[f"network.{key}"], value) for key, value in raw.items())


@pytest.mark.parametrize("objective", ["pred_noise", "pred_x0", "pred_v"])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "sigmoid"])
@pytest.mark.parametrize("min_snr", [False, True])
def test_the_process_and_the_loss_are_read(
    objective: str, schedule: str, min_snr: bool, library: ModuleType, tmp_path: Path
) -> None:
    options = {"objective": objective, "beta_schedule": schedule, "min_snr_loss_weight": min_snr, "timesteps": 100}
    original = made(library, **options)
    run = import_run(saved(original, tmp_path / "model-1.pt"), tmp_path / "run", size=16)
    model = diffusion(run)
    kinds = {"linear": LinearBetas, "cosine": CosineBetas, "sigmoid": GivenBetas}
    assert type(model.schedule) is kinds[schedule]
    x_0, eps, t = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4), torch.tensor([0, 1, 50, 98, 99])
    x_t = original.q_sample(x_0, t, eps)
    alpha, sigma = model.schedule.alpha(t.double() + 1), model.schedule.sigma(t.double() + 1)
    ours = (alpha[:, None, None, None] * x_0 + sigma[:, None, None, None] * eps).float()
    torch.testing.assert_close(ours, x_t, rtol=0, atol=1e-5)
    target = {"pred_noise": eps, "pred_x0": x_0, "pred_v": original.predict_v(x_0, t, eps)}[objective]
    found = model.parametrization.target(model.schedule, x_0, eps, t.double() + 1).float()
    torch.testing.assert_close(found, target, rtol=0, atol=1e-5)
    trains = build_objective(run.config["objective"], model)
    assert isinstance(trains, Denoising)
    weight = trains.weight(model.schedule, model.parametrization, t.double() + 1).float()
    torch.testing.assert_close(weight, original.loss_weight[t], rtol=1e-3, atol=1e-6)
    assert isinstance(trains.weight, MinSNR) == min_snr


@pytest.mark.parametrize("objective", ["pred_noise", "pred_x0", "pred_v"])
def test_the_same_images_are_drawn_from_the_same_noise(
    objective: str, library: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = made(library, objective=objective, timesteps=30)
    run = import_run(saved(original, tmp_path / "model-1.pt"), tmp_path / "run", size=16)
    noises = [*torch.randn(30, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))]
    drawn = iter(noises)
    monkeypatch.setattr(torch, "randn", lambda *_, **__: next(drawn))
    monkeypatch.setattr(torch, "randn_like", lambda *_: next(drawn))
    theirs = original.sample(batch_size=2)
    monkeypatch.undo()
    model, sampler, replay = diffusion(run), run.sampler(), iter(noises[1:])
    assert isinstance(sampler, Ancestral)
    monkeypatch.setattr("unnoise.seeding.SeededNoise.normal", lambda self, like: next(replay))
    ours = model.decode_point(sampler.run(model.guided(), noises[0], seeds=range(2)))
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours / 2 + 0.5, theirs.clamp(0, 1), rtol=0, atol=1e-3)


def test_a_run_is_trained_on_with_the_library_s_loss(library: ModuleType, tmp_path: Path) -> None:
    file = saved(made(library), tmp_path / "model-1.pt")
    run = import_run(file, tmp_path / "run", size=16, data="glyphs:16")
    limits = {"train.batch_size": 4, "train.samples": 0}
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    more = train(images, out=tmp_path / "more", start=run, steps=1, overrides=limits, device="cpu")
    assert more.config["objective"]["weight"] == {"kind": "p2", "k": 1.0, "gamma": 0.0}


def test_what_has_no_counterpart_is_refused(library: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "model-1.pt"
    with pytest.raises(UserError, match="give --size"):
        import_run(saved(made(library), file), tmp_path / "run")
    with pytest.raises(UserError, match=r"images in \[0, 1\] has no counterpart"):
        import_run(file, tmp_path / "run", size=16, options={"auto_normalize": False})
    with pytest.raises(UserError, match=r"unknown key 'normalize'.*did you mean 'auto_normalize'"):
        import_run(file, tmp_path / "run", size=16, options={"normalize": False})
    with pytest.raises(UserError, match="self-conditioning"):
        import_run(saved(made(library, {"self_condition": True}), file), tmp_path / "run", size=16)
    torch.save({"model": {"model.init_conv.weight": torch.ones(8, 3, 7, 7)}}, file)
    with pytest.raises(UserError, match=r"it has no model\.final_conv\.weight"):
        import_run(file, tmp_path / "run", size=16)
    torch.save({"model": {"step": 3}}, file)
    with pytest.raises(UserError, match="is no state dict"):
        import_run(file, tmp_path / "run", size=16)
