from __future__ import annotations

import re
from pathlib import Path

import pytest

import imagenet_nk
from imagenet_nk.wording import counted, first_few


@pytest.mark.parametrize(
    ("names", "most", "said"),
    [
        ([], 5, ""),
        (["a"], 5, "a"),
        ([1, 2], 2, "1, 2"),
        (("a", "b", "c"), 2, "a, b, ..."),
        (list("abcdef"), 5, "a, b, c, d, e, ..."),
    ],
)
def test_the_first_few_and_a_sign_of_more(names: list[object], most: int, said: str) -> None:
    assert first_few(names, most) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 classes"), (1, "1 class"), (2, "2 classes")])
def test_one_and_many(count: int, said: str) -> None:
    assert counted(count, "class", "es") == said


def test_nobody_words_it_by_hand() -> None:
    package = Path(imagenet_nk.__file__).parent
    by_hand = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r'", \.\.\."|, "\.\.\."\]', path.read_text(encoding="utf-8"))
    ]
    assert by_hand == ["wording.py"]
