"""A latent diffusion as an LDMPipeline: the shift of our latents moves into the convolutions around them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch

from unnoise.errors import NotApplicable
from unnoise.interop.diffusers_export import export_diffusers
from unnoise.interop.diffusers_import import import_diffusers
from unnoise.interop.new_run import new_run
from unnoise.models.assembly import build_model
from unnoise.samplers import DDIM

from .conftest import diffusion, quietly
from .topologies import ATTENDED, SMALL, randomised

pytestmark = pytest.mark.filterwarnings("ignore")
AUTOENCODER = {"kind": "autoencoderkl", "latent": 4, "widths": [8, 16], "blocks": 1, "groups": 4}
MODEL = {
    "kind": "diffusion",
    "clip": False,
    "network": {"kind": "unet2d", "block_out_channels": [8, 16], "norm_num_groups": 4, **ATTENDED},
    "codec": {"kind": "latents", "autoencoder": AUTOENCODER},
}


def test_a_latent_run_encodes_and_decodes_the_same_there_and_comes_back(diffusers: ModuleType, tmp_path: Path) -> None:
    shape = (3, 16, 16)
    built = randomised(build_model(MODEL, shape, 0))
    for parameter in built.codec.network.parameters():  # type: ignore[union-attr]
        torch.nn.init.normal_(parameter, std=0.1)
    weights = {**built.state_dict(), "codec.shift": torch.randn(4, 1, 1), "codec.scale": torch.tensor(0.7)}
    options = {"shape": shape, "classes": [], "sampler": {"kind": "ddim", "steps": 5}}
    run = new_run(tmp_path / "ours", MODEL, weights, **options)
    assert export_diffusers(run, tmp_path / "out")["pipeline"] == "LDMPipeline"
    codec = diffusion(run).codec
    back = diffusion(import_diffusers(tmp_path / "out", tmp_path / "back")).codec
    theirs = quietly(diffusers.AutoencoderKL.from_pretrained, tmp_path / "out", subfolder="vqvae").eval()
    images, z = torch.rand(2, *shape) * 2 - 1, torch.randn(2, 4, 8, 8)
    scale = theirs.config.scaling_factor
    with torch.no_grad():
        latents, decoded = scale * theirs.encode(images).latent_dist.mean, theirs.decode(z / scale).sample
    for ours in (codec, back):
        torch.testing.assert_close(ours.encode(images), latents, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.decode(z, clamp=False), decoded, rtol=1e-4, atol=1e-5)


def test_a_pipeline_with_a_codebook_is_imported_and_draws_the_same_images(
    diffusers: ModuleType, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    small = {"block_out_channels": [4, 8], "layers_per_block": 1, "norm_num_groups": 2, "num_vq_embeddings": 9}
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    vqvae = diffusers.VQModel(**small, **blocks, scaling_factor=0.5)
    torch.nn.init.normal_(vqvae.quantize.embedding.weight)
    unet = randomised(diffusers.UNet2DModel(**{**SMALL, "sample_size": 8}))
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    diffusers.LDMPipeline(vqvae=vqvae, unet=unet, scheduler=scheduler).save_pretrained(tmp_path / "saved")
    run = import_diffusers(tmp_path / "saved", tmp_path / "run")
    pipeline = quietly(diffusers.LDMPipeline.from_pretrained, tmp_path / "saved")
    pipeline.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 3, "output_type": "np", "generator": torch.Generator().manual_seed(0)}
    theirs = pipeline(batch_size=2, **options).images
    model = diffusion(run)
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    times = tuple(float(t) + 1 for t in pipeline.scheduler.timesteps)
    ours = model.decode_point(DDIM(steps=3, grid=times).run(model.guided(), noise))
    assert ours.std() > 0.02
    torch.testing.assert_close(ours.permute(0, 2, 3, 1) / 2 + 0.5, torch.as_tensor(theirs), rtol=0, atol=1e-3)
    with pytest.raises(NotApplicable, match="only an AutoencoderKL"):
        export_diffusers(run, tmp_path / "out")
