from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unnoise.io.geometry import crop_box, plan_size

PLANS = {
    "one small size is kept": ([(28, 30)] * 3, None, (30, 28)),
    "a short side of 64 is small": ([(100, 64)] * 2, None, (64, 100)),
    "one large size comes down to 64": ([(256, 256)] * 2, None, (64, 64)),
    "a large rectangle keeps its aspect": ([(1920, 1080)] * 2, None, (64, 114)),
    "upright rectangles too": ([(300, 400), (600, 800)], 30, (40, 30)),
    "nearly one aspect is one aspect": ([(500, 375), (500, 376)], 60, (60, 80)),
    "mixed aspects become square": ([(20, 30), (30, 20), (40, 40)], None, (20, 20)),
    "mixed large ones are 64 square": ([(200, 300), (300, 200)], None, (64, 64)),
    "a number is the shorter side": ([(10, 20)], 5, (10, 5)),
    "a pair is taken as it is": ([(10, 20), (3, 3)], (7, 9), (7, 9)),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans(name: str) -> None:
    sizes, size, expected = PLANS[name]
    assert plan_size(sizes, size) == expected


sides = st.integers(1, 3000)


@given(sides, sides, sides, sides)
def test_a_crop_lies_inside_is_centred_and_has_the_aspect(width: int, height: int, wide: int, high: int) -> None:
    left, top, right, bottom = crop_box(width, height, wide, high)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert abs((left + right) - width) <= 2
    assert abs((top + bottom) - height) <= 2
    assert (right - left) * high == pytest.approx((bottom - top) * wide)
    assert right - left == pytest.approx(width) or bottom - top == pytest.approx(height)
