from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from unnoise.runs.config import difference, override, parse_overrides, plain, read_recipe, recipe_names, to_toml
from unnoise.training.settings import TrainSettings


def test_overrides_are_toml_or_text() -> None:
    given = ["train.batch_size=32", "data.flip=true", "model.network.multipliers=[1, 2]", "sampler.kind=ddpm"]
    assert parse_overrides(given) == {
        "train.batch_size": 32,
        "data.flip": True,
        "model.network.multipliers": [1, 2],
        "sampler.kind": "ddpm",
    }
    with pytest.raises(ValueError, match="KEY=VALUE"):
        parse_overrides(["train.batch_size"])


def test_a_new_kind_drops_the_old_kinds_keys_and_leaves_the_original() -> None:
    config = {"model": {"schedule": {"kind": "linear-betas", "beta_start": 1e-4}, "clip": True}}
    changed = override(config, {"model.schedule.kind": "cosine-betas", "model.schedule.T": 7})
    assert changed["model"] == {"schedule": {"kind": "cosine-betas", "T": 7}, "clip": True}
    assert config["model"]["schedule"]["kind"] == "linear-betas"
    assert override(config, {"model.schedule": "vp"})["model"]["schedule"] == "vp"


def test_difference_names_the_first_key() -> None:
    here, there = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}
    assert difference(here, there, set()) == "a.c is 3 there and 2 here"
    assert difference(here, there, {"a.c"}) is None


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_say_what_they_are_and_survive_a_round_trip(name: str) -> None:
    config = read_recipe(name)
    assert tomllib.loads(to_toml(config)) == plain(config)
    settings = TrainSettings(**{k: tuple(v) if isinstance(v, list) else v for k, v in config["train"].items()})
    assert settings.steps > 0
    header = (Path(__file__).parents[2] / "src/unnoise/recipes" / f"{name}.toml").read_text().split("[data]")[0]
    for word in ("What it is", "What it costs", "What to expect"):
        assert word in header


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "train.steps"),
        ({"minutes": -1}, "train.minutes"),
        ({"ema": 1.0}, "train.ema"),
        ({"precision": "fp16"}, "auto, fp32, bf16"),
        ({"batch_size": 10, "accumulate": 3}, "not a multiple"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainSettings(**options)  # type: ignore[arg-type]


def test_a_broken_recipe_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train\nsteps = 3")
    with pytest.raises(ValueError, match=r"mine\.toml is not valid TOML"):
        read_recipe(str(file))
    with pytest.raises(ValueError, match="cannot read"):
        read_recipe(str(tmp_path / "none.toml"))
