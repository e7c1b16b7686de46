"""The template of a plug-in is installed and run: its rows appear by themselves, and pass the shipped contracts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import unnoise
from unnoise.errors import UserError
from unnoise.process.parametrization import V
from unnoise.process.schedule import CosineBetas
from unnoise.registry.plugins import Table, loaded
from unnoise.samplers import DPMSolver, Euler
from unnoise.testing import check_parametrization, check_sampler, check_schedule

TEMPLATE = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the template installed."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the template, is not installed")
    target = tmp_path_factory.mktemp("plugin")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(TEMPLATE)], check=True)
    paths = [str(target), str(Path(unnoise.__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "UNNOISE_CACHE": str(target / "cache")}


def python(environment: dict[str, str], *words: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_rows_are_in_help(installed: dict[str, str]) -> None:
    assert "midpoint" in python(installed, "-m", "unnoise", "sample", "--help")
    text = python(installed, "-m", "unnoise", "train", "--help")
    assert text.count("stripes") >= 2
    assert "brightness" in python(installed, "-m", "unnoise", "evaluate", "--help")


def test_help_imports_none_of_it(installed: dict[str, str]) -> None:
    code = (
        "import sys; from unnoise.cli.tables import names; assert 'midpoint' in names('samplers');"
        "assert not {'unnoise_example', 'torch'} & set(sys.modules), 'imported'"
    )
    python(installed, "-c", code)


def test_it_trains_samples_and_measures(installed: dict[str, str], tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    limits = ["--steps", "2", "--set", "train.samples=0", "--device", "cpu"]
    train = ["train", "stripes:40", "--recipe", "stripes", "--out", run, *limits]
    options = ["--metrics", "brightness,fid", "--features", "pixels", "-n", "8", "--json", "--device", "cpu"]
    evaluate = ["evaluate", run, *options]
    both = (
        "import sys; from contextlib import redirect_stdout; from unnoise.cli import app\n"
        f"with redirect_stdout(sys.stderr): app({train}, result_action='return_value')\n"
        f"app({evaluate}, result_action='return_value')"
    )
    found = json.loads(python(installed, "-c", both))
    assert "brightness" in found
    assert found["samples"]["sampler"].startswith("Midpoint")


def test_it_passes_the_contracts_that_are_shipped(installed: dict[str, str]) -> None:
    text = python(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TEMPLATE), folder=TEMPLATE)
    assert "2 passed" in text


def test_the_contracts_notice_a_sampler_that_claims_too_much() -> None:
    class Boastful(Euler):
        order = 2

    with pytest.raises(AssertionError, match="the order is"):
        check_sampler(Boastful(steps=8))
    check_sampler(DPMSolver(steps=8))


def test_the_contracts_notice_a_wrong_derivative() -> None:
    class Wrong(CosineBetas):
        def d_alpha(self, t):  # type: ignore[no-untyped-def]
            return 2 * super().d_alpha(t)

    with pytest.raises(AssertionError, match="derivative of alpha"):
        check_schedule(Wrong())
    check_schedule(CosineBetas())
    check_parametrization(V(), CosineBetas())


def test_a_built_in_name_stays_and_a_broken_plug_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "ddim": EntryPoint("ddim", "nowhere:Mine", "g"),
        "broken": EntryPoint("broken", "nowhere:Missing", "g"),
        "maths": EntryPoint("maths", "math:pi", "g"),
    }
    monkeypatch.setattr("unnoise.registry.plugins.declared", lambda group: points)
    table = Table("g", {"ddim": 1.0})
    assert list(table) == ["ddim", "broken", "maths"]
    assert table["ddim"] == 1.0
    assert table["maths"] == pytest.approx(3.14159, abs=1e-5)
    with pytest.raises(UserError, match=r"'broken' \(nowhere:Missing\) cannot be loaded"):
        table["broken"]
    with pytest.raises(UserError, match="cannot be loaded"):
        loaded(EntryPoint("pi", "math:tau_and_a_half", "g"))
