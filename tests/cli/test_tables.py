"""Names in help are those of the tables."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from unnoise.cli.tables import TABLES, listed, names


def real(what: str) -> list[str]:
    found = []
    for module, table in TABLES[what]:
        rows = getattr(import_module(module), table)
        for item in get_args(rows) or rows:
            found += [item] if isinstance(item, str) else list(item.names)
    return found


@pytest.mark.parametrize("what", TABLES)
def test_names_are_those_of_the_real_tables(what: str) -> None:
    assert names(what), "help would list nothing"
    assert len(set(names(what))) == len(names(what))
    assert set(names(what)) == set(real(what))


def test_recipes_are_the_built_in_ones() -> None:
    from unnoise.runs.config import recipe_names

    assert list(names("recipes")) == recipe_names()


def test_a_list_reads_as_a_sentence() -> None:
    assert listed("precision") == "auto, fp32, tf32, bf16 or fp16"


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("sample", "samplers"),
        ("sample", "grids"),
        ("sample", "precision"),
        ("evaluate", "metrics"),
        ("evaluate", "features"),
        ("compare", "metrics"),
        ("train", "recipes"),
        ("train", "sources"),
        ("distill", "distilling"),
        ("edit inpaint", "restoring"),
        ("edit outpaint", "anchors"),
    ],
)
def test_help_lists_the_table(command: str, what: str) -> None:
    from unnoise.cli import app

    text = " ".join(help_of(app, command).split())
    assert all(name in text for name in names(what))


def help_of(app, command: str) -> str:
    from rich.console import Console

    console = Console(width=1000, record=True, file=io.StringIO())
    app.help_print(command.split(), console=console)
    return console.export_text()


def test_a_new_sampler_is_in_help_by_itself(tmp_path: Path) -> None:
    """A row in the table is enough: the package is copied, a row added, and help read."""
    import shutil

    import unnoise

    package = tmp_path / "unnoise"
    shutil.copytree(Path(unnoise.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    table = package / "samplers" / "__init__.py"
    table.write_text(table.read_text().replace('    "ddim": DDIM,', '    "ddim": DDIM,\n    "mine": DDIM,'))
    code = "import sys; from unnoise.cli import main; sys.argv = ['unnoise', 'sample', '--help']; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""})  # fmt: skip  # noqa: E501
    assert result.returncode == 0, result.stderr
    assert "ddim, mine" in " ".join(result.stdout.replace("│", " ").split())
