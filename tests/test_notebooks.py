"""docs/notebooks: each runs in a short form, and each .ipynb is made from its .py."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "docs" / "notebooks").glob("*.py"))
by_name = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["notebooks"] = module
    spec.loader.exec_module(module)
    return module


notebooks = load_tool()


def test_the_course_is_in_order() -> None:
    assert [path.stem for path in SOURCES] == [
        "1-forward-process",
        "2-ddpm-from-scratch",
        "3-samplers",
        "4-families",
        "5-guidance",
        "6-editing",
        "7-likelihood",
        "8-memorisation",
    ]


@by_name
def test_it_runs_in_short_and_shows_pictures(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNNOISE_SHORT", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mpl.use("agg")
    made = notebooks.notebook(source.read_text())
    kinds = [
        next(iter(output["data"])) for cell in made["cells"] for output in cell.get("outputs", []) if "data" in output
    ]
    assert kinds.count("image/png") >= 3


@by_name
def test_the_notebook_is_made_from_the_source(source: Path) -> None:
    written = json.loads(source.with_suffix(".ipynb").read_text())
    expected = notebooks.notebook(source.read_text(), execute=False)
    told = [{name: cell[name] for name in ("cell_type", "source")} for cell in written["cells"]]
    assert told == [{name: cell[name] for name in ("cell_type", "source")} for cell in expected["cells"]], (
        "run python tools/notebooks.py"
    )


@by_name
def test_exercises_have_their_solutions_folded_in(source: Path) -> None:
    text = source.read_text()
    assert text.count("<details>") == text.count("</details>") >= 2
    assert len(re.findall(r"^# \d\. ", text[text.index("## Exercises") :], flags=re.M)) == text.count("<details>")


def test_cells_are_split_as_editors_split_them() -> None:
    source = "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 1\n\nprint(x)\nx\n"
    text, code = notebooks.cells(source)
    assert text == ("markdown", "# Title\n\ntext")
    assert code == ("code", "x = 1\n\nprint(x)\nx")
    printed, value = notebooks.run(code.text, {})
    assert printed["text"] == ["1\n"]
    assert value["data"] == {"text/plain": ["1"]}
