"""How many small changes of formulas do the tests notice?  python tools/mutants.py -n 200 [--seed 0] [--only process]

A mutant is one change of one expression: + and -, * and / swapped, a factor, a minus or a root left out, a number
changed, a comparison turned round, min and max swapped. Each is made in a copy of the project; the tests of its module
run on it, the nearest first, until one fails. Every run is a fork of a process that has imported the libraries.
"""

from __future__ import annotations

import argparse
import ast
import copy
import datetime
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "docs" / "lab.md"
HEADING = "| mutants | seed | noticed | not noticed | score | when, at which commit |"
OUTPUT = "output.txt"
PACKAGES = ("process", "samplers", "objectives", "metrics", "guidance", "inverse")

FURTHER: dict[str, tuple[str, ...]] = {
    "process": (
        "tests/samplers/test_moments.py",
        "tests/objectives/test_denoising.py",
        "tests/samplers/test_sampler.py",
    ),
    "process/variance": ("tests/metrics/test_bound.py",),
    "samplers": ("tests/inverse/test_tasks.py", "tests/objectives/test_consistency.py"),
    "objectives": ("tests/models/test_vae.py", "tests/models/test_likelihoods.py"),
    "samplers/search": ("tests/sampling/test_tune.py",),
    "metrics": ("tests/evaluation/test_target.py", "tests/evaluation/test_likelihood.py"),
    "guidance": ("tests/sampling/test_guidance_options.py", "tests/samplers/test_sampler.py"),
    "inverse": ("tests/editing/test_edit.py", "tests/samplers/test_moments.py"),
}
"""Tests of other packages that speak of a package's, or a module's, formulas."""

LEFT_OUT = ("test_batches.py", "test_no_waiting.py", "test_cuda_graphs.py")
"""What they prove is no formula, and they take long."""

SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
OTHER_NAME = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "sin": "cos", "cos": "sin"}
ROOTS = ("sqrt", "square", "exp", "log", "rsqrt")
TINY = 1e-6
"""Numbers below it guard a division; twice as much is no other formula."""


@dataclass(frozen=True)
class Mutant:
    """One change of a file: path, from the root; index of the expression; which of its changes; what is read of it."""

    path: Path
    index: int
    choice: int
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"

    def source(self, whole: str) -> str:
        """The file's text with the change."""
        tree = ast.parse(whole)
        target = next(islice(formulas(tree), self.index, None))
        return ast.unparse(_Replace(target, changes(target)[self.choice]).visit(tree))


def mutants_of(path: Path) -> list[Mutant]:
    """Every mutant of one file."""
    return [
        Mutant(path, index, choice, node.lineno, ast.unparse(node), ast.unparse(changed))
        for index, node in enumerate(formulas(ast.parse((ROOT / path).read_text())))
        for choice, changed in enumerate(changes(node))
    ]


def formulas(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions that compute: none in annotations, decorators, default arguments, messages and assertions."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "defaults", "kw_defaults", "bases", "type_params"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr):
                if isinstance(node, ast.expr):
                    yield node
                yield from formulas(node)


def changes(node: ast.expr) -> list[ast.expr]:
    """What an expression can be changed into."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPPED:
            other = copy.copy(node)
            other.op = SWAPPED[type(op)]()
            return [other, left, right] if isinstance(op, ast.Mult) else [other]
        case ast.Compare(ops=[op]) if type(op) in TURNED:
            other = copy.copy(node)
            other.ops = [TURNED[type(op)]()]
            return [other]
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            return [operand]
        case ast.Constant(value=bool(value)):
            return [ast.Constant(not value)]
        case ast.Constant(value=int(value)):
            return [ast.Constant(value + 1)]
        case ast.Constant(value=float(value)) if abs(value) >= TINY:
            return [ast.Constant(2 * value)]
        case ast.Call(func=ast.Attribute(value=owner, attr=name) as function):
            return _other_calls(node, owner, name, function)
        case ast.Call(func=ast.Name(id=name)) if name in OTHER_NAME:
            return [ast.Call(ast.Name(OTHER_NAME[name]), node.args, node.keywords)]
    return []


def _other_calls(node: ast.Call, owner: ast.expr, name: str, function: ast.Attribute) -> list[ast.expr]:
    if name in OTHER_NAME:
        return [ast.Call(ast.Attribute(owner, OTHER_NAME[name]), node.args, node.keywords)]
    if name in ROOTS and not node.keywords:
        return [node.args[0] if node.args else owner] if len(node.args) < 2 else []
    return []


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def tests_of(path: Path) -> list[str]:
    """The test files of a module, the nearest first: those of its name, those that use its names, the package's."""
    package, module = path.parts[2], path.with_suffix("").as_posix().split("/", 2)[2]
    names = [node.name for node in ast.parse((ROOT / path).read_text()).body if hasattr(node, "name")]
    own = sorted((ROOT / "tests" / package).rglob("test_*.py"))
    further = [ROOT / name for name in (*FURTHER.get(module, ()), *FURTHER.get(package, ()))]

    def distance(test: Path) -> tuple[bool, bool]:
        words = set(re.findall(r"\w+", test.read_text()))
        return path.stem not in test.stem, words.isdisjoint(names)

    nearest = sorted(dict.fromkeys([*own, *further]), key=distance)
    return [str(test.relative_to(ROOT)) for test in nearest if test.name not in LEFT_OUT]


def noticed(copy_of_project: Path, tests: list[str], seconds: float) -> bool:
    """Whether a test fails in the copy, or takes more processor time than that, in a fork of this process."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
            code = _run_tests(copy_of_project, tests)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1, 2) or code < 0, (copy_of_project / OUTPUT).read_text()[-4000:]
    return code != 0


def _run_tests(copy_of_project: Path, tests: list[str]) -> int:
    os.chdir(copy_of_project)
    quiet = os.open(copy_of_project / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.path.insert(0, str(copy_of_project / "src"))
    os.environ["PYTHONPATH"] = str(copy_of_project / "src")
    import pytest

    return int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow", *tests]))


def imported() -> None:
    """The libraries that tests use, and none of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("pytest", "torch", "numpy", "scipy.stats", "scipy.linalg", "sklearn.datasets"):
            __import__(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="how many mutants, drawn from all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="packages or modules, such as process,samplers/sde")
    parser.add_argument("--seconds", type=float, default=180, help="of processor time, at most, for one mutant")
    parser.add_argument("--log", action="store_true", help=f"add a row to {LOG.relative_to(ROOT)}")
    options = parser.parse_args()
    files = [path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / "src/unnoise" / name).rglob("*.py")]
    wanted = [path for path in sorted(files) if any(part in str(path) for part in options.only.split(","))]
    everything = [mutant for path in wanted for mutant in mutants_of(path)]
    drawn = random.Random(options.seed).sample(everything, min(options.n, len(everything)))
    imported()
    with tempfile.TemporaryDirectory() as folder:
        survivors = _survivors(Path(folder), drawn, options.seconds)
    killed = len(drawn) - len(survivors)
    print(f"{killed} of {len(drawn)} noticed ({killed / max(1, len(drawn)):.1%}); {len(everything)} possible")
    if options.log:
        _log(len(drawn), options.seed, len(survivors))


def _survivors(folder: Path, drawn: list[Mutant], seconds: float) -> list[Mutant]:
    project = folder / "project"
    left_out = shutil.ignore_patterns(".git", ".venv*", "__pycache__")
    shutil.copytree(ROOT, project, ignore=left_out)
    if (ROOT.parent / "shared").is_dir():
        (folder / "shared").symlink_to(ROOT.parent / "shared")
    survivors = []
    for count, mutant in enumerate(drawn, 1):
        file, began = project / mutant.path, time.monotonic()
        whole = file.read_text()
        file.write_text(mutant.source(whole))
        found = noticed(project, tests_of(mutant.path), seconds)
        file.write_text(whole)
        if not found:
            survivors.append(mutant)
        word = "noticed" if found else "SURVIVED"
        print(f"{count}/{len(drawn)} {time.monotonic() - began:5.1f} s {word:8s} {mutant}", flush=True)
    return survivors


def _log(count: int, seed: int, survived: int) -> None:
    """Adds the newest row below the table's heading."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    score = (count - survived) / count
    today = datetime.date.today().isoformat()
    row = f"| {count} | {seed} | {count - survived} | {survived} | {score:.1%} | {today}, {commit.strip()} |"
    head, rest = LOG.read_text().split(f"{HEADING}\n", 1)
    rule, rest = rest.split("\n", 1)
    LOG.write_text(f"{head}{HEADING}\n{rule}\n{row}\n{rest}")


if __name__ == "__main__":
    main()
