"""Recipes and the configuration of a run: one format, TOML; a run's copy carries every default."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.files import text_digest, write_atomic
from unnoise.registry import check_keys, declared, suggest
from unnoise.runs.bounds import check_run
from unnoise.sources.open import BUILT_IN, EXPLICIT

Config = dict[str, Any]

MOST_BYTES = 1 << 22

PLUGGED = "unnoise.recipes"
"""The entry points of other packages' recipes: name -> the package that holds NAME.toml."""

SECTIONS = ("dial", "data", "model", "objective", "sampler", "train")
RUN_KEYS = ("unnoise", "recipe", "source", "seed", "start", "found", "digest")
"""What a run's config.toml holds beside the recipe's sections; digest: of all the rest."""

OLD_KEYS = {"density": "timesteps"}
OLD_KINDS = {"straight": "rectified-flow"}
"""What keys and kinds were called in versions before."""


def recipe_names() -> list[str]:
    """The built-in recipes, and those of plug-ins."""
    folder = resources.files("unnoise.recipes")
    built_in = (file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
    return sorted({*built_in, *declared(PLUGGED)})


def read_recipe(name: str) -> Config:
    """A built-in recipe by name, or a .toml file by path. Raises UserError naming the nearest when there is none."""
    if name.endswith(".toml"):
        return read_toml(Path(name))
    if name not in recipe_names():
        raise UserError(f"unknown recipe {name!r}; {suggest(name, recipe_names())}, or the path of a .toml file")
    return _checked(tomllib.loads(recipe_text(name)), name)


def recipe_text(name: str) -> str:
    """The file of a recipe, whose first comment says what it is: built in, or in the package that a plug-in names."""
    file = resources.files("unnoise.recipes").joinpath(f"{name}.toml")
    if not file.is_file() and name in declared(PLUGGED):
        file = resources.files(declared(PLUGGED)[name].value).joinpath(f"{name}.toml")
    if not file.is_file():
        raise UserError(f"there is no recipe {name}.toml")
    return file.read_text(encoding="utf-8")


def read_toml(path: Path, *, renew: bool = True) -> Config:
    """A recipe or a run's config.toml; UserError says what is wrong with it. renew: into today's names."""
    try:
        if not path.is_file():
            raise UserError(f"cannot read {path}: there is no such file")
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"cannot read {path}: it is larger than any configuration")
        return _checked(tomllib.loads(path.read_text()), str(path), renew)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def write_config(path: Path, config: Config) -> None:
    """A run's config.toml, with a digest of itself."""
    write_atomic(path, to_toml({**config, "digest": _digest(config)}))


def read_config(path: Path) -> tuple[Config, bool]:
    """A run's configuration, and whether somebody edited the file since it was written.

    Raises:
        UserError: where it is no TOML, or no run's configuration.
    """
    written = read_toml(path, renew=False)
    edited = "digest" in written and written.pop("digest") != _digest(written)
    config = _renewed(written)
    check_run(config, str(path))
    return {**config, "source": _renewed_source(config["source"])}, edited


def to_toml(config: Config) -> str:
    """TOML text; keys whose value is None are left out."""
    return tomli_w.dumps(_plain(config))


def parse_overrides(assignments: list[str]) -> Record:
    """['train.batch_size=32', 'data.flip=true'] -> {'train.batch_size': 32, 'data.flip': True}.

    Values are TOML; what is not TOML is a string.
    """
    parsed = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set takes KEY=VALUE, such as train.batch_size=32; got {assignment!r}")
        try:
            parsed[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed[key.strip()] = value.strip()
    return parsed


def override(config: Config, overrides: Spec) -> Config:
    """A copy of `config` with dotted keys set. A new `kind` drops the old kind's other keys."""
    result = _copied(config)
    for path, value in overrides.items():
        *parents, last = (OLD_KEYS.get(key, key) for key in path.split("."))
        check_keys([path.split(".")[0]], SECTIONS, "the configuration")
        section = result
        for parent in parents:
            below = section.get(parent, {})
            section[parent] = section = dict(below) if isinstance(below, Mapping) else {"kind": below}
        if last == "kind" and section.get("kind") != value:
            section.clear()
        section[last] = _copied(value) if isinstance(value, Mapping) else value
    _check_tables(result, "the configuration")
    return result


def difference(here: Config, there: Config, ignoring: set[str], path: str = "") -> str | None:
    """The first dotted key at which two configurations differ, 'key: A there, B here'; None when they agree."""
    for key in sorted({*here, *there}):
        dotted = f"{path}{key}"
        if dotted in ignoring:
            continue
        left, right = here.get(key), there.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            inner = difference(dict(left), dict(right), ignoring, f"{dotted}.")
            if inner:
                return inner
        elif left != right:
            return f"{dotted} is {right!r} there and {left!r} here"
    return None


def plain(config: Config) -> Config:
    """What reading back the TOML of a configuration gives: tuples as lists, no None."""
    return tomllib.loads(to_toml(config))


def _checked(config: Config, where: str, renew: bool = True) -> Config:
    check_keys(config, (*SECTIONS, *RUN_KEYS), where)
    _check_tables(config, where)
    return _renewed(config) if renew else config


def _check_tables(config: Config, where: str) -> None:
    for name in (*SECTIONS, "found"):
        if not isinstance(config.get(name, {}), Mapping):
            raise UserError(f"{name} in {where} must be a table, got {config[name]!r}")


def _digest(config: Config) -> str:
    return text_digest(json.dumps(plain(config), sort_keys=True, default=str))


def _renewed(value: Any) -> Any:
    """Configurations of earlier versions, in today's names."""
    if not isinstance(value, Mapping):
        return value
    return {
        OLD_KEYS.get(key, key): OLD_KINDS.get(item, item) if key == "kind" else _renewed(item)
        for key, item in value.items()
    }


def _renewed_source(source: str) -> str:
    """Earlier versions wrote the name of a built-in set alone, and every path in full."""
    return f"{EXPLICIT}{source}" if source.partition(":")[0] in BUILT_IN else source


def _copied(value: Any) -> Any:
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
