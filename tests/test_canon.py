"""docs/canon.md: every command of the page, in a short form."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unnoise.cli import app, renewed, task_first
from unnoise.lectures import FIGURES
from unnoise.networks import NETWORKS
from unnoise.runs.config import read_recipe

from .shortened import shorten

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "canon.md").read_text(encoding="utf-8")
RUNS = re.findall(r"^unnoise train .* --out (runs/\S+).*$", PAGE.split("## The systems")[0], flags=re.M)
PREPARED = dict(zip(RUNS, re.findall(r"^unnoise train .*$", PAGE.split("## The systems")[0], flags=re.M), strict=True))
"""Run -> the command that trains it."""
LINES = [line for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]
ROWS = [re.findall(r"(?<=\| )[^|]+(?= \|)", line) for line in LINES]
COMMANDS = [cell.strip("`") for row in ROWS for cell in row if re.match(r"`(unnoise|python) [^`]+`$", cell)]

CPU = ["--device", "cpu"]
FEW_STEPS = {"collapse": 2, "modes": 2, "vanishing": 20, "forgetting": 12, "rates": 2}
FEW_STEPS |= {"labels": 2, "robustness": 1, "stacked": 1, "cost": 2}
SCRIPTS: dict[str, dict[str, Any]] = {
    "sound_to_digit": {"out": "runs/sound", "steps": 1, "sounds": 20, "held_out": 10},
    "my_network": {"out": "runs/own", "minutes": 0.01, "train.batch_size": 4, "train.samples": 0},
}
"""Script of examples/ -> keywords of its main that make it short."""
NARROW = {"channels": 8, "dim": 24}


def test_every_row_has_one_command_and_says_what_it_shows() -> None:
    assert len(ROWS) == len(COMMANDS) == len(set(COMMANDS)) >= 54
    systems = [row for row in ROWS if row[0].isdigit()]
    assert [int(row[0]) for row in systems] == list(range(1, 38))
    assert all(len(row[-1]) > 10 for row in ROWS)


def test_every_figure_is_in_the_canon() -> None:
    shown = {shlex.split(command)[2] for command in COMMANDS if command.startswith("unnoise show")}
    assert shown == set(FIGURES)


def test_what_the_page_points_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures of the page; runs are trained there when a command first reads them."""
    folder = tmp_path_factory.mktemp("canon") / "desk"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, side in {"photo": 8, "a": 8, "b": 8, "small": 8}.items():
        Image.fromarray(random.integers(0, 255, (side, side), np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(np.repeat(np.uint8([0, 255]), 32).reshape(8, 8)).save(folder / "mask.png")
    Image.fromarray(np.repeat(np.uint8([0, 1]), 512).reshape(32, 32)).save(folder / "layout.png")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_runs(
    command: str, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("UNNOISE_CACHE", str(desk.parent / "cache"))  # for classifiers that have seen less than others
    monkeypatch.setattr("unnoise.features.classifier.IMAGES_SHOWN", 2_000)
    monkeypatch.setattr("unnoise.probing.classify.KNOWN", 12)
    for run in re.findall(r"runs/[a-z]+", command):
        _prepare(desk, run, command)
    before = _written(desk)
    if command.startswith("python "):
        _run_script(shlex.split(command)[1:], monkeypatch)
    else:
        tokens = shlex.split(command)[1:]
        if tokens[0] == "show":
            shorten(monkeypatch, tokens[1])
        _run(shortened(tokens))
    assert _written(desk) - before or "class" in capsys.readouterr().out, "it neither wrote nor answered anything"


def shortened(tokens: list[str]) -> list[str]:
    """The same command with little to do."""
    name = tokens[0]
    if name == "show":
        return [*tokens, *_of_figure(tokens[1])]
    if name in ("train", "distill"):
        recipe = tokens[tokens.index("--recipe") + 1] if "--recipe" in tokens else None
        return [*tokens, "--steps", "1", *CPU, *_narrow(recipe)]
    if name == "families":
        quick = ("train.steps=1", "train.batch_size=4", "train.samples=0")
        return [*tokens, "--only", "gan", "-n", "12", *CPU, *map("--set={}".format, quick)]
    if name in ("evaluate", "compare", "score"):
        tokens = [*tokens, "--steps", "2"] if "--table" in tokens else tokens
        return [*_with_count(tokens, 12), *CPU, *(["--times", "2"] if name == "evaluate" else [])]
    if name == "edit" and tokens[1] in ("inpaint", "invert", "interpolate"):
        return [*tokens, "--steps", "2", *CPU]
    return [*tokens, *CPU]


def _of_figure(name: str) -> list[str]:
    """Options of a figure that trains, on images or in the plane."""
    steps = ["--steps", str(FEW_STEPS[name])] if name in FEW_STEPS else []
    if name == "transfer":
        return ["--minutes", "0.01", *CPU]
    if name == "classification":
        return ["-n", "6", *CPU]
    on_images = FIGURES[name].takes == "[SOURCE]"
    return [*steps, *(["-n", "40", *CPU] if on_images else [])]


def _narrow(recipe: str | None) -> list[str]:
    """--set for the smallest networks and batches of a recipe."""
    small: dict[str, Any] = {"train.batch_size": 4, "train.samples": 0, "train.warmup": 1, "data.limit": 60}
    if recipe is not None:
        config = read_recipe(recipe)
        parts = {"model": config["model"], "model.network": config["model"].get("network", {})}
        parts["objective"] = config["objective"]
        small |= {f"{part}.{key}": NARROW[key] for part, keys in parts.items() for key in NARROW if key in keys}
        small |= {"sampler.steps": 2} if "sampler" in config else {}
    return [f"--set={key}={value}" for key, value in small.items()]


def _with_count(tokens: list[str], count: int) -> list[str]:
    """The tokens with `-n COUNT`, whatever they had."""
    if "-n" in tokens:
        at = tokens.index("-n")
        return [*tokens[: at + 1], str(count), *tokens[at + 2 :]]
    return [*tokens, "-n", str(count)]


def _prepare(desk: Path, run: str, command: str) -> None:
    """Trains a run that the command reads, and first those that its training reads."""
    if (desk / run).exists() or run not in PREPARED:
        return
    for other in re.findall(r"runs/[a-z]+", PREPARED[run]):
        if other != run:
            _prepare(desk, other, command)
    _run(shortened(shlex.split(PREPARED[run])[1:]))


def _run(tokens: list[str]) -> None:
    app(task_first(renewed(tokens)), exit_on_error=False, print_error=False, result_action="return_value")


def _run_script(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A script of examples/, by its function main."""
    script = ROOT / words[0]
    monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
    before = set(NETWORKS)
    importlib.import_module(script.stem).main(**SCRIPTS[script.stem])
    for name in set(NETWORKS) - before:  # what a script registers is gone after it
        del NETWORKS[name]


def _written(folder: Path) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
