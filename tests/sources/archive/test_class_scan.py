from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.net.guarded_session import open_session
from imagenet_nk.sources.archive import class_scan
from imagenet_nk.sources.archive.class_index import Index, first_known
from imagenet_nk.sources.archive.class_scan import hop
from imagenet_nk.sources.archive.ranged_file import HttpFile, LocalFile
from sources.tars import train
from sources.web import Answer, Asked, Web, ranged, web

HTTP = HttpConfig(allow_private=True, backoff=0.0)
WNIDS = [f"n{number:08d}" for number in range(100, 180)]


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the tars of these tests were large."""
    monkeypatch.setattr(class_scan, "_WINDOW", 8192)
    monkeypatch.setattr(class_scan, "_LARGE", 2)
    monkeypatch.setattr(class_scan, "_WORTH", 20)


def outer(seed: int, *, traps: bool = False) -> bytes:
    """A tar of 80 tars of a few members; traps are members that are tars of tars themselves."""
    rng = random.Random(seed)
    trap = train({f"n{rng.randrange(10**8):08d}": [("n00000001_1.JPEG", b"x" * 700)] for _ in range(4)})
    classes = {}
    for wnid in WNIDS:
        files = [(f"{wnid}_{n}.JPEG", rng.randbytes(rng.randrange(1, 6000))) for n in range(rng.randrange(3, 12))]
        if traps:
            files[rng.randrange(len(files))] = (f"{wnid}_99.JPEG", trap)
        classes[wnid] = files
    return train(classes)


def hopped(place: LocalFile | HttpFile, wanted: list[str] = WNIDS) -> tuple[int, bool, dict[str, tuple[int, object]]]:
    index = Index(place.version)
    hop(index, place, wanted, lambda: None)
    return index.next, index.complete, {wnid: (offset, known.state()) for wnid, (offset, known) in index.spans.items()}


@pytest.fixture
def connected() -> Iterator[requests.Session]:
    with open_session(HTTP, class_scan.WALKS) as web_session:
        yield web_session


@pytest.mark.parametrize("traps", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_many_walks_find_what_one_finds(
    tmp_path: Path, server: Web, connected: requests.Session, seed: int, traps: bool
) -> None:
    data = outer(seed, traps=traps)
    (tmp_path / "t.tar").write_bytes(data)
    place = HttpFile(server.put("/t.tar", data), HTTP, connected)
    assert hopped(place)[2] == hopped(LocalFile(tmp_path / "t.tar"))[2]
    if not traps:
        alone = 1 + sum(asked.last == (asked.first or 0) + 1023 for asked in server.asked)
        assert alone <= len(WNIDS) + 3, "no header is read twice"


def test_walks_begin_at_headers_in_all_parts_of_the_tar(server: Web, connected: requests.Session) -> None:
    data = outer(0)
    place = HttpFile(server.put("/t.tar", data), HTTP, connected)
    ahead = class_scan._ahead(Index(place.version), place)
    begins = {offset - 512 for offset, _ in hopped(place)[2].values()}
    assert set(ahead) <= begins
    assert len(ahead) > 12
    assert {wnid for walk in ahead.values() for wnid in walk.spans} == set(WNIDS)


def test_few_classes_are_walked_to_from_the_beginning(server: Web, connected: requests.Session) -> None:
    place = HttpFile(server.put("/t.tar", outer(0)), HTTP, connected)
    server.asked.clear()
    assert set(hopped(place, WNIDS[:5])[2]) == set(WNIDS[:5])
    assert len(server.asked) <= 5


def test_a_tar_that_is_damaged_in_the_middle_is_one_line(server: Web, connected: requests.Session) -> None:
    data = bytearray(outer(0))
    at = data.index(b"n00000140.tar")
    data[at : at + 512] = bytes(range(256)) * 2
    place = HttpFile(server.put("/t.tar", bytes(data)), HTTP, connected)
    with pytest.raises(SourceError, match=f"has no tar header at byte {at:,}"):
        hopped(place)


def test_one_class_in_a_large_tar(server: Web, connected: requests.Session) -> None:
    """There is no next class to be found."""
    files = [(f"n00000100_{n}.JPEG", bytes([n]) * 3000) for n in range(200)]
    place = HttpFile(server.put("/t.tar", train({"n00000100": files})), HTTP, connected)
    assert list(hopped(place)[2]) == ["n00000100"]


def test_a_server_that_fails_for_the_middle_is_no_worse_than_one_walk(server: Web, connected: requests.Session) -> None:
    data = outer(0)

    def page(asked: Asked, _: dict[str, str]) -> Answer:
        large = (asked.last or 0) - (asked.first or 0) > 1023
        return Answer(503) if large else ranged(data, asked)

    place = HttpFile(server.put("/t.tar", page), HTTP, connected)
    assert set(hopped(place)[2]) == set(WNIDS)


def test_a_kept_index_that_leads_to_no_header_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "t.tar").write_bytes(outer(0))
    place = LocalFile(tmp_path / "t.tar")
    index = Index(place.version, next=1024, spans={WNIDS[0]: (7 * 512, first_known(10**6, b""))})
    kept: list[int] = []
    hop(index, place, WNIDS, lambda: kept.append(len(index.spans)))
    offsets = {wnid: offset for wnid, (offset, _) in index.spans.items()}
    assert offsets == {wnid: offset for wnid, (offset, _) in hopped(place)[2].items()}
    assert 0 in kept, "nothing of it is left on disk, whatever comes next"
    assert "is indexed anew" in caplog.text


def test_a_class_tar_that_looked_like_none_is_looked_at_again(server: Web, connected: requests.Session) -> None:
    """At once, and by the next run: the answers may have been at fault."""
    data, damaged = outer(0), 0

    def page(asked: Asked, _: dict[str, str]) -> Answer:
        nonlocal damaged
        answer = ranged(data, asked)
        if asked.first and damaged > 0:
            damaged -= 1
            return Answer(206, answer.body[:600] + b"?" + answer.body[601:], answer.headers)
        return answer

    place = HttpFile(server.put("/t.tar", page), HTTP, connected)
    wanted = {wnid: offset for wnid, (offset, _) in hopped(place)[2].items()}
    damaged = 1
    assert {wnid: offset for wnid, (offset, _) in hopped(place)[2].items()} == wanted
    damaged, index = 1000, Index(place.version)
    hop(index, place, WNIDS, lambda: None)
    assert len(index.spans) < len(WNIDS) == len(index.spans.keys() | index.odd.keys())
    damaged = 0
    hop(index, place, WNIDS, lambda: None)
    assert {wnid: offset for wnid, (offset, _) in index.spans.items()} == wanted
