"""Names that come over the network never lead out of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.errors import UserError
from unnoise.studio.paths import NotFound, inside, new_name


def test_what_is_inside_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").touch()
    assert inside(tmp_path, "a/b.png") == (tmp_path / "a" / "b.png").resolve()


@pytest.mark.parametrize(
    "name",
    [
        *("..", "../x", "a/../..", "/etc/passwd", "", "a//b", ".", ".studio/jobs", "a/.hidden", "\0", "a\nb", "a\\b"),
        *("x" * 5000, "\udcff", "nothing", "~", "a/" * 400),
    ],
)
def test_what_is_not_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".hidden").touch()
    with pytest.raises(NotFound):
        inside(tmp_path, name)


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").touch()
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    (root / "own").symlink_to(root)
    for name in ("link", "link/secret", "loop"):
        with pytest.raises(NotFound):
            inside(root, name)
    assert inside(root, "own") == root.resolve()


def test_a_new_name_is_one_plain_word() -> None:
    assert new_name("digits-ddpm 2.1") == "digits-ddpm 2.1"
    for name in ("", ".x", "a/b", "..", "a\0", "-x", "x" * 81, "a.", "\u202e", "caf\u00e9/x"):
        with pytest.raises(UserError):
            new_name(name)
