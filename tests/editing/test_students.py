"""What a student can edit, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import unnoise
from unnoise.data import save_png
from unnoise.editing import edit
from unnoise.editing.latent_space import latent_space
from unnoise.editing.tasks import Inpaint, Upscale, Vary
from unnoise.inverse.repaint import RenoisePaint
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import RectifiedFlow, Schedule
from unnoise.runs.run import Run
from unnoise.samplers import Renoise
from unnoise.samplers.inversion import slerp
from unnoise.sampling.tune import tune_run
from unnoise.training.train import train

SMALL = {"train.batch_size": 4, "train.samples": 0, "data.limit": 16, "model.jumps": True}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    train("digits", "ddpm-digits", folder / "run", steps=1, overrides=SMALL, device="cpu")
    images, _ = Run.open(folder / "run").open_data("train")
    save_png(images.pixels[0], folder / "picture.png")
    mask = Image.new("L", (8, 8), 0)
    mask.paste(255, (0, 4, 8, 8))
    mask.save(folder / "mask.png")
    return folder


def test_it_inpaints_by_repaint_in_few_calls_and_keeps_what_is_known(student: Path) -> None:
    picture = student / "picture.png"
    found = edit(student / "run", Inpaint(image=picture, mask=student / "mask.png"), range(2), device="cpu")
    assert found["network_calls"] == 4
    with Image.open(picture) as before, Image.open(found["files"][0]) as after:
        given, made = (np.asarray(image.convert("L")) for image in (before, after))
    assert np.array_equal(given[:4], made[:4])
    assert not np.array_equal(given[4:], made[4:])


def test_it_inpaints_from_where_its_own_sampler_begins(student: Path, tmp_path: Path) -> None:
    begun = {**SMALL, "sampler": {"kind": "renoise", "steps": 2, "start": 0.7}}
    train("digits", "ddpm-digits", tmp_path / "run", steps=1, overrides=begun, device="cpu")
    task, asked = Inpaint(image=student / "picture.png", mask=student / "mask.png"), []

    def times(sampler: RenoisePaint, schedule: Schedule) -> torch.Tensor:
        asked.append(Renoise.times(sampler, schedule))
        return asked[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RenoisePaint, "times", times)
        edit(tmp_path / "run", task, range(1), device="cpu")
    schedule = Run.open(tmp_path / "run").load("cpu").schedule  # type: ignore[union-attr]
    assert torch.equal(asked[0], Renoise(steps=4, start=0.7).times(schedule))


@pytest.mark.parametrize("method", ["pigdm", "ddnm"])
def test_posterior_methods_refuse_it(student: Path, method: str) -> None:
    task = Inpaint(image=student / "picture.png", mask=student / "mask.png", method=method)
    with pytest.raises(ValueError, match="inpaints by repaint alone"):
        edit(student / "run", task, range(1), device="cpu")


@pytest.mark.parametrize("task", [Upscale, Vary])
def test_what_needs_the_mean_names_the_run_to_use(student: Path, task: type) -> None:
    with pytest.raises(ValueError, match="use the run that it was made from"):
        edit(student / "run", task(image=student / "picture.png"), range(1), device="cpu")


def test_inversion_likelihood_and_denoising_refuse_it(student: Path) -> None:
    model = unnoise.load(student / "run", "cpu")
    with pytest.raises(ValueError, match="the noise of a picture needs the mean"):
        latent_space(model)
    with pytest.raises(ValueError, match="tuning needs the mean"):
        tune_run(student / "run", 2, device="cpu")
    result = unnoise.evaluate(student / "run", "digits", metrics=("fid",), features="pixels", n=12, device="cpu")
    assert result["fid"] > 0
    with pytest.raises(ValueError, match="a student knows where paths end"):
        unnoise.evaluate(student / "run", "digits", metrics=("bpd",), n=12, device="cpu")


def test_noise_between_noises_gives_images_between_images() -> None:
    """f is continuous in its noise: of a Gaussian it is a number times it, and so is the middle of a great circle."""
    exact = GaussianMixture(torch.ones(1), torch.zeros(1, 4), 0.5).denoiser(RectifiedFlow())
    a, b = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)
    ends = [Renoise(steps=1).run(exact, x) for x in (a, slerp(a, b, 0.01), b)]
    assert (ends[0] - ends[1]).abs().max() <= 0.1 * (ends[0] - ends[2]).abs().max() + 1e-12


def test_repainting_with_exact_jumps_draws_the_unknown_by_its_own_distribution() -> None:
    """Independent coordinates: where one is known, the other keeps its law in every number of calls."""

    class Jump:
        schedule = RectifiedFlow()

        def __call__(self, x_t: torch.Tensor, t: torch.Tensor, cond: object = None):
            from unnoise.process.denoiser import Denoised

            spread = (((1 - t) * 0.5) ** 2 + t**2).sqrt()
            x_0 = 0.5 / spread * x_t
            return Denoised(x_t, x_0, (x_t - (1 - t) * x_0) / t, schedule=self.schedule, t=t)

    x_T = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image, known = torch.tensor([[0.3, 0.0]], dtype=torch.float64), torch.tensor([True, False])
    for steps in (1, 3):
        drawn = RenoisePaint(steps=steps, image=image, known=known).run(Jump(), x_T)  # type: ignore[arg-type]
        assert torch.equal(drawn[:, 0], image[0, 0].expand(20_000))
        assert float(drawn[:, 1].std()) == pytest.approx(0.5, rel=0.03)
