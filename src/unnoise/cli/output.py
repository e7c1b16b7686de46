"""Results: one JSON object on standard output, or lines for people; everything else goes to standard error."""

from __future__ import annotations

import shlex

from unnoise.aliases import Spec
from unnoise.files import json_text
from unnoise.progress import notice, printable, shows

LONG = 8
"""Entries of a list from which on people are told their number."""


def command(*words: object) -> str:
    """A command line of unnoise, quoted where it has to be."""
    return shlex.join(["unnoise", *map(str, words)])


def show(result: Spec, as_json: bool, lines: list[str] | None = None, then: str | None = None) -> None:
    """Prints `result` as JSON, or `lines` (by default one 'key  value' line per entry).

    Args:
        result: what a command did.
        as_json: one JSON object on standard output, and nothing else.
        lines: the same for people; by default long lists are counted only.
        then: what is likely to be wanted next, for people; on standard error.
    """
    if not shows():
        return
    if as_json:
        print(json_text(result))
        return
    for line in lines if lines is not None else [f"{key:<18} {_brief(value)}" for key, value in result.items()]:
        print(printable(line))
    if then is not None:
        notice(f"next: {then}")


def _brief(value: object) -> object:
    return f"{len(value)} (--json lists them)" if isinstance(value, list) and len(value) > LONG else value
