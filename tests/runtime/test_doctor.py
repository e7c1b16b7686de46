"""What doctor tells of packages is what the package's own metadata asks for."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from unnoise.runtime import doctor

ROOT = Path(__file__).parents[2]


def test_every_extra_and_every_dependency_is_told() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = doctor.examine()
    assert set(found["extras"]) == set(project["optional-dependencies"]) - {"dev"}
    for requirement in project["dependencies"]:
        assert found[requirement.partition(">")[0]] != "missing"


def test_an_extra_is_there_where_all_of_its_packages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "two-b":
            raise PackageNotFoundError(package)
        return "1"

    asked = ["torch>=2.6", "one>=1; extra == 'one'", 'two-a==1; extra == "two"', "two-b; extra == 'two'"]
    monkeypatch.setattr(doctor, "requires", lambda package: [*asked, "pytest; extra == 'dev'"])
    monkeypatch.setattr(doctor, "version", version)
    found = doctor.examine()
    assert found["extras"] == {"one": True, "two": False}
    assert found["torch"] == "1"
