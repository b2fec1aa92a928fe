from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.sources.urls.list_lines import parse
from imagenet_nk.sources.urls.list_scan import Scan, among
from imagenet_nk.sources.urls.url_forms import canonical, percent_encode, url_variants

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


def plainly(data: bytes, wanted: set[str]) -> dict[str, list[bytes]]:
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
def test_the_scan_finds_what_a_loop_over_lines_finds(data: bytes, cuts: list[int], wanted: set[str]) -> None:
    found: dict[str, list[bytes]] = {}
    scan = Scan(pieces(data, cuts), wanted)
    for wnid, block in scan:
        assert block.endswith(b"\n")
        found.setdefault(wnid, []).extend(block[:-1].split(b"\n"))
    assert found == plainly(data, wanted)
    assert scan.lines == sum(bool(LINE.match(one)) for one in data.split(b"\n"))
    blank = sum(one in (b"", b"\r") for one in data.split(b"\n"))
    assert scan.broken["bad_id"] == len(data.split(b"\n")) - blank - scan.lines


@given(st.lists(line.filter(lambda one: b"\n" not in one), max_size=20), st.randoms(use_true_random=False))
def test_the_fingerprint_does_not_depend_on_order_or_pieces(lines: list[bytes], rng) -> None:
    def fingerprint(rows: list[bytes], cut: int) -> str:
        data = b"".join(row + b"\n" for row in rows)
        scan = Scan(pieces(data, [cut]), ["n01440764"])
        assert list(scan) is not None
        return scan.fingerprint

    shuffled = lines[:]
    rng.shuffle(shuffled)
    assert fingerprint(lines, 7) == fingerprint(shuffled, 50)
    assert fingerprint([*lines, b"n01440764_1\thttp://a.b/c.jpg"], 9) != fingerprint(lines, 7)


url = st.one_of(
    st.sampled_from(["http://a.b/c.jpg", "http://A.B/c.jpg", "http://a.b:80/c.jpg", "https://a.b/c.jpg", "http://a.b"]),
    st.from_regex(r"https?://[a-zA-Z.]{1,12}(:80|:443|:8080)?(/[ -~]{0,30})?", fullmatch=True),
    st.binary(max_size=20).map(lambda raw: "http://h/" + raw.replace(b"\n", b"").decode("latin-1")),
)
serial = st.from_regex(r"[0-9]{1,9}", fullmatch=True)


@given(st.lists(st.tuples(serial, url), max_size=12))
def test_lines_parsed_together_are_what_each_is_alone(rows: list[tuple[str, str]]) -> None:
    lines = [f"n01440764_{s}\t{u}\n".encode("latin-1") for s, u in rows]
    together_counts, alone_counts = Counter(), Counter()
    together = parse(b"".join(lines), together_counts) if lines else None
    alone = [parse(one, alone_counts) for one in lines]
    if together is None:
        return
    assert together_counts == alone_counts
    rows_together = list(zip(together.text.split(b"\n"), together.likes, together.names, strict=False))
    rows_alone = [(one.text[:-1], one.likes[0], one.names[0]) for one in alone if one.text]
    assert sorted(rows_together) == sorted(rows_alone)


@given(st.lists(st.tuples(serial, url), min_size=2, max_size=8))
def test_the_same_normal_form_has_the_same_number(rows: list[tuple[str, str]]) -> None:
    parsed = parse("".join(f"n01440764_{s}\t{u}\n" for s, u in rows).encode("latin-1"), Counter())
    lines = [one.decode().split("\t") for one in parsed.text.splitlines()]
    for values, keys in ((parsed.likes, [canonical(u) for _, u in lines]), (parsed.names, [i for i, _ in lines])):
        numbers: dict[str, int] = {}
        for key, value in zip(keys, values.tolist(), strict=True):
            assert numbers.setdefault(key, value) == value


def test_other_addresses_have_other_numbers() -> None:
    urls = [f"http://farm{i % 5}.static.flickr.com/{i}/{i * 7919}_{i * 104729:x}.jpg" for i in range(20000)]
    parsed = parse("".join(f"n01440764_{i}\t{u}\n" for i, u in enumerate(urls)).encode(), Counter())
    assert len(np.unique(parsed.likes)) == len(np.unique(parsed.names)) == 20000


@given(st.binary(max_size=60))
def test_a_usable_address_is_printable_ascii_and_stays_as_it_is(raw: bytes) -> None:
    made = percent_encode(b"http://h/" + raw)
    assert made is not None
    assert re.fullmatch(r"[!-~]+", made)
    assert percent_encode(made.encode()) == made


@given(st.text(max_size=60))
def test_attempts_never_fail(url: str) -> None:
    got = list(url_variants(url, ["{url}", "{https}", "{flickr}", "https://w/2011id_/{url}"]))
    assert got[0] == url
    assert len(set(got)) == len(got)


def test_attempts_for_an_old_flickr_address() -> None:
    url = "http://farm4.static.flickr.com/3188/2611_2f.jpg"
    assert list(url_variants(url, ["{url}", "{https}", "{flickr}", "https://w/2011id_/{url}"])) == [
        url,
        "https://farm4.static.flickr.com/3188/2611_2f.jpg",
        "https://live.staticflickr.com/3188/2611_2f.jpg",
        f"https://w/2011id_/{url}",
    ]


@given(st.lists(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_among(values: list[int], ordered: set[int]) -> None:
    got = among(np.array(values, np.int64), np.array(sorted(ordered), np.int64))
    assert got.tolist() == [value in ordered for value in values]
