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
def test_verdicts_match_the_definition_in_any_order_of_responses(world: World, limit: int, seed: int) -> None:
    verdicts, _ = collect(world, limit, seeded(seed))
    assert verdicts == by_definition(world)


@settings(max_examples=100, deadline=None)
@given(world=worlds, seed=st.integers(0, 10**6), known=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 11))))
def test_settled_candidates_are_not_read_again(world: World, seed: int, known: set[tuple[int, int]]) -> None:
    def is_settled(wnid: str, index: int) -> bool:
        return (int(wnid[1:]), index) in known

    verdicts, settler = collect(world, 3, seeded(seed), is_settled)
    assert verdicts == by_definition(world)
    assert not any(is_settled(candidate.wnid, int(candidate.key)) for candidate in settler.started)
    assert len(set(settler.started)) == len(settler.started)


def picture(number: int, **facts: object) -> Truth:
    return Truth(**({"image_id": str(number), "content": number, "pixels": number} | facts))  # type: ignore[arg-type]


def test_few_candidates_are_read_in_vain() -> None:
    """A list on which all is well costs hardly more than what is kept."""
    world = World({f"n{c:08}": [picture(100 * c + i) for i in range(60)] for c in range(20)}, quota=10)
    verdicts, settler = collect(world, 64, seeded(0))
    assert all(one == [""] * 10 for one in verdicts.values())
    assert len(settler.started) < 1.5 * 200


def test_class_with_target_zero_ends_at_once() -> None:
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
def test_malformed_url_is_rejected(url: str) -> None:
    world = World({"n00000001": [Truth("1", "bad_url", url=url), picture(2)]}, quota=1)
    assert collect(world, 4, seeded(0))[0] == {"n00000001": ["bad_url", ""]}


def test_class_that_waits_for_a_host_continues_when_it_is_down() -> None:
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
