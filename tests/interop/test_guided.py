"""improved- and guided-diffusion's checkpoints against an independent writing of their network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.interop.formats import import_run
from unnoise.models import Diffusion
from unnoise.samplers import Ancestral

from .conftest import diffusion
from .guided_reference import Options, Weights, unet_model

TIMES = (0, 1, 37, 500, 999)
BASE = Options()
FLAGS = {"diffusion_steps": 1000, "noise_schedule": "linear", "num_heads": 2}
NETWORKS: dict[str, tuple[Options, dict[str, Any]]] = {
    "plain": (BASE, {}),
    "added-time": (replace(BASE, scale_shift=False), {}),
    "resblock-updown": (replace(BASE, mult=(1, 2, 2), updown=True, attention=(1, 2)), {}),
    "updown-without-attention-below": (replace(BASE, mult=(1, 1, 2), updown=True, attention=(2,), blocks=2), {}),
    "head-channels": (replace(BASE, num_head_channels=16), {"num_heads": None, "num_head_channels": 16}),
    "new-order": (replace(BASE, new_order=True), {"use_new_attention_order": True}),
    "heads-at-two-widths": (replace(BASE, attention=(0, 1), num_heads=4, blocks=2), {"num_heads": 4}),
    "learned-variance": (replace(BASE, learn_sigma=True), {}),
    "classes": (replace(BASE, classes=5), {}),
    "predicts-x0": (BASE, {"predict_xstart": True}),
    "narrow-first-level": (replace(BASE, channels=64, mult=(0.5, 1)), {}),
    "improved": (replace(BASE, channels=32, mult=(1, 2, 3), attention=(1, 2), narrow_first=False), {}),
}


def saved(options: Options, path: Path, **more: Any) -> tuple[Path, Weights]:
    """A checkpoint with the weights that the reference asks for, in the format of torch.save."""
    weights = Weights()
    labels = torch.zeros(1, dtype=torch.long)
    unet_model(weights, torch.zeros(1, 3, 16, 16), torch.zeros(1), options, labels)
    torch.save({**weights, **more}, path)
    return path, weights


def answers(model: Diffusion, x: Tensor, timesteps: Tensor, labels: Tensor) -> Tensor:
    """The network's, of all its channels, at the library's steps 0, 1, ..., T - 1."""
    cond = {"label": labels} if model.conditioner else None
    with torch.no_grad():
        target, var_mix = model.predict(x, timesteps.double() + 1, cond)
    return target if var_mix is None else torch.cat([target, 2 * var_mix - 1], dim=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_imported_network_gives_the_answers_of_the_reference(name: str, tmp_path: Path) -> None:
    options, flags = NETWORKS[name]
    file, weights = saved(options, tmp_path / "ema_0.9999_000001.pt")
    given = {key: value for key, value in {**FLAGS, **flags}.items() if value is not None}
    run = import_run(file, tmp_path / "run", size=16, options=given)
    model = diffusion(run)
    draws = torch.Generator().manual_seed(1)
    x, timesteps = torch.randn(len(TIMES), 3, 16, 16, generator=draws), torch.tensor(TIMES)
    labels = torch.arange(len(TIMES)) % max(options.classes, 1)
    expected = unet_model(weights, x, timesteps, options, labels)
    assert expected.std() > 0.1
    got = answers(model, x, timesteps, labels)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-5 * float(expected.abs().max()))
    assert len(run.classes) == options.classes
    assert type(model.parametrization).__name__ == ("X0" if "predict_xstart" in flags else "Eps")
    sampler = run.sampler()
    assert isinstance(sampler, Ancestral)
    assert sampler.variance == ("learned" if options.learn_sigma else "beta")


@pytest.mark.parametrize(("rescaled", "scale"), [(True, 0.25), (False, 1.0)])
def test_another_number_of_steps_gives_the_network_its_own_scale_of_time(
    rescaled: bool, scale: float, tmp_path: Path
) -> None:
    file, weights = saved(BASE, tmp_path / "ema.pt")
    flags = {**FLAGS, "diffusion_steps": 4000, "noise_schedule": "cosine", "rescale_timesteps": rescaled}
    model = diffusion(import_run(file, tmp_path / "run", size=16, options=flags))
    x, timesteps = torch.randn(3, 3, 16, 16), torch.tensor([0, 5, 3999])
    expected = unet_model(weights, x, scale * timesteps, BASE)
    got = answers(model, x, timesteps, timesteps)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("steps", [1000, 4000])
def test_the_betas_are_those_of_the_library(steps: int, tmp_path: Path) -> None:
    file, _ = saved(BASE, tmp_path / "ema.pt")
    for name in ("linear", "cosine"):
        flags = {**FLAGS, "diffusion_steps": steps, "noise_schedule": name, "rescale_timesteps": True}
        schedule = diffusion(import_run(file, tmp_path / name, size=16, options=flags)).schedule
        grid = schedule.grid
        assert grid is not None
        steps_back = schedule.alpha(grid).square() / schedule.alpha(grid - 1).square()
        t = torch.arange(steps, dtype=torch.float64)
        if name == "linear":  # Ho et al.'s, for another number of steps scaled so that as much noise is added
            expected = (0.1 + (20 - 0.1) * t / (steps - 1)) / steps
        else:  # Nichol & Dhariwal 2021, equation 17
            bar = torch.cos(((torch.arange(steps + 1).double() / steps) + 0.008) / 1.008 * torch.pi / 2) ** 2
            expected = (1 - bar[1:] / bar[:-1]).clamp(max=0.999)
        torch.testing.assert_close(1 - steps_back, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "flags", "message"),
    [
        (BASE, {}, r"\(--set FLAG=VALUE\) needs diffusion_steps, noise_schedule"),
        (BASE, {**FLAGS, "num_headz": 2}, "unknown key 'num_headz'.*did you mean 'num_heads'"),
        (BASE, {**FLAGS, "noise_schedule": "sqrt"}, "must be one of linear, cosine"),
        (BASE, {**FLAGS, "num_heads": 3}, "64 channels cannot have the heads"),
        (BASE, {**FLAGS, "num_head_channels": 8}, "not both"),
        (BASE, {**FLAGS, "diffusion_steps": 4000}, "rescale_timesteps=true or false"),
        (BASE, {"diffusion_steps": 1000, "noise_schedule": "linear"}, "num_heads=N or num_head_channels=N"),
    ],
)
def test_what_the_file_does_not_say_is_asked_for(options: Options, flags: dict, message: str, tmp_path: Path) -> None:
    file, _ = saved(options, tmp_path / "ema.pt")
    with pytest.raises(UserError, match=message):
        import_run(file, tmp_path / "run", size=16, options=flags)
    assert not (tmp_path / "run").exists()


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    file, weights = saved(BASE, tmp_path / "ema.pt")
    with pytest.raises(UserError, match="give --size"):
        import_run(file, tmp_path / "run", options=FLAGS)
    torch.save({**weights, "more": torch.ones(3)}, file)
    with pytest.raises(UserError, match=r"holds .* weights, and a UNetModel with its levels has"):
        import_run(file, tmp_path / "run", size=16, options=FLAGS)
    torch.save({**weights, "out.2.weight": torch.ones(5, 32, 3, 3), "out.2.bias": torch.ones(5)}, file)
    with pytest.raises(UserError, match="answers 5 channels to 3"):
        import_run(file, tmp_path / "run", size=16, options=FLAGS)
    torch.save({name: value for name, value in weights.items() if not name.startswith("input_blocks.2.")}, file)
    with pytest.raises(UserError, match="input_blocks lacks blocks"):
        import_run(file, tmp_path / "run", size=16, options=FLAGS)
    torch.save({**weights, "out.2.bias": torch.tensor([1.0, float("nan"), 0.0])}, file)
    with pytest.raises(UserError, match="not finite"):
        import_run(file, tmp_path / "run", size=16, options=FLAGS)
    torch.save({"weights": 1}, file)
    with pytest.raises(UserError, match="is no checkpoint of"):
        import_run(file, tmp_path / "run")
