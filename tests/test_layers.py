"""Imports go down the layers of tools/layers.py: never up, never sideways, and in no circle within a package."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import unnoise

PACKAGE = Path(unnoise.__file__).parent
ROOT = PACKAGE.parents[1]


def load_layers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("layers", ROOT / "tools" / "layers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["layers"] = module
    spec.loader.exec_module(module)
    return module


layers = load_layers()
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for file in FILES}


def package_of(module: str) -> str:
    return module.split(".")[1] if module.startswith("unnoise.") else ""


def imports(file: Path) -> set[str]:
    """The unnoise modules that a file imports, also inside functions and for type checking."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in NAMES and package_of(name)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_down(file: Path) -> None:
    here = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if here == "__init__" or here in layers.DATA_ONLY:
        return
    for module in imports(file):
        there = package_of(module)
        assert there == here or layers.rank(there) < layers.rank(here), f"{here} imports {module}"


def test_every_package_has_a_layer() -> None:
    known = {package for layer in layers.LAYERS for package in layer.packages} | layers.DATA_ONLY
    there = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert there == known


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: set[str]() for name in NAMES}
    for file in FILES:
        name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        if not name.endswith("__init__"):
            graph[name] = imports(file) - {name}
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in finished:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            finished.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("page", layers.PAGES)
def test_the_tables_of_the_documentation_are_made_from_the_list(page: str) -> None:
    assert (ROOT / page).read_text() == layers.updated(page), "run python tools/layers.py"
