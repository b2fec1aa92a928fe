from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.sources.archive import class_scan
from imagenet_nk.sources.archive.blocking_client import BlockingClient
from imagenet_nk.sources.archive.class_index import ClassIndex, map_from_head
from imagenet_nk.sources.archive.class_scan import find_class_tars
from imagenet_nk.sources.archive.ranged_file import HttpFile, LocalFile
from sources.tars import train
from sources.web import Answer, Asked, Web, ranged

HTTP = HttpConfig(allow_private=True)
WNIDS = [f"n{number:08d}" for number in range(100, 180)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the tars of these tests were large."""
    monkeypatch.setattr(class_scan, "_WINDOW", 8192)
    monkeypatch.setattr(class_scan, "_MIN_WINDOWS", 2)
    monkeypatch.setattr(class_scan, "_MIN_CLASSES", 20)


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
    index = ClassIndex(place.version)
    find_class_tars(index, place, wanted, lambda: None)
    return (
        index.next,
        index.is_complete,
        {wnid: (offset, known.to_json()) for wnid, (offset, known) in index.tars.items()},
    )


@pytest.fixture
def client() -> Iterator[BlockingClient]:
    client = BlockingClient(HTTP)
    yield client
    client.close()


@pytest.mark.parametrize("traps", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_parallel_scans_find_what_one_scan_finds(
    tmp_path: Path, server: Web, client: BlockingClient, seed: int, traps: bool
) -> None:
    data = outer(seed, traps=traps)
    (tmp_path / "t.tar").write_bytes(data)
    place = HttpFile(server.put("/t.tar", data), HTTP, client.get)
    assert hopped(place)[2] == hopped(LocalFile(tmp_path / "t.tar"))[2]
    if not traps:
        alone = 1 + sum(asked.last == (asked.first or 0) + 1023 for asked in server.asked)
        assert alone <= len(WNIDS) + 3, "no header is read twice"


def test_parallel_scans_begin_at_headers_in_all_parts_of_the_tar(server: Web, client: BlockingClient) -> None:
    data = outer(0)
    place = HttpFile(server.put("/t.tar", data), HTTP, client.get)
    ahead = class_scan._parallel_scans(ClassIndex(place.version), place)
    begins = {offset - 512 for offset, _ in hopped(place)[2].values()}
    assert set(ahead) <= begins
    assert len(ahead) > 12
    assert {wnid for walk in ahead.values() for wnid in walk.tars} == set(WNIDS)


def test_few_classes_are_found_by_one_scan(server: Web, client: BlockingClient) -> None:
    place = HttpFile(server.put("/t.tar", outer(0)), HTTP, client.get)
    server.asked.clear()
    assert set(hopped(place, WNIDS[:5])[2]) == set(WNIDS[:5])
    assert len(server.asked) <= 5


def test_damaged_outer_header_is_one_line(server: Web, client: BlockingClient) -> None:
    data = bytearray(outer(0))
    at = data.index(b"n00000140.tar")
    data[at : at + 512] = bytes(range(256)) * 2
    place = HttpFile(server.put("/t.tar", bytes(data)), HTTP, client.get)
    with pytest.raises(SourceError, match=f"has no tar header at byte {at:,}"):
        hopped(place)


def test_single_class_in_a_large_tar_is_found(server: Web, client: BlockingClient) -> None:
    """There is no next class to be found."""
    files = [(f"n00000100_{n}.JPEG", bytes([n]) * 3000) for n in range(200)]
    place = HttpFile(server.put("/t.tar", train({"n00000100": files})), HTTP, client.get)
    assert list(hopped(place)[2]) == ["n00000100"]


def test_failing_parallel_scans_fall_back_to_one_scan(server: Web, client: BlockingClient) -> None:
    data = outer(0)

    def page(asked: Asked, _: dict[str, str]) -> Answer:
        large = (asked.last or 0) - (asked.first or 0) > 1023
        return Answer(503) if large else ranged(data, asked)

    place = HttpFile(server.put("/t.tar", page), HTTP, client.get)
    assert set(hopped(place)[2]) == set(WNIDS)


def test_saved_index_that_leads_to_no_header_is_discarded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "t.tar").write_bytes(outer(0))
    place = LocalFile(tmp_path / "t.tar")
    index = ClassIndex(place.version, next=1024, tars={WNIDS[0]: (7 * 512, map_from_head(10**6, b""))})
    kept: list[int] = []
    find_class_tars(index, place, WNIDS, lambda: kept.append(len(index.tars)))
    offsets = {wnid: offset for wnid, (offset, _) in index.tars.items()}
    assert offsets == {wnid: offset for wnid, (offset, _) in hopped(place)[2].items()}
    assert 0 in kept, "nothing of it is left on disk, whatever comes next"
    assert "indexing it again" in caplog.text


def test_class_whose_tar_is_none_is_skipped_with_a_warning_in_each_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = outer(0)
    at = data.index(b"n00000140.tar") + 512
    (tmp_path / "t.tar").write_bytes(data[:at] + b"?" * 512 + data[at + 512 :])
    file = LocalFile(tmp_path / "t.tar")
    index = ClassIndex(file.version)
    for _ in range(2):
        caplog.clear()
        find_class_tars(index, file, WNIDS, lambda: None)
        assert set(index.tars) == set(WNIDS) - {"n00000140"}
        assert "n00000140.tar is no tar; the class is skipped" in caplog.text
