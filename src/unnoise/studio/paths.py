"""From names that come over the network to paths: never out of a given folder, neither by dots nor by links."""

from __future__ import annotations

import re
from pathlib import Path

from unnoise.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,79}")
"""A name for a new file or folder."""


class NotFound(UserError):
    """There is nothing of this name, or it is not for this page."""


class Forbidden(UserError):
    """The request does not come from this page."""


class TooLarge(UserError):
    """More bytes or pixels than are taken."""


def inside(root: Path, relative: str) -> Path:
    """The file or folder `relative` of `root`, links followed.

    Raises:
        NotFound: where there is none, or where it lies outside of `root`.
    """
    parts = relative.split("/")
    hidden = any(part.startswith(".") or part == "" for part in parts)
    if hidden or not relative.isprintable() or "\\" in relative or len(relative) > 1000:
        raise NotFound(f"there is no {relative[:80]!r} here")
    try:
        found, base = (root / relative).resolve(strict=True), root.resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFound(f"there is no {relative[:80]!r} here") from None
    if not found.is_relative_to(base):
        raise NotFound(f"there is no {relative[:80]!r} here")
    return found


def new_name(text: str) -> str:
    """`text` where it can be the name of a new file or folder.

    Raises:
        UserError: for any other text.
    """
    if NAME.fullmatch(text) and not text.endswith((".", " ")):
        return text
    raise UserError(f"a name has letters, digits and . _ + - in it, 80 at most, no path; got {text[:80]!r}")
