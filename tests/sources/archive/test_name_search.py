from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.formats import tar_headers
from imagenet_nk.sources.archive.member_map import Member, MemberMap
from imagenet_nk.sources.archive.name_search import NameIndex, natural_key

BLOCK = tar_headers.BLOCK


@given(st.lists(st.from_regex(r"[a-c]{0,2}[0-9]{1,3}", fullmatch=True), unique_by=natural_key, max_size=20), st.data())
def test_name_in_order_has_a_gap_to_read_next(names: list[str], draw: st.DataObject) -> None:
    """As long as names are in an order, what is offered to read next may hold the name that is looked for."""
    order = draw.draw(st.sampled_from([natural_key, lambda text: ((1, 0, text),)]))
    starts = {name: i * BLOCK * 2 for i, name in enumerate(sorted(names, key=order))}
    known = MemberMap(len(names) * BLOCK * 2)
    index = NameIndex(lambda member: member.header.name)
    for name in draw.draw(st.lists(st.sampled_from(names), unique=True)) if names else []:
        index.note(Member(starts[name], tar_headers.Header(name, 0, b"0")))
    for name in names:
        if index.get(name) is None:
            assert index.next_gap(name, known, BLOCK) is not None


def test_natural_key_sorts_numbers_as_numbers() -> None:
    assert sorted(["n1_10", "n1_9", "n1", "n10_1", "n2_1"], key=natural_key) == ["n1", "n1_9", "n1_10", "n2_1", "n10_1"]
