from __future__ import annotations

import pytest

from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules, Selection, is_near_duplicate
from imagenet_nk.dataset.records import CandidateRecord

REACHED = Selection(image_ids={"1"}, contents={10}, pixels={20}, dhashes=[0b1111])
RULES = AcceptanceRules(near_duplicate_bits=1, placeholders={90}, shared={91})


@pytest.mark.parametrize(
    ("image_id", "content", "pixels", "dhash", "verdict"),
    [
        ("1", 90, 20, 0, "redrawn"),
        ("2", 90, 20, 0, "placeholder"),
        ("2", 10, 21, 0, "duplicate"),
        ("2", 11, 20, 0, "duplicate"),
        ("2", 11, 91, 0b1111, "shared"),
        ("2", 11, 21, 0b1011, "near_duplicate"),
        ("2", 11, 21, 0b1001, ""),
    ],
)
def test_first_rule_that_applies_gives_the_verdict(
    image_id: str, content: int, pixels: int, dhash: int, verdict: str
) -> None:
    record = CandidateRecord("key", image_id, content=content, pixels=pixels, look=dhash)
    assert RULES.verdict(record, REACHED) == verdict


def test_near_duplicates_differ_in_at_most_so_many_bits() -> None:
    assert not is_near_duplicate(0b1011, [], 64)
    assert is_near_duplicate(0b1011, [0, 0b1111], 1)
    assert not is_near_duplicate(0b1011, [0b1111], 0)
