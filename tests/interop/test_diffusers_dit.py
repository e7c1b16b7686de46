"""DiTTransformer2DModel of diffusers, small and random: the same answers, every option at least once."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from unnoise.errors import UserError
from unnoise.guidance import ClassifierFree
from unnoise.interop.diffusers_dit import OLD, THEIRS
from unnoise.interop.diffusers_import import import_diffusers
from unnoise.samplers import DDIM

from .conftest import diffusion, quietly
from .topologies import randomised

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 6,
    "in_channels": 4,
    "num_layers": 2,
    "sample_size": 8,
    "num_embeds_ada_norm": 5,
    "norm_type": "ada_norm_zero",
}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "learned-variance": {"out_channels": 8, "patch_size": 4},
    "without-biases": {"attention_bias": False, "dropout": 0.1, "upcast_attention": True, "norm_num_groups": 4},
    "affine-norms": {"norm_elementwise_affine": True, "norm_eps": 1e-3, "patch_size": 1, "num_layers": 1},
    **{name: {"activation_fn": name} for name in ("gelu", "geglu", "geglu-approximate", "swiglu", "linear-silu")},
}
KL = {"block_out_channels": [4, 8], "layers_per_block": 1, "norm_num_groups": 2, "latent_channels": 4}
BLOCKS = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
LABELS = {0: "tench, Tinca tinca", 3: "owl"}


def saved(diffusers: ModuleType, folder: Path, **options: Any) -> Path:
    """A DiTPipeline with a transformer of these options, saved."""
    torch.manual_seed(0)
    transformer = randomised(diffusers.DiTTransformer2DModel(**{**SMALL, **options}))
    vae = diffusers.AutoencoderKL(**KL, **BLOCKS, scaling_factor=0.7)
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=1000, clip_sample=False)
    diffusers.DiTPipeline(transformer=transformer, vae=vae, scheduler=scheduler).save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "id2label": LABELS}))
    return folder


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_an_imported_transformer_gives_the_answers_of_the_original(
    name: str, diffusers: ModuleType, tmp_path: Path
) -> None:
    folder = saved(diffusers, tmp_path / "saved", **TRANSFORMERS[name])
    run = import_diffusers(folder, tmp_path / "run")
    assert run.classes == ["tench, Tinca tinca", "1", "2", "owl", "4"]
    model, times = diffusion(run), torch.tensor([0, 1, 37, 500, 999])
    assert model.shape == (3, 16, 16)
    assert model.conditioner is not None
    x = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    original = quietly(diffusers.DiTTransformer2DModel.from_pretrained, folder, subfolder="transformer").eval()
    with torch.no_grad():
        for labels in (torch.arange(5), None):
            given = torch.full((5,), 5) if labels is None else labels  # the last row is that of no class
            expected = original(x, timestep=times, class_labels=given).sample
            told = model.conditioner(None if labels is None else {"label": labels}, 5)
            found = model.network(x, times.float() + 1, told)
            assert expected.std() > 0.1
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max().clamp(min=1)))


def test_the_pipeline_of_a_transformer_draws_the_same_images(diffusers: ModuleType, tmp_path: Path) -> None:
    folder = saved(diffusers, tmp_path / "saved", out_channels=8)
    pipeline = quietly(diffusers.DiTPipeline.from_pretrained, folder)
    pipeline.set_progress_bar_config(disable=True)
    # the published pipeline's 'no class' is number 1000, which only its own table of 1001 rows has
    labels = [2, 0]
    options = {"num_inference_steps": 4, "guidance_scale": 1.0, "output_type": "np"}
    theirs = pipeline(labels, generator=torch.Generator().manual_seed(0), **options).images
    model = diffusion(import_diffusers(folder, tmp_path / "run"))
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    times = tuple(float(t) + 1 for t in pipeline.scheduler.timesteps)
    sampler, cond = DDIM(steps=4, grid=times), {"label": torch.tensor(labels)}
    ours = model.decode_point(sampler.run(model.guided(), noise, cond=cond))
    assert ours.std() > 0.02
    torch.testing.assert_close(ours.permute(0, 2, 3, 1) / 2 + 0.5, torch.as_tensor(theirs), rtol=0, atol=1e-3)
    guided = model.decode_point(sampler.run(model.guided(ClassifierFree(3.0)), noise, cond=cond))
    assert (guided - ours).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"_class_name": "PixArtTransformer2DModel"}, "is of a PixArtTransformer2DModel"),
        ({"norm_type": "ada_norm_single"}, "has norm_type 'ada_norm_single'"),
        ({"cross_attention_dim": 8}, "has cross_attention_dim = 8"),
        ({"num_layers": 10_000}, "num_layers must be a whole number from 1 to 128"),
        ({"num_layers": 3}, "has no transformer_blocks.2.norm1.emb.class_embedder"),
        ({"heads": 3}, "unknown key 'heads'"),
        ({"out_channels": 5}, "answers 5 channels to 4"),
    ],
)
def test_other_transformers_are_refused(
    values: dict[str, Any], reason: str, diffusers: ModuleType, tmp_path: Path
) -> None:
    file = saved(diffusers, tmp_path / "saved") / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    with pytest.raises(UserError, match=reason):
        import_diffusers(tmp_path / "saved", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_transformers_name_every_option() -> None:
    used = {option for options in TRANSFORMERS.values() for option in options} | set(SMALL)
    assert set(THEIRS) - used == set()
    assert set(OLD).isdisjoint(THEIRS)
