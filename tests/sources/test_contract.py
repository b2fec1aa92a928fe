from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.image_ids import distinct_ids
from imagenet_nk.net.http import Response
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import candidates_in_order, rejection

TENCH = "n01440764"
NAMES = st.text(min_size=1, max_size=250) | st.from_regex(r"(n01440764_)?[a=2.]{1,5}\.(jpg|png)", fullmatch=True)


@given(st.lists(NAMES, max_size=12))
def test_ids_are_safe_distinct_and_depend_on_the_names_before_alone(names: list[str]) -> None:
    ids = distinct_ids(TENCH, names)
    assert len(set(ids)) == len(ids) == len(names)
    assert all(re.fullmatch(rf"{TENCH}[A-Za-z0-9._=-]*", image_id) and len(image_id) <= 200 for image_id in ids)
    assert distinct_ids(TENCH, names[:5]) == ids[:5]


@given(st.lists(st.text("abc=2", min_size=1, max_size=4).map(lambda name: f"{name}.jpg"), unique=True))
def test_names_that_share_no_stem_keep_their_own_id(names: list[str]) -> None:
    escaped = {f"{TENCH}_{name.removesuffix('.jpg').replace('=', '=3D')}" for name in names}
    assert set(distinct_ids(TENCH, names)) == escaped


def test_candidates_come_in_the_order_of_the_sampling_with_their_places() -> None:
    places = {f"{TENCH}_{n}": f"/data/{n}" for n in range(20)}
    candidates = list(candidates_in_order(RandomOrder(3), TENCH, places))
    assert [candidate.key for candidate in candidates] == RandomOrder(3).arrange(TENCH, places)
    assert all(candidate.url == places[candidate.key] for candidate in candidates)


@pytest.mark.parametrize(
    ("status", "rejected"),
    [
        (200, None),
        (203, None),  # a proxy has touched it (RFC 9110, 15.3.4)
        (206, None),
        (204, Rejected("http_204")),
        (404, Rejected("http_404")),
        (429, Rejected("http_429", transient=True)),
        (503, Rejected("http_503", transient=True)),
    ],
)
def test_http_status_gives_reason_and_transience(status: int, rejected: Rejected | None) -> None:
    assert rejection(Response(status, b"...")) == rejected
