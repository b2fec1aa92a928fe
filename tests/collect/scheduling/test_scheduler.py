from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collect.worlds import Truth, World, by_definition, collect, seeded
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import HttpConfig
from imagenet_nk.net.host_table import HostTable

truths = st.builds(
    Truth,
    image_id=st.integers(0, 30).map(str),
    reason=st.sampled_from(["", "", "", "http_404"]),
    content=st.integers(0, 9),
    pixels=st.integers(0, 9),
    look=st.sampled_from([0, 1, 0b111, 2**63, 2**64 - 1]),
    url=st.sampled_from(["", "", "x://same/1", "x://same/2"]),
)
worlds = st.builds(
    World,
    classes=st.lists(st.lists(truths, max_size=12), min_size=1, max_size=4).map(
        lambda lists: {f"n{number:08}": one for number, one in enumerate(lists)}
    ),
    quota=st.sampled_from([1, 2, 3, None]),
    repeats=st.integers(2, 4),
    near_bits=st.sampled_from([None, 0, 2]),
    drop_shared=st.booleans(),
)


@settings(max_examples=250, deadline=None)
@given(world=worlds, limit=st.sampled_from([1, 3, 100]), seed=st.integers(0, 10**6))
def test_the_outcome_is_that_of_the_definition_in_whatever_order_answers_come(
    world: World, limit: int, seed: int
) -> None:
    verdicts, _ = collect(world, limit, seeded(seed))
    assert verdicts == by_definition(world)


@settings(max_examples=100, deadline=None)
@given(world=worlds, seed=st.integers(0, 10**6), known=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 11))))
def test_what_an_earlier_run_settled_changes_nothing_and_is_not_asked_again(
    world: World, seed: int, known: set[tuple[int, int]]
) -> None:
    def is_settled(wnid: str, index: int) -> bool:
        return (int(wnid[1:]), index) in known

    verdicts, settler = collect(world, 3, seeded(seed), is_settled)
    assert verdicts == by_definition(world)
    assert not any(is_settled(candidate.wnid, int(candidate.key)) for candidate in settler.started)
    assert len(set(settler.started)) == len(settler.started)


def picture(number: int, **facts: object) -> Truth:
    return Truth(**({"image_id": str(number), "content": number, "pixels": number} | facts))  # type: ignore[arg-type]


def test_a_placeholder_seen_late_is_thrown_out_and_replaced() -> None:
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


def test_what_was_only_fetched_ahead_is_not_counted() -> None:
    """The second address of the same bytes stands behind the last image that the class needs."""
    world = World({"n00000001": [picture(1), picture(2), picture(3, content=1, pixels=1)]})
    verdicts, _ = collect(world, 100, lambda count: count - 1)
    assert verdicts["n00000001"] == ["", ""]


def test_an_image_that_two_sources_give_is_no_placeholder() -> None:
    """Redrawn from the fallback, it has two addresses; it takes two *images* with the same bytes."""
    world = World({"n00000001": [picture(1), picture(1, url="x://elsewhere"), picture(2)]})
    assert collect(world, 1, lambda count: 0)[0]["n00000001"] == ["", "redrawn", ""]


@pytest.mark.parametrize("drop", [False, True])
def test_the_same_picture_in_two_classes(drop: bool) -> None:
    world = World(
        {"n00000001": [picture(1, pixels=9), picture(2)], "n00000002": [picture(3, pixels=9), picture(4), picture(5)]},
        quota=2,
        drop_shared=drop,
    )
    verdicts, _ = collect(world, 4, seeded(0))
    assert verdicts["n00000001"] == (["shared", ""] if drop else ["", ""])
    assert verdicts["n00000002"] == (["shared", "", ""] if drop else ["", ""])


def test_little_is_asked_in_vain() -> None:
    """A list on which all is well costs hardly more than what is kept."""
    world = World({f"n{c:08}": [picture(100 * c + i) for i in range(60)] for c in range(20)}, quota=10)
    verdicts, settler = collect(world, 64, seeded(0))
    assert all(one == [""] * 10 for one in verdicts.values())
    assert len(settler.started) < 1.5 * 200


def test_a_class_of_which_nothing_is_wanted_holds_nobody_up() -> None:
    """With nk=null it is one that the list of images does not name."""
    ticks = []

    def watch(progress: Progress) -> None:
        ticks.append(progress.done)
        assert len(ticks) < 9, "it never ends"

    world = World({"n00000001": [picture(1)], "n00000002": []}, quota=0)
    verdicts, settler = collect(world, 4, seeded(0), watch=watch)
    assert verdicts == {"n00000001": [], "n00000002": []}
    assert settler.started == []
    assert ticks[-1] == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/x.jpg",
        "http://a.test:99999/x.jpg",
        "http://a.test:port/x.jpg",
        "http:///x.jpg",
        "http://u:p@a.test/x",
    ],
)
def test_an_address_that_is_none_does_not_stop_a_run(url: str) -> None:
    world = World({"n00000001": [Truth("1", "bad_url", url=url), picture(2)]}, quota=1)
    assert collect(world, 4, seeded(0))[0] == {"n00000001": ["bad_url", ""]}


def test_a_class_that_waits_for_a_busy_host_goes_on_when_that_is_set_aside() -> None:
    """Its look-ahead holds nothing but a host that asked for a long pause; then that host is given up."""
    far = [Truth(str(n), "timeout", url=f"http://busy.test/{n}") for n in range(12)]
    world = World({"n00000001": [*far, picture(77, url="http://other.test/77")]}, quota=1)
    hosts, ticks = HostTable(HttpConfig()), []

    def watch(progress: object) -> None:
        ticks.append(progress)
        if len(ticks) == 3:
            busy.is_suspended, busy.probes, busy.fault = True, 9, "timeout"

    busy = hosts.get("busy.test:80")
    busy.next_start = float("inf")
    verdicts, settler = collect(world, 4, seeded(0), hosts=hosts, watch=watch)
    assert verdicts == {"n00000001": ["timeout"] * 12 + [""]}
    assert [candidate.url for candidate in settler.started] == ["http://other.test/77"]
