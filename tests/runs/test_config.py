from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from unnoise.errors import UserError
from unnoise.runs.config import (
    difference,
    override,
    parse_overrides,
    plain,
    read_config,
    read_recipe,
    recipe_names,
    to_toml,
    write_config,
)
from unnoise.runs.run import Run
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
        ({"precision": "fp8"}, "auto, fp32, tf32, bf16, fp16"),
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


def written(folder: Path) -> Path:
    shutil.copytree(Path(__file__).parent / "written_by_0_1" / "flow", folder / "run")
    file = folder / "run" / "config.toml"
    write_config(file, read_config(file)[0])
    return file


def test_what_was_edited_by_hand_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path)
    assert not read_config(file)[1]
    Run.open(file.parent)
    assert capsys.readouterr().err == ""
    file.write_text(file.read_text().replace("seed = 0", "seed = 1"))
    assert Run.open(file.parent).config["seed"] == 1
    assert "was edited by hand" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("channels = 8", "channels = 1000000000", "model.network.channels = 1000000000"),
        ("channels = 1\n", "channels = 1000000000\n", "found.channels"),
        ("height = 8", "height = -8", "found.height"),
        ("height = 8", "height = 8.5", "found.height"),
        ("images = 1498", 'images = "many"', "found.images"),
        ("seed = 0", 'seed = "0"', "seed"),
        ('source = "builtin:digits"', "source = 3", "source"),
        ("[found]", "[[found]]", "found in .* must be a table"),
        ("[objective]", "[objectiv]", "did you mean 'objective'"),
    ],
)
def test_a_configuration_of_a_strangers_making_is_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    file = written(tmp_path)
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))
    with pytest.raises(UserError, match=message):
        Run.open(file.parent)


def test_a_configuration_that_is_no_file_does_not_hang(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="is no run"):
        Run.open(file.parent)
