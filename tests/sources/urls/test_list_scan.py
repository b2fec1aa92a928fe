from __future__ import annotations

import itertools
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.sources.urls.list_scan import Scan, isin_sorted

WNIDS = ["n00000001", "n01440764", "n01440765", "n99999999"]
LINE = re.compile(rb"n\d{8}_")

word = st.sampled_from(
    [*(w.encode() for w in WNIDS), b"n0144076", b"n014407645", b"N01440764", b"n01440_64", b"", b"\xef"]
)
line = st.builds(
    lambda wnid, joint, rest: wnid + joint + rest,
    word,
    st.sampled_from([b"_1\t", b"_12\thttp://a.b/", b"", b"\t", b"_", b"\r", b"_3 "]),
    st.one_of(st.binary(max_size=12), st.sampled_from([b"http://a.b/c.jpg", b"https://A.b:443/c.jpg", b"x" * 30])),
)
text = st.lists(line, max_size=30).map(b"\n".join)


def scan_by_loop(data: bytes, wanted: set[str]) -> dict[str, list[bytes]]:
    """What Scan gives, by a loop over lines."""
    lines: dict[str, list[bytes]] = {}
    for one in data.split(b"\n"):
        if LINE.match(one) and one[:9].decode() in wanted:
            lines.setdefault(one[:9].decode(), []).append(one)
    return lines


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(text, st.lists(st.integers(0, 600), max_size=6), st.sets(st.sampled_from(WNIDS), min_size=1))
def test_scan_equals_a_loop_over_lines(data: bytes, cuts: list[int], wanted: set[str]) -> None:
    found: dict[str, list[bytes]] = {}
    scan = Scan(pieces(data, cuts), wanted)
    for wnid, block in scan:
        assert block.endswith(b"\n")
        found.setdefault(wnid, []).extend(block[:-1].split(b"\n"))
    assert found == scan_by_loop(data, wanted)
    assert scan.lines == sum(bool(LINE.match(one)) for one in data.split(b"\n"))
    blank = sum(one in (b"", b"\r") for one in data.split(b"\n"))
    assert scan.broken["bad_id"] == len(data.split(b"\n")) - blank - scan.lines


@given(st.lists(line.filter(lambda one: b"\n" not in one), max_size=20), st.randoms(use_true_random=False))
def test_fingerprint_does_not_depend_on_order_or_chunks(lines: list[bytes], rng) -> None:
    def fingerprint(rows: list[bytes], cut: int) -> str:
        data = b"".join(row + b"\n" for row in rows)
        scan = Scan(pieces(data, [cut]), ["n01440764"])
        assert list(scan) is not None
        return scan.fingerprint

    shuffled = lines[:]
    rng.shuffle(shuffled)
    assert fingerprint(lines, 7) == fingerprint(shuffled, 50)
    assert fingerprint([*lines, b"n01440764_1\thttp://a.b/c.jpg"], 9) != fingerprint(lines, 7)


@given(st.lists(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_isin_sorted_equals_membership(values: list[int], ordered: set[int]) -> None:
    got = isin_sorted(np.array(values, np.int64), np.array(sorted(ordered), np.int64))
    assert got.tolist() == [value in ordered for value in values]
