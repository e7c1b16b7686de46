"""The Dockerfile, read line by line: pinned, without root, without secrets, and only what is needed goes in."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Name of a stage -> its instructions, continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in lines:
        if word == "FROM":
            name = rest.rsplit(" AS ", 1)[1]
            found[name] = []
        found[name].append((word, rest))
    return found


def test_the_base_is_pinned_and_both_kinds_are_built_on_it() -> None:
    found = stages()
    assert set(found) == {"base", "cpu", "cuda"}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+ AS base", found["base"][0][1])
    for kind in ("cpu", "cuda"):
        assert found[kind][0][1] == f"base AS {kind}"


def test_nothing_runs_as_root_and_versions_are_those_that_are_tested() -> None:
    for kind in ("cpu", "cuda"):
        words = [word for word, _ in stages()[kind]]
        assert words.index("USER") > max(index for index, word in enumerate(words) if word == "RUN")
        assert ("USER", "1000") in stages()[kind]
        assert ("ENTRYPOINT", '["unnoise"]') in stages()[kind]
        installs = [rest for word, rest in stages()[kind] if word == "RUN"]
        assert all(part.count("-c constraints.txt") for rest in installs for part in rest.split("&&"))


def test_no_secrets_and_no_data_go_in() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"(?im)token|password|secret|api_key|^ADD ", text)
    copied = [name for _, rest in stages()["base"] if _ == "COPY" for name in rest.split()[:-1]]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {f"!{name}" for name in copied} == set(ignored[1:])
    assert all((ROOT / name).exists() for name in copied)
