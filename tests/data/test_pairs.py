from __future__ import annotations

import pytest

from unnoise.data.pairs import pair_by_name
from unnoise.errors import UserError


def test_pairs_are_found_by_name_and_not_by_position() -> None:
    found = pair_by_name(["b.png", "a.png", "c.png"], ["a.jpg", "x.jpg", "b.jpg"])
    assert (found.first.tolist(), found.second.tolist()) == ([1, 0], [0, 2])
    assert found.without_partner == ("c", "x")
    assert found.note() == "left out, for want of a partner: c, x"


def test_names_in_other_folders_pair_by_their_last_part() -> None:
    found = pair_by_name(["real/1.png", "real/2.png"], ["2.png", "1.png"])
    assert (found.first.tolist(), found.second.tolist()) == ([0, 1], [1, 0])
    assert found.note() == ""


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (["a.png"], ["b.png"], "no two files are called alike"),
        (["a.png"], [], "one of the two sets has none"),
        (["x/a.png", "y/a.png"], ["a.png"], "both called a"),
    ],
)
def test_what_cannot_be_paired_is_refused(first: list[str], second: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        pair_by_name(first, second)
