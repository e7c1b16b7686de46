"""What the README says is so: its Python runs, the names in its table exist, its commands and pictures are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unnoise
from unnoise import cli
from unnoise.runs.config import recipe_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.S)


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code.replace("minutes=2", "steps=2, device='cpu'"), names)
    assert {"images", "x_0"} & names.keys()


def test_the_sentence_tables_names_exist() -> None:
    table = README[README.index("| paper |") : README.index("```python")]
    names = set(re.findall(r"`([A-Z]\w+)", table))
    assert len(names) >= 10
    for name in names:
        assert getattr(unnoise, name).__name__ == name


def test_commands_and_recipes_are_the_ones_there_are() -> None:
    commands = set(re.findall(r"^unnoise (\w+)", README, flags=re.M)) | set(re.findall(r"`unnoise (\w+)", README))
    assert commands <= set(cli.app)
    table = README[README.index("| recipe |") : README.index("A recipe is")]
    assert set(re.findall(r"^\| `([\w-]+)`", table, flags=re.M)) == set(recipe_names())


def test_links_and_pictures_are_in_the_tree() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    for link in links:
        assert (ROOT / link).is_file(), link


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w[\w-]*)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target
