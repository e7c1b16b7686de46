"""Numbers on the command line: none is rounded, dropped or taken for 'not given'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App, Argument, CoercionError, Token

import unnoise
from unnoise.cli import app
from unnoise.cli.compare import compare
from unnoise.cli.errors import status_of
from unnoise.cli.output import show
from unnoise.errors import UserError
from unnoise.evaluation import evaluate
from unnoise.sampling.generate import generate
from unnoise.sampling.guidance_options import GuidanceOptions
from unnoise.sampling.tune import tune_run


def commands(of: App, *words: str) -> list[tuple[str, ...]]:
    """All commands, such as ('edit', 'vary')."""
    found = []
    for name in of:
        if not name.startswith("-"):
            below = commands(of[name], *words, name) if len(list(of[name])) > 2 else []
            found += below or [(*words, name)]
    return found


def whole_numbers(words: tuple[str, ...]) -> Iterator[Argument]:
    command = app[words[0]] if len(words) == 1 else app[words[0]][words[1]]
    return (one for one in command.assemble_argument_collection() if one.hint in (int, int | None))


@pytest.mark.parametrize("given", ["1.5", "1e3", "two", ""])
def test_a_whole_number_is_never_rounded_to(given: str) -> None:
    asked = [argument for words in commands(app) for argument in whole_numbers(words)]
    assert len(asked) > 40, "the options were not found"
    for argument in asked:
        argument.append(Token(keyword=argument.names[0], value=given, source="cli"))
        with pytest.raises(CoercionError, match="not a whole number"):
            argument.convert()


def test_help_shows_a_default_of_0_and_no_empty_one(capsys: pytest.CaptureFixture[str]) -> None:
    app(["compare", "--help"], result_action="return_value")
    said = capsys.readouterr().out
    assert "[default: ]" not in said
    assert said.count("[default: 0]") == 1, "--seed"


def test_what_is_wrong_with_an_edit_points_to_the_help_of_that_edit(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        app(["edit", "deblur", "run", "a.png", "--std", "x"], exit_on_error=False, print_error=False)

    assert status_of(run, []) == 2
    assert "See: unnoise edit deblur --help" in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "guidance"), [("5,a", ""), ("", "1,b"), ("1.5", "")])
def test_numbers_of_a_comparison_that_are_none(steps: str, guidance: str, small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="numbers with commas between them"):
        compare(small_run, steps=steps, guidance=guidance, out=tmp_path / "out")


def test_no_number_below_1_stands_for_as_many_as_fit(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch_size must be a whole number at least 1, got 0"):
        generate(small_run, range(2), batch_size=0, out=tmp_path / "a.png")
    for given in ({"n": 0}, {"batch_size": 0}, {"times": 0}):
        with pytest.raises(UserError, match=f"{next(iter(given))} must be a whole number at least 1, got 0"):
            evaluate(small_run, **given)
    with pytest.raises(UserError, match="n must be a whole number at least 1, got 0"):
        unnoise.compare([small_run], n=0)
    for given in ({"steps": 0}, {"steps": 2, "trajectories": 0}, {"steps": 2, "iterations": -1}):
        with pytest.raises(UserError, match=f"{list(given)[-1]} must be a whole number at least"):
            tune_run(small_run, **given)


def test_an_interval_without_a_guidance_is_refused(small_run: Path) -> None:
    with pytest.raises(UserError, match="--interval limits a guidance"):
        GuidanceOptions(interval=(0.1, 5.0)).for_model(unnoise.load(small_run), None)


def test_people_are_told_how_long_a_long_list_is(capsys: pytest.CaptureFixture[str]) -> None:
    show({"short": [1, 2], "long": list(range(50))}, as_json=False)
    assert capsys.readouterr().out.splitlines() == [f"{'short':<18} [1, 2]", f"{'long':<18} 50 (--json lists them)"]
    show({"long": list(range(50))}, as_json=True)
    assert "49" in capsys.readouterr().out
