"""The names that help lists, read out of the tables beside the classes, so that a new row appears in help by itself.

The modules that hold the tables import torch, which takes seconds; help is to answer at once. So the source of a table
is parsed instead of its module being imported; `tests/cli/test_tables.py` compares the names with the real tables.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import unnoise
from unnoise.registry.plugins import declared

TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "samplers": (("unnoise.samplers", "SAMPLERS"),),
    "grids": (("unnoise.samplers.grids", "GRIDS"),),
    "metrics": (("unnoise.evaluation.metrics", "METRICS"),),
    "features": (("unnoise.features", "FEATURES"),),
    "sources": (("unnoise.sources.open", "BUILT_IN"), ("unnoise.sources.download", "PUBLIC")),
    "restoring": (("unnoise.inverse.posterior", "METHODS"),),
    "families": (("unnoise.families.table", "FAMILIES"),),
    "distilling": (("unnoise.training.methods", "METHODS"),),
    "fits": (("unnoise.editing.image_files", "FITS"),),
    "anchors": (("unnoise.editing.margins", "ANCHORS"),),
    "precision": (("unnoise.runtime.precision", "Precision"),),
    "compile": (("unnoise.runtime.cuda_graphs", "Choice"),),
    "exports": (("unnoise.interop.formats", "EXPORTS"),),
    "qualities": (("unnoise.training.dial", "QUALITIES"),),
}
"""What help lists -> the modules and tables that hold it."""

PACKAGE = Path(unnoise.__file__).parent


@cache
def names(what: str) -> tuple[str, ...]:
    """The names in the tables of `what`, in their order; the recipes are the files of a folder."""
    if what == "recipes":
        built_in = sorted(file.stem for file in (PACKAGE / "recipes").glob("*.toml"))
        return tuple(sorted({*built_in, *_declared("unnoise.recipes")}))
    return tuple(name for module, table in TABLES[what] for name in _table(module, table))


def listed(what: str) -> str:
    """'a, b or c', for a sentence of help."""
    *most, last = names(what)
    return f"{', '.join(most)} or {last}" if most else last


def _table(module: str, table: str) -> Iterator[str]:
    """The names in a table (keys, a Literal's values, or what a tuple's items are called), then those of plug-ins."""
    value, group = _assigned([_statement(module, table)], table), None
    if isinstance(value, ast.Call):  # Table(group, rows) or Rows(group, rows): other packages add to it
        group, value = ast.literal_eval(value.args[0]), value.args[1]
    if isinstance(value, ast.DictComp):  # {cls.name: cls for cls in (...)}
        value = value.generators[0].iter
    if isinstance(value, ast.Subscript):  # Literal["a", "b"]
        value = value.slice
    for item in value.keys if isinstance(value, ast.Dict) else _items(value):
        yield from _names(item, module)
    if group is not None:
        yield from _declared(group)


def _declared(group: str) -> tuple[str, ...]:
    """The names that installed packages add: read from their metadata, without importing them."""
    return tuple(sorted(declared(group)))


def _names(item: ast.expr | None, module: str) -> Iterator[str]:
    """Of one item: a string itself, or the `name` or the `names` of a class or of an object made of it."""
    if isinstance(item, ast.Constant):
        yield str(item.value)
    cls = item.func if isinstance(item, ast.Call) else item
    if isinstance(cls, ast.Name):
        body = getattr(_statement(_home(module, cls.id), f"class {cls.id}"), "body", [])
        called = _assigned(body, "names") or _assigned(body, "name")
        yield from (str(part.value) for part in _items(called) if isinstance(part, ast.Constant))


def _home(module: str, name: str) -> str:
    """The module that a name is imported from, or the module itself."""
    imports = re.finditer(r"^from (\S+) import (\([^)]*\)|[^\n]*)", _source(module), re.MULTILINE)
    return next((found[1] for found in imports if re.search(rf"\b{name}\b", found[2])), module)


def _items(value: ast.expr | None) -> list[ast.expr]:
    return list(value.elts) if isinstance(value, ast.Tuple) else [] if value is None else [value]


def _assigned(body: list[ast.stmt], name: str) -> ast.expr | None:
    """The value that a name is given in the body of a module or a class."""
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return getattr(node, "value", None)
    return None


def _statement(module: str, start: str) -> ast.stmt:
    """The top-level statement whose text begins with `start`: alone, for parsing whole modules takes too long."""
    found = re.search(rf"^{start}\b.*\n(?:(?:[ )\]}}].*)?\n)*", _source(module), re.MULTILINE)
    assert found is not None, f"{module} has no {start}"
    return ast.parse(found[0]).body[0]


@cache
def _source(module: str) -> str:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8") + "\n"
