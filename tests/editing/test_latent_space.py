from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import unnoise
from unnoise.data import save_png
from unnoise.editing import read_image
from unnoise.editing.edit_latents import _latent, _read, _shown, edit_latents
from unnoise.editing.latent_space import (
    AutoencoderLatents,
    DDIMNoise,
    arithmetic,
    interpolated,
    latent_space,
    reconstruct,
)
from unnoise.models import CanSample
from unnoise.models.assembly import build_model
from unnoise.samplers import DDIM, interpolate, slerp
from unnoise.sampling.conditions import SampleConditions
from unnoise.sources import open_source
from unnoise.training.train import train

CLUSTERS = {"kind": "cluster", "clusters": 6, "dim": 8, "shown": True}
SMALL = {"train.batch_size": 32, "train.samples": 0, "train.warmup": 1}


class Doubling:
    """A linear code: z = 2 x."""

    def encode(self, image: Tensor) -> Tensor:
        return 2 * image

    def decode(self, z: Tensor) -> Tensor:
        return z / 2


def pictures(count: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    return [torch.rand(1, 1, 4, 4, generator=draws) for _ in range(count)]


def test_arithmetic_and_interpolation_of_a_linear_code_are_those_of_images() -> None:
    space, (a, b, c) = AutoencoderLatents(Doubling()), pictures(3)
    x, y, z = (space.encode(image) for image in (a, b, c))
    torch.testing.assert_close(arithmetic(space, x, y, z), a - b + c)
    torch.testing.assert_close(arithmetic(space, x, x, z), c)
    path = interpolated(space, x, y, 5)
    torch.testing.assert_close(path[[0, 2, 4]], torch.cat([a, (a + b) / 2, b]))


def test_a_sum_of_noises_has_the_norm_of_noise() -> None:
    torch.manual_seed(0)
    model = build_model({"network": {"kind": "unet", "channels": 8}}, (1, 8, 8), 0)
    assert isinstance(model, unnoise.Diffusion)
    space = DDIMNoise(model)
    a, b, c = torch.randn(3, 1, 1, 8, 8)
    assert float(space.renormalise(a - b + c, c).norm()) == pytest.approx(float(c.norm()), rel=1e-5)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("semantics") / "run"
    overrides = {**SMALL, "model.network.channels": 16}
    train("digits", "ddpm-digits", out, steps=150, overrides=overrides, device="cpu")
    return out


def test_an_image_comes_back_from_its_noise(diffusion: Path) -> None:
    model = unnoise.load(diffusion, device="cpu")
    images = open_source("digits", split="test", progress=False).batch(range(4)).image
    _, psnr = reconstruct(latent_space(model, steps=100), images)
    assert psnr > 40


def test_every_task_writes_its_grid_and_wrong_requests_are_refused(diffusion: Path, tmp_path: Path) -> None:
    small = {**SMALL, "model.channels": 8}
    vae = train("digits", "vae", tmp_path / "vae", steps=2, overrides=small, device="cpu").folder
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for index, file in enumerate(files):
        Image.fromarray(np.asarray(open_source("digits", progress=False).pixels[index, 0])).save(file)
    for run in (diffusion, vae):
        between = edit_latents(
            run, "interpolate", files[:2], count=3, steps=5, out=tmp_path / f"{run.name}-i.png", device="cpu"
        )
        assert between["images"] == 3
        sums = edit_latents(run, "arithmetic", files, steps=5, out=tmp_path / f"{run.name}-a.png", device="cpu")
        assert sums["images"] == 4
        assert (
            edit_latents(run, "invert", files[:1], steps=5, out=tmp_path / f"{run.name}-b.png", device="cpu")["psnr"]
            > 0
        )
    assert edit_latents(vae, "traverse", files[:1], count=2, out=tmp_path / "t.png", device="cpu")["images"] == 20
    with pytest.raises(ValueError, match="takes 3 pictures or seeds, got 2"):
        edit_latents(vae, "arithmetic", files[:2])
    with pytest.raises(ValueError, match="latents of few dimensions"):
        edit_latents(diffusion, "traverse", files[:1], device="cpu")


def test_a_traversal_of_noise_is_refused_before_any_network_call(
    monkeypatch: pytest.MonkeyPatch, diffusion: Path, tmp_path: Path
) -> None:
    file = tmp_path / "one.png"
    Image.fromarray(np.asarray(open_source("digits", progress=False).pixels[0, 0])).save(file)
    monkeypatch.setattr(unnoise.Diffusion, "forward", lambda *_: pytest.fail("the network was called"))
    with pytest.raises(ValueError, match="latents of few dimensions"):
        edit_latents(diffusion, "traverse", [file], device="cpu")


def gan(out: Path) -> Path:
    return train("digits", "gan", out, steps=1, overrides={**SMALL, "model.channels": 8}, device="cpu").folder


@pytest.mark.parametrize("family", ["diffusion", "gan"])
def test_seeds_stand_for_the_images_drawn_from_them(diffusion: Path, tmp_path: Path, family: str) -> None:
    model = unnoise.load(diffusion if family == "diffusion" else gan(tmp_path / "run"), device="cpu")
    space = latent_space(model, steps=20)
    a, b = space.from_seeds([3]), space.from_seeds([8])
    path = interpolated(space, a, b, 5)
    if isinstance(model, unnoise.Diffusion):
        drawn = DDIM(steps=20, grid="uniform").run(model, model.prior([3, 8])).clamp(-1, 1)
    else:
        assert isinstance(model, CanSample)
        drawn = model.sample([3, 8])
    torch.testing.assert_close(path[[0, -1]], drawn, atol=1e-5, rtol=1e-4)
    lengths = interpolate(a, b, 5, space.between).flatten(1).norm(dim=1)
    assert float(lengths.min()) > 0.95 * float(torch.stack([a, b]).flatten(1).norm(dim=1).min())


@pytest.fixture
def clustered() -> unnoise.Diffusion:
    """With every parameter off zero, so that a cluster shows at the output."""
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 8, "multipliers": [1]}
    spec = {"network": network, "parametrization": "v", "conditioner": CLUSTERS}
    model = build_model(spec, (1, 8, 8), 0)
    assert isinstance(model, unnoise.Diffusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.fit_conditions(lambda: [open_source("digits", progress=False).batch(range(200)).image])
    return model.eval()


def test_between_seeds_of_a_model_with_clusters_lie_images_that_sampling_draws(clustered: unnoise.Diffusion) -> None:
    """Without their clusters the ends were other images than those of the seeds."""
    space, sampler = latent_space(clustered, steps=10), DDIM(steps=10, grid="uniform")
    a, b = space.from_seeds([3]), space.from_seeds([9])
    own = clustered.completed(None, [3, 9])
    assert own is not None
    assert own["cluster"][0] != own["cluster"][1]
    drawn = sampler.run(clustered, clustered.prior([3, 9]), cond=own).clamp(-1, 1)
    assert (drawn - sampler.run(clustered, clustered.prior([3, 9])).clamp(-1, 1)).abs().max() > 0.1
    path = interpolated(space, a, b, 3)
    torch.testing.assert_close(path[[0, -1]], drawn, atol=1e-5, rtol=1e-4)
    halves = 0.5 * torch.eye(CLUSTERS["clusters"])[own["cluster"]].sum(0, keepdim=True)
    middle = slerp(clustered.prior([3]), clustered.prior([9]), 0.5)
    torch.testing.assert_close(path[1:2], sampler.run(clustered, middle, cond={"cluster": halves}).clamp(-1, 1))
    torch.testing.assert_close(arithmetic(space, a, a, b), path[-1:], atol=1e-5, rtol=1e-4)


def test_a_sum_of_clusters_is_none_below_nothing(clustered: unnoise.Diffusion) -> None:
    """Of a - b + c, in three clusters, a and c have half each."""
    space = DDIMNoise(clustered)
    a, b, c = (torch.cat([clustered.prior([k]).flatten(1), torch.eye(6)[k : k + 1]], 1) for k in range(3))
    _, own = space._parted(space.renormalise(a - b + c, c))
    assert own["cluster"].tolist() == [[0.5, 0.0, 0.5, 0.0, 0.0, 0.0]]


def test_a_picture_has_the_noise_and_the_cluster_that_it_comes_back_from(clustered: unnoise.Diffusion) -> None:
    space, image = latent_space(clustered, steps=10), open_source("digits", progress=False).batch([7]).image
    with torch.no_grad():
        _, own = DDIMNoise(clustered)._parted(space.encode(image))
    assert clustered.conditioner is not None
    assert own["cluster"].argmax(1).tolist() == clustered.conditioner.derive(image, {})["cluster"].tolist()
    assert own["cluster"].sum().item() == 1


def test_seeds_from_the_command_and_films(tmp_path: Path) -> None:
    run = gan(tmp_path / "run")
    film = edit_latents(run, "interpolate", ["3", "8"], count=6, out=tmp_path / "film.gif", device="cpu")
    with Image.open(film["out"]) as picture:
        assert getattr(picture, "n_frames", 1) == 6
    assert edit_latents(run, "arithmetic", ["1", "2", "3"], out=tmp_path / "sum.png", device="cpu")["images"] == 4
    assert edit_latents(run, "traverse", ["5"], count=2, out=tmp_path / "t.png", device="cpu")["images"] == 20
    digit = tmp_path / "7"
    Image.fromarray(np.asarray(open_source("digits", progress=False).pixels[0, 0])).save(digit, format="PNG")
    with pytest.raises(ValueError, match=r"no encoder.*give seeds"):
        edit_latents(run, "interpolate", [str(digit), "8"], device="cpu")  # a file wins over a seed
    with pytest.raises(ValueError, match=r"x.jpg: its name has to end in .png or .gif"):
        edit_latents(run, "interpolate", ["3", "8"], out=tmp_path / "x.jpg", device="cpu")
    with pytest.raises(ValueError, match="a seed stands for latents already"):
        edit_latents(run, "invert", ["3"], device="cpu")


def test_a_conditional_run_is_told_the_same_both_ways(tmp_path: Path) -> None:
    settings = {**SMALL, "model.network.channels": 8, "model.network.multipliers": [1]}
    run = train("digits", "ddpm-class", tmp_path / "run", steps=2, overrides=settings, device="cpu").folder
    file = tmp_path / "one.png"
    Image.fromarray(np.asarray(open_source("digits", progress=False).pixels[0, 0])).save(file)
    space = latent_space(unnoise.load(run, device="cpu"), steps=20, cond={"label": torch.tensor([4])})
    other = latent_space(unnoise.load(run, device="cpu"), steps=20, cond={"label": torch.tensor([5])})
    image = read_image(file, unnoise.load(run, device="cpu"))
    with torch.no_grad():
        z = space.encode(image)
        assert float((space.decode(z) - image).abs().max()) < 1e-2
        assert float((other.decode(z) - image).abs().max()) > 2 * float((space.decode(z) - image).abs().max())
    conditions = SampleConditions(label="4")
    assert (
        edit_latents(run, "invert", [file], steps=20, conditions=conditions, out=tmp_path / "i.png", device="cpu")[
            "psnr"
        ]
        > 30
    )
    with pytest.raises(ValueError, match="takes no caption"):
        edit_latents(run, "invert", [file], conditions=SampleConditions(prompt="a four"), device="cpu")


def test_a_folder_stands_for_the_mean_of_its_latents(tmp_path: Path) -> None:
    overrides = {**SMALL, "model.channels": 8}
    run = train("digits", "autoencoder", tmp_path / "run", steps=2, overrides=overrides, device="cpu").folder
    model = unnoise.load(run, device="cpu")
    images = open_source("digits", split="test", progress=False).batch(range(5)).image
    for index, image in enumerate(images[:4]):
        save_png(image, tmp_path / "folder" / f"{index}.png")
    save_png(images[4], tmp_path / "one.png")
    space, folder = latent_space(model), _read(tmp_path / "folder", model)
    mean = model.encode(images[:4]).mean(0, keepdim=True)
    torch.testing.assert_close(_latent(space, folder), mean)
    terms = [tmp_path / "folder", tmp_path / "one.png", tmp_path / "one.png"]
    result = edit_latents(run, "arithmetic", terms, out=tmp_path / "sum.png", device="cpu")
    assert result["images"] == 4
    torch.testing.assert_close(_shown(space, folder, mean), model.decode(mean))
