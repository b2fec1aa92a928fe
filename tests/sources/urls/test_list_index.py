"""Duplicates, broken lines and the saved index."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from imagenet_nk.sources.urls.source import Urls
from sources.contract import opened
from sources.urls.lists import ONE, A, B, context, write


def test_broken_lines_are_counted_by_kind_and_the_others_are_used(tmp_path: Path, caplog) -> None:
    data = b"".join(
        [
            b"\xef\xbb\xbf" + ONE,
            b"\n\r\n",
            f"{A}_2\thttp://a.example/caf\xe9 1.jpg\r\n".encode("latin-1"),
            f"{A}_3 http://a.example/3.jpg\n".encode(),
            f"{A}_4\tftp://a.example/4.jpg\n".encode(),
            f"{A}_5\thttp://a.example/\0.jpg\n".encode(),
            f"{A}_6\t".encode() + b"x" * 10_000_000 + b"\n",
            f"{A}_{'7' * 99}\thttp://a.example/7.jpg\n".encode(),
            b"what is this\nn0144076_1\thttp://a.example/8.jpg\nN01440764_1\thttp://a.example/8.jpg\n",
            f"{A}_../../9\thttp://a.example/9.jpg\n".encode(),
            f"{A}_10\thttp://a.example/10.jpg\tmore".encode(),
        ]
    )
    with caplog.at_level("INFO"), opened(Urls(write(tmp_path, data)), [A], context(tmp_path)) as source:
        urls = {c.key: c.url for c in source.candidates(A)}
    assert urls == {
        f"{A}_1": "http://a.example/1.jpg",
        f"{A}_2": "http://a.example/caf%E9%201.jpg",
        f"{A}_..=2F..=2F9": "http://a.example/9.jpg",
        f"{A}_10": "http://a.example/10.jpg%09more",
    }
    for count in ("no_tab 1", "no_address 1", "nul 1", "too_long 1", "bad_id 4"):
        assert count in caplog.text


def test_duplicate_url_is_kept_once_in_a_class_and_dropped_across_classes(tmp_path: Path) -> None:
    pairs = [
        (A, 9, "http://a.example/same.jpg"),
        (A, 1, "http://A.Example:80/same.jpg#top"),
        (A, 2, "https://a.example/same.jpg"),
        (A, 3, "http://a.example/both.jpg"),
        (B, 4, "HTTP://a.EXAMPLE/both.jpg"),
        (B, 5, "http://a.example/Same.jpg"),
        (B, 6, "http://a.example/two/urls.jpg"),
        (B, 6, "http://a.example/one/id.jpg"),
    ]
    for seed in range(5):
        rows = random.Random(seed).sample(pairs, len(pairs))
        data = "".join(f"{wnid}_{n}\t{url}\n" for wnid, n, url in rows).encode()
        with opened(Urls(write(tmp_path, data, f"{seed}.txt")), [A, B], context(tmp_path)) as source:
            assert {c.key: c.url for c in source.candidates(A)} == {f"{A}_1": "http://A.Example:80/same.jpg#top"}
            assert {c.key: c.url for c in source.candidates(B)} == {
                f"{B}_5": "http://a.example/Same.jpg",
                f"{B}_6": "http://a.example/one/id.jpg",
            }


def test_saved_index_is_reused_and_a_broken_one_is_rebuilt(tmp_path: Path, caplog) -> None:
    path = write(tmp_path, ONE)
    caplog.set_level("INFO")
    for expected in (1, 1):
        with opened(Urls(path), [A], context(tmp_path)) as source:
            assert len(list(source.candidates(A))) == 1
        assert caplog.text.count("read ") == expected
    (index,) = tmp_path.glob("index/urls-*.index")
    index.write_bytes(index.read_bytes()[:100])
    with opened(Urls(path), [A], context(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 1
    write(tmp_path, ONE + f"{A}_2\thttp://a.example/2.jpg\n".encode())
    with opened(Urls(path), [A], context(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 2


def test_identity_does_not_depend_on_the_wanted_classes(tmp_path: Path) -> None:
    path = write(tmp_path, ONE + f"{B}_2\thttp://a.example/2.jpg\n".encode())
    identities = set()
    for wnids in ([A], [B], [A, B]):
        with opened(Urls(path), wnids, context(tmp_path)) as source:
            identities.add(source.identity)
    other = write(tmp_path, ONE.replace(b"1.jpg", b"2.jpg"), "other.txt")
    with opened(Urls(other), [A], context(tmp_path)) as source:
        identities.add(source.identity)
    assert len(identities) == 2


@pytest.mark.parametrize("shuffled", [False, True])
def test_candidates_of_a_class_do_not_depend_on_the_other_wanted_classes(tmp_path: Path, shuffled: bool) -> None:
    """Addresses that stand in two of the 1000 classes are left out, whoever asks; others' classes have no say in it."""
    rest, other = "n00007846", "n99999998"  # none of the 1000 classes
    rows = [
        (A, 1, "http://a.example/only.jpg"),
        (A, 2, "http://a.example/in-both.jpg"),
        (A, 3, "http://a.example/with-other.jpg"),
        (B, 1, "https://A.example:443/in-both.jpg#x"),
        (B, 2, "http://a.example/mine.jpg"),
        (rest, 1, "http://a.example/mine.jpg"),
        (rest, 2, "http://a.example/rest.jpg"),
        (rest, 3, "http://a.example/in-both.jpg"),
        (other, 1, "http://a.example/with-other.jpg"),
        (other, 2, "http://a.example/rest.jpg"),
    ]
    lines = [f"{wnid}_{n}\t{url}\n" for wnid, n, url in rows]
    if shuffled:
        random.Random(1).shuffle(lines)
    path = write(tmp_path, "".join(lines).encode())
    wanted = {A: {f"{A}_1", f"{A}_3"}, B: {f"{B}_2"}, rest: {f"{rest}_2"}, other: {f"{other}_2"}}
    for size in (1, 2, 3, 4):
        for asked in itertools.combinations(wanted, size):
            with opened(Urls(path), asked, context(tmp_path)) as source:
                for wnid in asked:
                    assert {candidate.key for candidate in source.candidates(wnid)} == wanted[wnid]


def test_other_classes_of_the_1000_use_the_same_index(tmp_path: Path) -> None:
    path = write(tmp_path, ONE + f"{B}_2\thttp://a.example/2.jpg\n".encode())
    for wnids in ([A], [B], [A, B]):
        with opened(Urls(path), wnids, context(tmp_path)):
            pass
    assert len(list((tmp_path / "index").glob("*.index"))) == 1
