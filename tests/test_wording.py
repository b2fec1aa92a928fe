from __future__ import annotations

import pytest

from imagenet_nk.wording import first_few, one_line, plural


@pytest.mark.parametrize(
    ("names", "most", "expected"),
    [
        ([], 5, ""),
        (["a"], 5, "a"),
        ([1, 2], 2, "1, 2"),
        (("a", "b", "c"), 2, "a, b, ..."),
        (list("abcdef"), 5, "a, b, c, d, e, ..."),
    ],
)
def test_many_names_are_cut_after_the_first_few(names: list[object], most: int, expected: str) -> None:
    assert first_few(names, most) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, "0 classes"), (1, "1 class"), (2, "2 classes")])
def test_only_one_is_singular(count: int, expected: str) -> None:
    assert plural(count, "class", "classes") == expected


@pytest.mark.parametrize(("error", "expected"), [(ValueError("a\n b"), "a b"), (ValueError(), "ValueError")])
def test_an_error_is_worded_on_one_line(error: Exception, expected: str) -> None:
    assert one_line(error) == expected
