"""Published autoencoders as codecs: the same numbers as their own code, and runs that are whole without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import unnoise
from unnoise.errors import UserError
from unnoise.metrics.restoration import psnr
from unnoise.models import Diffusion
from unnoise.models.codec import AUTOENCODERS
from unnoise.models.pretrained import TAESD, VQ, AutoencoderKL, PretrainedAutoencoder
from unnoise.models.pretrained_files import OLD_ATTENTION, read_pretrained
from unnoise.registry import lookup
from unnoise.sources import open_source
from unnoise.training.train import train

TAEF2 = Path(__file__).resolve().parents[3] / "shared" / "data" / "checkpoints" / "taef2"
SMALL = {"block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "latent_channels": 3}
BLOCKS = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}


def opened(folder: Path, shape: tuple[int, int, int]) -> PretrainedAutoencoder:
    """The autoencoder of a folder, with its weights."""
    found = read_pretrained(folder)
    assert found is not None
    spec, weights = found
    kind = lookup(AUTOENCODERS, spec["kind"], "autoencoder")
    model = kind.build({name: value for name, value in spec.items() if name != "kind"}, shape, 0)
    assert isinstance(model, PretrainedAutoencoder)
    model.load_state_dict(weights)
    return model.eval()


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def a_kl_folder(folder: Path, **config: Any) -> AutoencoderKL:
    """A folder as diffusers writes it, with random weights of our network."""
    torch.manual_seed(0)
    model = AutoencoderKL((3, 16, 8), latent=3, widths=(8, 16), blocks=1, groups=4)
    folder.mkdir()
    save_file(model.state_dict(), folder / "diffusion_pytorch_model.safetensors")
    about = {"_class_name": "AutoencoderKL", "in_channels": 3, **SMALL, **BLOCKS, **config}
    (folder / "config.json").write_text(json.dumps(about))
    return model.eval()


@pytest.mark.parametrize(
    "options", [{}, {"use_quant_conv": False, "use_post_quant_conv": False}], ids=["quant", "plain"]
)
def test_autoencoder_kl_is_that_of_diffusers(options: dict[str, Any], tmp_path: Path, diffusers: Any) -> None:
    torch.manual_seed(0)
    theirs = diffusers.AutoencoderKL(**SMALL, **BLOCKS, **options).eval()
    theirs.save_pretrained(tmp_path)
    ours, x = opened(tmp_path, (3, 16, 24)), images(2, 3, 16, 24)
    with torch.no_grad():
        z = theirs.encode(x).latent_dist.mean
        torch.testing.assert_close(ours.encode(x), z, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.decode(z, clamp=False), theirs.decode(z).sample, atol=1e-5, rtol=1e-5)
    assert ours.latent_shape == tuple(z.shape[1:])


@pytest.mark.parametrize("options", [{}, {"vq_embed_dim": 5, "mid_block_add_attention": False}], ids=["vq", "narrow"])
def test_vq_is_that_of_diffusers(options: dict[str, Any], tmp_path: Path, diffusers: Any) -> None:
    torch.manual_seed(0)
    theirs = diffusers.VQModel(**SMALL, **BLOCKS, num_vq_embeddings=7, **options).eval()
    torch.nn.init.normal_(theirs.quantize.embedding.weight)
    theirs.save_pretrained(tmp_path)
    ours, x = opened(tmp_path, (3, 16, 24)), images(2, 3, 16, 24)
    assert isinstance(ours, VQ)
    with torch.no_grad():
        z = theirs.encode(x).latents
        torch.testing.assert_close(ours.encode(x), z, atol=1e-5, rtol=1e-5)
        z = z + torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
        assert len(ours.quantised(z).flatten(2).transpose(1, 2).flatten(0, 1).unique(dim=0)) > 3
        torch.testing.assert_close(ours.decode(z, clamp=False), theirs.decode(z).sample, atol=1e-5, rtol=1e-5)
    assert ours.latent_shape == tuple(z.shape[1:])


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"norm_type": "spatial"}, "norm_type is 'spatial'"), ({"out_channels": 1}, "other numbers of channels")],
)
def test_other_codebooks_are_refused(change: dict[str, Any], reason: str, tmp_path: Path, diffusers: Any) -> None:
    diffusers.VQModel(**SMALL, **BLOCKS).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UserError, match=reason):
        read_pretrained(tmp_path)


def test_taesd_is_that_of_diffusers(tmp_path: Path, diffusers: Any) -> None:
    torch.manual_seed(0)
    theirs = diffusers.AutoencoderTiny().eval()
    for part in ("encoder", "decoder"):
        weights = {name.removeprefix("layers."): value for name, value in getattr(theirs, part).state_dict().items()}
        # diffusers leaves the clamp out of the sequence, so that its layers stand one place earlier
        shifted = weights if part == "encoder" else {_later(name): value for name, value in weights.items()}
        save_file(shifted, tmp_path / f"taesd_{part}.safetensors")
    ours, x = opened(tmp_path, (3, 16, 24)), images(2, 3, 16, 24)
    with torch.no_grad():
        z = theirs.encode(x).latents
        torch.testing.assert_close(ours.encode(x), z, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.decode(z, clamp=False), theirs.decode(z).sample, atol=1e-5, rtol=1e-5)


def _later(name: str) -> str:
    place, rest = name.split(".", 1)
    return f"{int(place) + 1}.{rest}"


@pytest.mark.skipif(not TAEF2.is_dir(), reason="the published weights are not here")
def test_published_weights_bring_a_photograph_back() -> None:
    from sklearn.datasets import load_sample_image

    photo = np.ascontiguousarray(load_sample_image("flower.jpg")[80:336, 200:456].transpose(2, 0, 1))
    model, x = opened(TAEF2, (3, 256, 256)), torch.from_numpy(photo)[None] / 127.5 - 1
    assert isinstance(model, TAESD)
    assert model.latent_shape == (32, 32, 32)
    with torch.no_grad():
        back = model.decode(model.encode(x))
    assert float(psnr(back, x)) == pytest.approx(28.5, abs=0.3)


def test_a_folder_is_read_also_with_the_old_names_of_attention(tmp_path: Path) -> None:
    expected = a_kl_folder(tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    weights = dict(expected.state_dict())
    for old, new in OLD_ATTENTION.items():
        for name in [name for name in weights if f".attentions.0.{new}." in name]:
            value = weights.pop(name)
            weights[name.replace(new, old)] = value[:, :, None, None] if value.ndim == 2 else value
    save_file({k: v.contiguous() for k, v in weights.items()}, tmp_path / "old" / "diffusion_pytorch_model.safetensors")
    x = images(1, 3, 16, 8)
    with torch.no_grad():
        assert torch.equal(opened(tmp_path / "old", (3, 16, 8)).encode(x), expected.encode(x))


def test_a_run_keeps_its_codec_when_the_published_folder_is_gone(tmp_path: Path) -> None:
    a_kl_folder(tmp_path / "kl")
    overrides = {
        "model.codec.run": str(tmp_path / "kl"),
        "model.network.channels": 8,
        "model.network.attention": [],
        "sampler.steps": 2,
        "train.batch_size": 4,
        "train.samples": 0,
        "train.warmup": 1,
    }
    run = train("glyphs:size=16,n=8", "ldm", tmp_path / "run", steps=2, overrides=overrides, device="cpu")
    model = unnoise.load(run.folder, device="cpu")
    assert isinstance(model, Diffusion)
    images = model.sample(range(2))
    codes = open_source("glyphs:size=16,n=8", progress=False).batch(range(8)).image
    assert float(model.codec.encode(codes).std()) == pytest.approx(1, rel=0.05)
    shutil.rmtree(tmp_path / "kl")
    again = unnoise.load(run.folder, device="cpu")
    assert isinstance(again, Diffusion)
    assert torch.equal(again.sample(range(2)), images)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"_class_name": "AutoencoderDC"},
            "holds a AutoencoderDC; diffusers folders of kind AutoencoderKL and VQModel",
        ),
        ({"down_block_types": ["AttnDownEncoderBlock2D"]}, "AttnDownEncoderBlock2D"),
        ({"block_out_channels": [10**6]}, "at least 1 and at most 4096"),
    ],
)
def test_what_cannot_be_read_is_named(config: dict[str, Any], words: str, tmp_path: Path) -> None:
    a_kl_folder(tmp_path / "kl", **config)
    with pytest.raises(ValueError, match=words):
        read_pretrained(tmp_path / "kl")


def test_broken_weights_and_images_that_do_not_fit_are_named(tmp_path: Path) -> None:
    a_kl_folder(tmp_path / "kl")
    with pytest.raises(ValueError, match="channels=3"):
        opened(tmp_path / "kl", (1, 16, 16))
    with pytest.raises(ValueError, match="multiples of 2"):
        opened(tmp_path / "kl", (3, 16, 15))
    (tmp_path / "kl" / "diffusion_pytorch_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="cannot read the weights"):
        read_pretrained(tmp_path / "kl")
    assert read_pretrained(tmp_path) is None
