"""Imports go down the floors of the design, never up, and never sideways between networks, process and data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import unnoise

ROOT = Path(unnoise.__file__).parent
FLOORS = {
    "registry": 0, "seeding": 0, "files": 0, "process": 0, "networks": 0, "data": 0,
    "samplers": 1, "guidance": 1, "editing": 1, "metrics": 1,
    "models": 2,
    "objectives": 3,
    "training": 4, "config": 4, "runs": 4, "recipes": 4, "templates": 4,
    "progress": 4, "film": 4, "conditions": 4, "drawing": 4, "steering": 4, "tuning": 4, "tuned": 4,
    "edits": 4, "semantics": 4, "representation": 4,
    "evaluation": 4, "demo": 4, "doctor": 4,
    "cli": 5, "__main__": 5,
}  # fmt: skip
APART = {"networks", "process", "data"}


def place(module: str) -> str:
    return module.split(".")[1] if module.startswith("unnoise.") else ""


def imports(file: Path) -> set[str]:
    """The unnoise modules that a file imports anywhere, also inside functions, except for type checking only."""
    tree = ast.parse(file.read_text())
    skipped = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node not in skipped and isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif node not in skipped and isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if place(name)}


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down(file: Path) -> None:
    here = file.relative_to(ROOT).parts[0].removesuffix(".py")
    if here == "__init__":
        return
    for module in imports(file):
        there = place(module)
        assert FLOORS[there] <= FLOORS[here], f"{here} imports {module}"
        assert not ({here, there} <= APART and here != there), f"{here} imports {module} sideways"
