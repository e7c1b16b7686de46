from __future__ import annotations

from types import ModuleType

import pytest
import torch

from unnoise.errors import UserError
from unnoise.networks import UNet2D
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.unet2d_blocks import Attention

SMALL = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1}
PLAIN = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm_num_groups": 3}, "norm_num_groups = 3 does not divide 8"),
        ({"attn_norm_num_groups": 16}, "attn_norm_num_groups = 16 does not divide 8"),
        ({"attention_head_dim": 32}, "more than the 16 channels"),
        ({"down_block_types": ("DownBlock2D",)}, "as many down and up blocks as widths"),
        ({"down_block_types": ("DownBlock2D", "SkipDownBlock2D")}, "unknown block of down_block_types"),
        ({"act_fn": "sine"}, "unknown act_fn"),
        ({"vector_dim": 7, "class_embed_type": "identity"}, "takes vectors of 32, not 7"),
        ({"token_dim": 4}, "has no cross-attention"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        UNet2D(3, 3, (16, 16), **{**SMALL, **PLAIN, **options})


def test_any_size_is_taken_and_an_untrained_network_answers_zero() -> None:
    network = UNet2D(3, 6, (13, 9), **SMALL, **PLAIN)
    answer = network(torch.randn(2, 3, 13, 9), torch.tensor([1.0, 1000.0]))
    assert answer.shape == (2, 6, 13, 9)
    assert not answer.any()


def test_spatial_conditioning_and_vectors_reach_the_answer() -> None:
    torch.manual_seed(0)
    network = UNet2D(3, 3, (8, 8), **SMALL, **PLAIN, vector_dim=5, spatial_channels=2).eval()
    for module in (network.conv_out, network.up_blocks[1].resnets[0].conv2):
        torch.nn.init.normal_(module.weight)
    x, level = torch.randn(2, 3, 8, 8), torch.tensor([5.0, 70.0])
    plain = network(x, level)
    assert not torch.equal(plain, network(x, level, Conditioning(vector=torch.randn(2, 5))))
    assert not torch.equal(plain, network(x, level, Conditioning(spatial=torch.randn(2, 2, 8, 8))))


def test_learned_times_are_interpolated() -> None:
    options = {**SMALL, **PLAIN, "time_embedding_type": "learned", "num_train_timesteps": 10}
    rows = UNet2D(3, 3, (8, 8), **options).time_proj
    between = rows(torch.tensor([2.25]))
    torch.testing.assert_close(between, (0.75 * rows.weight[2] + 0.25 * rows.weight[3])[None])
    assert torch.equal(rows(torch.tensor([9.0])), rows.weight[9:])


def test_fourier_times_are_those_of_diffusers(diffusers: ModuleType) -> None:
    torch.manual_seed(0)
    options = {**SMALL, **PLAIN, "time_embedding_type": "fourier"}
    theirs = diffusers.UNet2DModel(sample_size=8, **options).eval()
    ours = UNet2D(3, 3, (8, 8), **options, attention_head_dim=8).eval()
    ours.load_state_dict(theirs.state_dict())
    x, timesteps = torch.randn(3, 3, 8, 8), torch.tensor([1.0, 7.5, 800.0])
    with torch.no_grad():
        torch.testing.assert_close(ours(x, timesteps + 1), theirs(x, timesteps).sample, rtol=1e-4, atol=1e-6)


def test_a_number_of_heads_is_that_at_every_width() -> None:
    attended = {"down_block_types": ("AttnDownBlock2D",) * 2, "up_block_types": ("AttnUpBlock2D",) * 2}
    network = UNet2D(3, 3, (8, 8), **SMALL, **attended, attention_heads=2)
    heads = {module.heads for module in network.modules() if isinstance(module, Attention)}
    assert heads == {2}
    with pytest.raises(UserError, match="attention_heads = 3 does not divide the 8 channels"):
        UNet2D(3, 3, (8, 8), **SMALL, **attended, attention_heads=3)
    with pytest.raises(UserError, match="attention_head_dim or attention_heads, not both"):
        UNet2D(3, 3, (8, 8), **SMALL, **attended, attention_heads=2, attention_head_dim=4)
