from __future__ import annotations

import pytest
import torch
from torch import nn

from unnoise.networks import UNet
from unnoise.networks.conditioning import ClassConditioner, Conditioning
from unnoise.networks.embedding import TIME_FEATURES, FourierEmbedding, SinusoidalEmbedding
from unnoise.networks.flops import count_flops, count_work
from unnoise.networks.layers import TIME_INJECTIONS, AdaptiveGroupNorm, SelfAttention
from unnoise.networks.unet import attended_levels, with_fourier_features
from unnoise.registry import describe


def tiny(size: tuple[int, int] = (8, 8), channels: int = 1, **options: object) -> UNet:
    torch.manual_seed(0)
    return UNet(channels, channels, size, **{"channels": 8, "multipliers": (1, 2), "blocks": 1, **options})  # type: ignore[arg-type]


def awake(network: UNet) -> UNet:
    """The network with its zero-initialised layers moved off zero, so that everything shows at the output."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draws))
    return network


def test_ho_et_als_cifar10_network_has_their_size() -> None:
    network = UNet(3, 3, (32, 32), channels=128, multipliers=(1, 2, 2, 2), blocks=2, attention=(16,), dropout=0.1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307


@pytest.mark.parametrize("injection", TIME_INJECTIONS)
@pytest.mark.parametrize("features", TIME_FEATURES)
@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (3, (28, 28)), (4, (17, 23)), (2, (1, 1)), (5, (64, 16))])
def test_any_channels_and_any_size(injection: str, features: str, channels: int, size: tuple[int, int]) -> None:
    network = awake(tiny(size, channels, multipliers=(1, 2, 2), time_injection=injection, time_features=features))
    x = torch.randn(2, channels, *size)
    output = network(x, torch.tensor([3.0, 700.0]))
    assert output.shape == x.shape
    assert output.isfinite().all()
    output.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_fourier_features_separate_neighbouring_levels_of_8_bits_as_far_as_they_can() -> None:
    levels = torch.arange(256) / 127.5 - 1
    _, sin_7, cos_7, _, cos_8 = with_fourier_features(levels[None, None, None], (7, 8))[0, :, 0].unbind()
    torch.testing.assert_close(sin_7, torch.sin(128 * torch.pi * levels))
    # A step of 2 / 255 is 128 * 2 / 255 of half a turn: the cosine changes its sign from one level to the next.
    assert (cos_7[1:] * cos_7[:-1] < 0).float().mean() > 0.98
    assert (cos_8[1:] - cos_8[:-1]).abs().max() < 0.1


def test_the_network_sees_fourier_features_and_none_where_none_are_asked_for() -> None:
    plain, seeing = awake(tiny()), awake(tiny(fourier=(7,)))
    assert seeing.first.weight.shape[1] == 3 * plain.first.weight.shape[1]
    x, level = torch.zeros(1, 1, 8, 8), torch.tensor([3.0])
    a_bit_more = x + 2 / 255
    assert (plain(x, level) - plain(a_bit_more, level)).abs().max() < 0.1 * (
        seeing(x, level) - seeing(a_bit_more, level)
    ).abs().max()


@pytest.mark.parametrize("features", TIME_FEATURES)
@pytest.mark.parametrize("base", [7, 9, 12])
def test_any_base_width(base: int, features: str) -> None:
    network = UNet(
        1, 1, (8, 8), channels=base, multipliers=(1, 2), blocks=1, time_features=features, time_injection="adagn"
    )
    network = awake(network).eval()
    x = torch.randn(1, 1, 8, 8)
    low, high = (network(x, torch.tensor([level])) for level in (1.0, 900.0))
    assert low.shape == x.shape
    assert (low - high).abs().max() > 1e-3


def test_begins_at_zero() -> None:
    assert not tiny()(torch.randn(2, 1, 8, 8), torch.rand(2)).any()


def test_every_parameter_matters() -> None:
    network = awake(tiny(time_injection="adagn", vector_dim=4))
    cond = Conditioning(vector=torch.randn(2, 4))
    network(torch.randn(2, 1, 8, 8), torch.tensor([3.0, 700.0]), cond).square().sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


def test_rows_are_independent() -> None:
    network = awake(tiny(dropout=0.5)).eval()
    x, level = torch.randn(3, 1, 8, 8), torch.tensor([1.0, 500.0, 900.0])
    together = network(x, level)
    alone = torch.cat([network(x[i : i + 1], level[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_padding_leaves_sizes_that_divide_alone() -> None:
    """A 7x7 image is the corner of its 8x8 continuation by the edge pixels."""
    network = awake(tiny()).eval()
    x = torch.randn(1, 1, 7, 7)
    continued = nn.functional.pad(x, (0, 1, 0, 1), mode="replicate")
    level = torch.tensor([10.0])
    torch.testing.assert_close(network(x, level), network(continued, level)[..., :7, :7])


@pytest.mark.parametrize("injection", TIME_INJECTIONS)
def test_the_noise_level_and_the_vector_are_heard(injection: str) -> None:
    """36 channels are two a group: a norm of one channel a group takes away what 'add' has added."""
    network = UNet(1, 1, (8, 8), channels=36, multipliers=(1, 2), blocks=1, vector_dim=3, time_injection=injection)
    network = awake(network).eval()
    x = torch.randn(1, 1, 8, 8)
    base = network(x, torch.tensor([1.0]))
    assert (base - network(x, torch.tensor([900.0]))).abs().max() > 1e-3
    assert (base - network(x, torch.tensor([1.0]), Conditioning(vector=torch.ones(1, 3)))).abs().max() > 1e-3


def test_spatial_conditioning_is_seen_and_tokens_are_refused() -> None:
    network = awake(tiny(spatial_channels=2)).eval()
    x, level = torch.randn(1, 1, 8, 8), torch.tensor([1.0])
    one, two = (network(x, level, Conditioning(spatial=torch.full((1, 2, 8, 8), v))) for v in (0.0, 1.0))
    assert not torch.allclose(one, two)
    with pytest.raises(ValueError, match="tokens"):
        network(x, level, Conditioning(tokens=torch.zeros(1, 2, 3)))


def test_attention_levels_are_chosen_by_resolution() -> None:
    assert attended_levels((32, 32), 4, (16,)) == {1}
    assert attended_levels((28, 28), 3, (16,)) == {1}
    assert attended_levels((64, 32), 3, (16, 8)) == {1, 2}
    assert attended_levels((8, 8), 2, (16,)) == {0}
    assert attended_levels((64, 64), 2, (16,)) == set()


def test_attention_is_softmax_of_products() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(8, heads=2).double()
    nn.init.normal_(layer.out.weight)
    x = torch.randn(2, 8, 3, 4, dtype=torch.float64)
    tokens = layer.norm(x).flatten(2).transpose(1, 2)
    q, k, v = layer.qkv(tokens).chunk(3, dim=-1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        weight = (q[..., part] @ k[..., part].transpose(1, 2) / 2).softmax(-1)
        heads.append(weight @ v[..., part])
    expected = x + layer.out(torch.cat(heads, -1)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(layer(x), expected)


def test_adaptive_norm_without_scale_and_shift_is_plain() -> None:
    layer = AdaptiveGroupNorm(4, 8)
    nn.init.zeros_(layer.project.weight)
    nn.init.zeros_(layer.project.bias)
    x = torch.randn(2, 8, 3, 3)
    torch.testing.assert_close(layer(x, torch.randn(2, 4)), layer.norm(x))


def test_constructor_is_the_schema_and_the_state_round_trips() -> None:
    network = awake(tiny(time_features="fourier"))
    options = {option.name: getattr(network, option.name) for option in describe(UNet)}
    again = UNet(**options)
    again.load_state_dict(network.state_dict())
    x, level = torch.randn(1, 1, 8, 8), torch.tensor([0.3])
    assert torch.equal(network(x, level), again(x, level))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_injection": "adagm"}, "did you mean 'adagn'"),
        ({"time_features": "fourrier"}, "did you mean 'fourier'"),
        ({"heads": 3}, "8 channels cannot be shared by 3 heads"),
    ],
)
def test_bad_options_name_what_is_near(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_embeddings_tell_levels_apart() -> None:
    levels = torch.arange(1000.0)
    features = SinusoidalEmbedding(32)(levels)
    assert torch.cdist(features, features).add(torch.eye(1000)).min() > 1e-3
    torch.testing.assert_close(features[7, 0], torch.tensor(7.0).cos())
    assert torch.equal(FourierEmbedding(16).frequencies, FourierEmbedding(16).frequencies)


def test_flops_of_a_convolution_are_two_per_product() -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1)
    assert count_flops(lambda: conv(torch.zeros(1, 3, 5, 7))) == 2 * 35 * 9 * 3 * 8


def test_class_conditioner_drops_labels_in_training_only() -> None:
    torch.manual_seed(0)
    conditioner = ClassConditioner(10, dim=4, dropout=0.3)
    labels = {"label": torch.full((4000,), 7)}
    nothing = conditioner(None, 1).vector
    assert nothing is not None
    dropped = (conditioner(labels, 4000).vector == nothing).all(1).float().mean()
    assert abs(dropped - 0.3) < 0.03
    conditioner.eval()
    assert not (conditioner(labels, 4000).vector == nothing).all(1).any()


@pytest.mark.parametrize("channels", [2, 7, 8, 24, 32, 64])
def test_added_time_survives_the_norm_that_follows(channels: int) -> None:
    layer = TIME_INJECTIONS["add"](4, channels)
    h, one, two = torch.randn(1, channels, 5, 5), torch.randn(1, 4), torch.randn(1, 4)
    assert (layer(h, one) - layer(h, two)).abs().max() > 0.05


def test_work_counts_the_backward_pass_and_gradients_of_gradients() -> None:
    """A penalty on gradients broke the counter."""
    layer, x = torch.nn.Linear(3, 8), torch.randn(5, 3, requires_grad=True)
    product = 2 * 5 * 3 * 8
    assert count_work(lambda: layer(x).sum().backward()).flops == 3 * product

    def penalised() -> None:
        (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()

    found = count_work(penalised)
    assert found.flops > 4 * product
    assert found.operations > 5
