from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.sources.urls.list_lines import parse
from imagenet_nk.sources.urls.url_forms import canonical

url = st.one_of(
    st.sampled_from(["http://a.b/c.jpg", "http://A.B/c.jpg", "http://a.b:80/c.jpg", "https://a.b/c.jpg", "http://a.b"]),
    st.from_regex(r"https?://[a-zA-Z.]{1,12}(:80|:443|:8080)?(/[ -~]{0,30})?", fullmatch=True),
    st.binary(max_size=20).map(lambda raw: "http://h/" + raw.replace(b"\n", b"").decode("latin-1")),
)


serial = st.from_regex(r"[0-9]{1,9}", fullmatch=True)


@given(st.lists(st.tuples(serial, url), max_size=12))
def test_lines_parsed_together_equal_lines_parsed_one_by_one(rows: list[tuple[str, str]]) -> None:
    lines = [f"n01440764_{s}\t{u}\n".encode("latin-1") for s, u in rows]
    together_counts, alone_counts = Counter(), Counter()
    together = parse(b"".join(lines), together_counts) if lines else None
    alone = [parse(one, alone_counts) for one in lines]
    if together is None:
        return
    assert together_counts == alone_counts
    rows_together = list(zip(together.text.split(b"\n"), together.url_keys, together.id_keys, strict=False))
    rows_alone = [(one.text[:-1], one.url_keys[0], one.id_keys[0]) for one in alone if one.text]
    assert sorted(rows_together) == sorted(rows_alone)


@given(st.lists(st.tuples(serial, url), min_size=2, max_size=8))
def test_equal_canonical_urls_and_ids_have_equal_keys(rows: list[tuple[str, str]]) -> None:
    parsed = parse("".join(f"n01440764_{s}\t{u}\n" for s, u in rows).encode("latin-1"), Counter())
    lines = [one.decode().split("\t") for one in parsed.text.splitlines()]
    for values, keys in ((parsed.url_keys, [canonical(u) for _, u in lines]), (parsed.id_keys, [i for i, _ in lines])):
        numbers: dict[str, int] = {}
        for key, value in zip(keys, values.tolist(), strict=True):
            assert numbers.setdefault(key, value) == value


def test_different_urls_have_different_keys() -> None:
    urls = [f"http://farm{i % 5}.static.flickr.com/{i}/{i * 7919}_{i * 104729:x}.jpg" for i in range(20000)]
    parsed = parse("".join(f"n01440764_{i}\t{u}\n" for i, u in enumerate(urls)).encode(), Counter())
    assert len(np.unique(parsed.url_keys)) == len(np.unique(parsed.id_keys)) == 20000
