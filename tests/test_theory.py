"""docs/theory.md: every function and test it names exists, and every snippet prints what the page says."""

from __future__ import annotations

import ast
import doctest
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "theory.md").read_text()
FORMULAS = re.split(r"^### ", PAGE, flags=re.M)[1:]
by_formula = pytest.mark.parametrize("formula", FORMULAS, ids=[text.split("\n")[0] for text in FORMULAS])


def named(formula: str, what: str) -> list[str]:
    """The names in the line '* WHAT: `a`, `b`' of a formula."""
    (line,) = re.findall(rf"^\* {what}: (.*)$", formula, flags=re.M)
    return re.findall(r"`([^`]+)`", line)


def resolve(name: str) -> Any:
    """The object of a dotted name; AttributeError or ImportError where there is none."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@by_formula
def test_functions_and_tests_exist(formula: str) -> None:
    for name in named(formula, "function"):
        resolve(name)
    for name in named(formula, "test"):
        file, _, function = name.partition("::")
        assert function in functions_in(file), f"{file} has no {function}"


@by_formula
def test_every_formula_has_its_symbols_and_prints_a_number(formula: str) -> None:
    assert re.search(r"^```math\n.+\n```$", formula, flags=re.M)
    examples = doctest.DocTestParser().get_examples(unfenced(formula))
    assert any(re.search(r"\d|True", example.want) for example in examples)


def test_the_page_prints_what_it_says() -> None:
    test = doctest.DocTestParser().get_doctest(unfenced(PAGE), {}, "docs/theory.md", "docs/theory.md", 0)
    report: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not results.failed, "".join(report)
    assert results.attempted > 200


def test_the_formulas_are_numbered_in_order() -> None:
    assert [int(text.split(".")[0]) for text in FORMULAS] == list(range(1, len(FORMULAS) + 1))
    assert len(FORMULAS) >= 60


def unfenced(markdown: str) -> str:
    """Without the lines that fence code, which would count as output."""
    return re.sub(r"^```.*$", "", markdown, flags=re.M)
