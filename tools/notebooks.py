"""Notebooks: `python tools/notebooks.py` makes each docs/notebooks/NAME.ipynb from NAME.py and runs it.

The .py files are the sources, in the percent format that editors know: `# %%` begins a cell of code, `# %% [markdown]`
one of text. With names as arguments only those are made; `--no-run` leaves the outputs out.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
Outputs = list[dict[str, Any]]


class Cell(NamedTuple):
    """kind: 'code' or 'markdown'."""

    kind: str
    text: str


def cells(source: str) -> list[Cell]:
    """The cells of a file in the percent format."""
    found = []
    for part in re.split(r"^# %%", source, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            found.append(Cell("markdown", re.sub(r"^# ?", "", body.strip("\n"), flags=re.M)))
        else:
            found.append(Cell("code", body.strip("\n")))
    return found


def run(code: str, names: dict[str, Any]) -> Outputs:
    """Runs a cell of code and gives what a notebook would show under it: text, the last value, open figures."""
    tree = ast.parse(code)
    last = tree.body[-1] if tree.body else None
    printed = io.StringIO()
    value = None
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    text = (
        [{"output_type": "stream", "name": "stdout", "text": lines(printed.getvalue())}] if printed.getvalue() else []
    )
    return [*text, *([shown(value)] if value is not None else []), *figures()]


def shown(value: Any) -> dict[str, Any]:
    """A value as a notebook shows it: as a picture where it can be one."""
    as_png = getattr(value, "_repr_png_", None)
    return (
        picture(as_png())
        if as_png is not None
        else {"output_type": "display_data", "metadata": {}, "data": {"text/plain": [repr(value)]}}
    )


def figures() -> Outputs:
    """The figures that pyplot holds open, which are then closed."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    drawn = []
    for number in pyplot.get_fignums():
        stream = io.BytesIO()
        pyplot.figure(number).savefig(stream, format="png", dpi=110)
        drawn.append(picture(stream.getvalue()))
    pyplot.close("all")
    return drawn


def picture(png: bytes) -> dict[str, Any]:
    data = {"image/png": base64.b64encode(png).decode()}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def notebook(source: str, execute: bool = True) -> dict[str, Any]:
    """The .ipynb of a percent file, as JSON."""
    names: dict[str, Any] = {"__name__": "__main__"}
    made = []
    for index, cell in enumerate(cells(source)):
        entry: dict[str, Any] = {
            "cell_type": cell.kind,
            "id": f"cell-{index}",
            "metadata": {},
            "source": lines(cell.text),
        }
        if cell.kind == "code":
            entry |= {"execution_count": None, "outputs": run(cell.text, names) if execute else []}
        made.append(entry)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def main(arguments: list[str]) -> int:
    import matplotlib

    matplotlib.use("agg")
    execute = "--no-run" not in arguments
    chosen = [name for name in arguments if not name.startswith("--")]
    for file in sorted(FOLDER.glob("*.py")):
        if chosen and file.stem not in chosen:
            continue
        try:
            made = notebook(file.read_text(), execute)
        except Exception:
            print(f"{file.name} failed", file=sys.stderr)
            traceback.print_exc()
            return 1
        file.with_suffix(".ipynb").write_text(json.dumps(made, indent=1) + "\n")
        print(f"{file.stem}: {len(made['cells'])} cells")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
