from __future__ import annotations

import pytest

from collect.scheduling.test_scheduler import picture
from collect.worlds import Truth, World, collect, seeded


def test_placeholder_found_late_is_replaced() -> None:
    """The first class is full long before the second reaches the same bytes."""
    same = {"content": 77, "pixels": 77}
    world = World(
        {
            "n00000001": [picture(1, **same), picture(2), picture(3)],
            "n00000002": [*(Truth("gone", "http_404") for _ in range(20)), picture(4, **same), picture(5), picture(6)],
        }
    )
    for pick in (lambda count: 0, lambda count: count - 1):
        verdicts, _ = collect(world, 1, pick)
        assert verdicts["n00000001"] == ["placeholder", "", ""]
        assert verdicts["n00000002"] == ["http_404"] * 20 + ["placeholder", "", ""]


def test_images_read_ahead_are_not_counted() -> None:
    """The second address of the same bytes stands behind the last image that the class needs."""
    world = World({"n00000001": [picture(1), picture(2), picture(3, content=1, pixels=1)]})
    verdicts, _ = collect(world, 100, lambda count: count - 1)
    assert verdicts["n00000001"] == ["", ""]


def test_image_of_two_sources_is_no_placeholder() -> None:
    """Redrawn from the fallback, it has two addresses; it takes two *images* with the same bytes."""
    world = World({"n00000001": [picture(1), picture(1, url="x://elsewhere"), picture(2)]})
    assert collect(world, 1, lambda count: 0)[0]["n00000001"] == ["", "redrawn", ""]


@pytest.mark.parametrize("drop", [False, True])
def test_image_in_two_classes_is_reported_or_dropped(drop: bool) -> None:
    world = World(
        {"n00000001": [picture(1, pixels=9), picture(2)], "n00000002": [picture(3, pixels=9), picture(4), picture(5)]},
        quota=2,
        drop_shared=drop,
    )
    verdicts, _ = collect(world, 4, seeded(0))
    assert verdicts["n00000001"] == (["shared", ""] if drop else ["", ""])
    assert verdicts["n00000002"] == (["shared", "", ""] if drop else ["", ""])
