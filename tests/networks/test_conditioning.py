from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.networks.combined import Combined, build_conditioner, conditioner_spec
from unnoise.networks.conditioner import Conditioner, Conditioning
from unnoise.networks.conditioning import CONDITIONERS, augmented, reduced
from unnoise.networks.layers import aligned, concat_spatial

BOTH = {"kind": "combined", "parts": {"class": {"dim": 6}, "map": {"dim": 3}, "image": {"dim": 5, "factor": 2}}}
SPECS: dict[str, Mapping[str, Any]] = {
    "class": {"kind": "class", "dim": 6},
    "text": {"kind": "text", "dim": 8, "length": 6},
    "map": {"kind": "map", "dim": 3},
    "image": {"kind": "image", "dim": 6, "factor": 2},
    "vector": {"kind": "vector", "features": 4, "dim": 6},
    "combined": BOTH,
    "combined text": {"kind": "combined", "parts": {"text": {"dim": 8}, "vector": {"features": 4}}},
}
PIECES = ("vector", "tokens", "spatial", "token_mask")


def conditioner(kind: str, **options: Any) -> Conditioner:
    torch.manual_seed(0)
    made = build_conditioner({**SPECS[kind], **options}, classes=5, channels=3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter))
    return made


def conditions(count: int) -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "label": torch.arange(count) % 5,
        "caption": [f"a letter {number}" for number in range(count)],
        "map": torch.randint(0, 256, (count, 8, 10)),
        "image": torch.rand(count, 3, 4, 5) * 2 - 1,
        "vector": torch.randn(count, 4),
    }


def same(one: Conditioning, two: Conditioning, spatial_like: Tensor | None) -> None:
    """Equal, where a missing spatial is zeros."""
    for name in PIECES:
        a, b = getattr(one, name), getattr(two, name)
        if name == "spatial" and a is not None and b is None:
            b = torch.zeros_like(a)
        assert (a is None) == (b is None), name
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SPECS)
def test_it_fills_the_channels_it_declares(kind: str) -> None:
    made = conditioner(kind).eval()
    given = made(conditions(7), 7)
    found = [
        0 if part is None else part.shape[axis]
        for part, axis in zip((given.vector, given.tokens, given.spatial), (1, 2, 1), strict=True)
    ]
    assert found == [made.vector_dim, made.token_dim, made.spatial_channels]
    assert sum(found) > 0
    assert all(getattr(given, name) is None or len(getattr(given, name)) == 7 for name in PIECES)


@pytest.mark.parametrize("kind", SPECS)
def test_dropping_everything_is_the_unconditional_branch(kind: str) -> None:
    made = conditioner(kind).eval()
    given = made(conditions(4), 4, torch.ones(4, dtype=torch.bool))
    same(given, made(None, 4), given.spatial)
    same(given, made({}, 4), given.spatial)
    trained = conditioner(kind, dropout=1.0).train()(conditions(4), 4)
    same(trained, given, given.spatial)


@pytest.mark.parametrize("kind", SPECS)
def test_rows_drop_alone(kind: str) -> None:
    made = conditioner(kind).eval()
    kept, gone = made(conditions(4), 4), made(None, 4)
    mixed = made(conditions(4), 4, torch.tensor([False, True, False, True]))
    for name in PIECES:
        a, b, c = (getattr(one, name) for one in (mixed, kept, gone))
        if a is not None:
            c = torch.zeros_like(b) if c is None else c
            torch.testing.assert_close(a[[0, 2]], b[[0, 2]], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(a[[1, 3]], c[[1, 3]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SPECS)
def test_every_condition_is_told_apart(kind: str) -> None:
    given = conditioner(kind).eval()(conditions(3), 3)
    for part in (given.vector, given.tokens, given.spatial):
        if part is not None and kind != "image":
            assert not torch.allclose(part[0], part[1])


@pytest.mark.parametrize("kind", SPECS)
def test_draws_are_a_function_of_the_global_generator_and_only_in_training(kind: str) -> None:
    made = conditioner(kind, dropout=0.5).train()
    torch.manual_seed(3)
    one = made(conditions(8), 8)
    again = made(conditions(8), 8)  # `conditions` seeds the generator: the same draws again
    for name in PIECES:
        a, b = getattr(one, name), getattr(again, name)
        assert a is None or torch.equal(a, b)
    made.eval()
    given, state = conditions(8), torch.get_rng_state()
    made(given, 8)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("kind", SPECS)
def test_rows_are_dropped_as_often_as_asked(kind: str) -> None:
    torch.manual_seed(0)
    made = conditioner(kind, dropout=0.3).train()
    assert abs(made.drawn(4000).float().mean() - 0.3) < 0.03
    assert not made.eval().drawn(4000).any()


@pytest.mark.parametrize("kind", SPECS)
def test_spec_and_state_round_trip(kind: str) -> None:
    made = conditioner(kind).eval()
    again = build_conditioner(conditioner_spec(made), classes=5, channels=3).eval()
    again.load_state_dict(made.state_dict())
    assert conditioner_spec(again) == conditioner_spec(made)
    for name in PIECES:
        a, b = (getattr(one(conditions(3), 3), name) for one in (made, again))
        assert a is None or torch.equal(a, b)


def test_gradients_reach_every_parameter() -> None:
    for kind in SPECS:
        made = conditioner(kind)
        given = made(conditions(6), 6, torch.arange(6) == 0)
        parts = [part for part in (given.vector, given.tokens, given.spatial) if part is not None]
        sum((part.square().sum() for part in parts), torch.zeros(())).backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in made.parameters()), kind


def test_a_map_is_aligned_with_its_image() -> None:
    made = conditioner("map").eval()
    given = conditions(1)
    one = made(given, 1).spatial
    given["map"] = given["map"].clone()
    given["map"][0, 2, 7] = (given["map"][0, 2, 7] + 1) % 256
    two = made(given, 1).spatial
    assert one is not None
    assert two is not None
    assert (one != two).any(1).nonzero().tolist() == [[0, 2, 7]]


def test_low_resolution_images_come_from_the_images_unless_given() -> None:
    made = conditioner("image")
    image = torch.rand(2, 3, 8, 10)
    low = made.derive(image, {})["image"]
    torch.testing.assert_close(low[:, :, 1, 2], image[:, :, 2:4, 4:6].mean((2, 3)))
    assert made.derive(image, {"image": low}) == {"image": low}
    assert conditioner("class").derive(image, {}) == {}
    assert reduced(torch.rand(1, 1, 7, 9), 4).shape == (1, 1, 2, 3)
    assert "image" in conditioner("combined").derive(image, {"label": torch.zeros(2)})


def test_augmentation_keeps_the_variance_and_tells_its_level() -> None:
    torch.manual_seed(0)
    z, s = torch.randn(4, 1, 100, 100), torch.tensor([0.0, 0.3, 0.6, 1.0])
    noisy = augmented(z, s, torch.randn_like(z))
    torch.testing.assert_close(noisy.var((1, 2, 3)), torch.ones(4), atol=0.05, rtol=0)
    assert torch.equal(noisy[0], z[0])
    made = conditioner("image").eval()
    given = conditions(2)
    clean, told = made(given, 2), made({**given, "image_noise": torch.tensor([0.0, 0.2])}, 2)
    assert torch.equal(clean.vector[0], told.vector[0])
    assert not torch.allclose(clean.vector[1], told.vector[1])
    assert torch.equal(clean.spatial, told.spatial)
    assert not torch.equal(made.train()(given, 2).spatial, clean.spatial)


def test_combined_lays_parts_side_by_side_at_the_largest_size() -> None:
    made = conditioner("combined").eval()
    given = conditions(2)
    spatial, alone = made(given, 2).spatial, [part(given, 2).spatial for part in made.parts.values()]
    assert spatial.shape == (2, 6, 8, 10)
    assert torch.equal(spatial[:, :3], alone[1])
    assert torch.equal(spatial[:, 3:], aligned(alone[2], (8, 10)))
    without_map = made({name: given[name] for name in ("label", "image")}, 2).spatial
    assert not without_map[:, :3].any()
    assert torch.equal(without_map[:, 3:], alone[2])
    assert made.needs == ("label", "map")


def test_parts_drop_together_and_apart() -> None:
    parts = {"class": {"dropout": 0.5}, "vector": {"features": 4, "dropout": 0.5}}
    made = build_conditioner({"kind": "combined", "parts": parts, "dropout": 0.2}, classes=5, channels=3).train()
    torch.manual_seed(0)
    given = {"label": torch.zeros(4000, dtype=torch.int64), "vector": torch.ones(4000, 4)}
    vector, nothing = made(given, 4000).vector, made(None, 1).vector
    assert vector is not None
    assert nothing is not None
    gone = torch.stack([(vector[:, part] == nothing[:, part]).all(1) for part in (slice(128), slice(128, None))])
    assert abs(gone.float().mean() - (0.2 + 0.8 * 0.5)) < 0.03
    assert abs(gone.all(0).float().mean() - (0.2 + 0.8 * 0.25)) < 0.03


def test_spatial_conditioning_comes_to_the_images_size() -> None:
    torch.manual_seed(0)
    field = torch.rand(1, 2, 3, 4)
    assert aligned(field, (3, 4)) is field
    torch.testing.assert_close(aligned(torch.full((1, 1, 3, 5), 0.7), (9, 4)), torch.full((1, 1, 9, 4), 0.7))
    x = torch.rand(1, 3, 6, 8)
    assert torch.equal(concat_spatial(x, field, 2)[:, :3], x)
    assert not concat_spatial(x, None, 2)[:, 3:].any()
    assert concat_spatial(x, None, 0) is x


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("clas", "did you mean 'class'"),
        ({"kind": "map", "dropout": 1.5}, "at least 0 and at most 1, got 1.5"),
        ({"kind": "vector"}, "needs features"),
        ({"kind": "image", "factor": 0}, "a whole number at least 1, got 0"),
        ({"kind": "combined", "part": {}}, "did you mean 'parts'"),
        ({"kind": "combined"}, "need parts"),
        ({"kind": "combined", "parts": {"texts": {}}}, "did you mean 'text'"),
    ],
)
def test_bad_specs_name_what_is_near(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_conditioner(spec, classes=5, channels=3)


def test_only_one_part_gives_tokens() -> None:
    two = {str(number): CONDITIONERS["text"](dim=8) for number in range(2)}
    with pytest.raises(ValueError, match="at most one with tokens"):
        Combined(two)


def test_as_many_conditions_as_images() -> None:
    with pytest.raises(ValueError, match="3 conditions 'caption' for 2 images"):
        conditioner("text")({"caption": ["a", "b", "c"]}, 2)
    with pytest.raises(ValueError, match="1 channels; this network was built for 2"):
        concat_spatial(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4), 2)


def test_preparing_reaches_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = conditioner("combined text")
    seen: list[str] = []
    text = made.parts["text"].text
    monkeypatch.setattr(text, "prepare", lambda texts, folder: seen.extend(texts))
    made.prepare({"caption": ["a", "b"]}, tmp_path)
    assert seen == ["a", "b"]


@pytest.mark.parametrize("level", [0.0, 0.05, 0.3])
def test_the_added_noise_is_told_on_the_scale_of_the_time_features(level: float) -> None:
    """Their features are made for 0 to 1000, so a noise of standard deviation s counts as 1000 s."""
    torch.manual_seed(0)
    conditioner = build_conditioner({"kind": "image", "dim": 6}, classes=0, channels=1).eval()
    cond = {"image": torch.zeros(1, 1, 4, 4), "image_noise": torch.tensor([level])}
    angles = 1000 * level / 10_000 ** (torch.arange(3) / 3)
    _, linear = conditioner.level
    expected = linear(torch.cat([angles.cos(), angles.sin()])[None])
    torch.testing.assert_close(conditioner(cond, 1).vector, expected, rtol=1e-4, atol=1e-4)
