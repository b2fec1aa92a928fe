"""Numbers of servers, archives, manifests and lists: each field takes any text, and means ASCII digits alone."""

from __future__ import annotations

import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import ListError, SourceError
from imagenet_nk.formats import numbers, tar_headers
from imagenet_nk.formats.numbers import MAX, parse_byte_range, parse_content_range, parse_number, parse_row
from imagenet_nk.lists import list_file
from imagenet_nk.net.http import Request, Response
from imagenet_nk.net.retry_policy import retry_after_seconds
from imagenet_nk.net.robots import Robots, next_redirect
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.archive.ranged_file import HttpFile
from imagenet_nk.sources.hub.files import LocalFiles
from imagenet_nk.sources.hub.files import read_range as hub_range
from imagenet_nk.sources.hub.labels import Labels
from imagenet_nk.sources.hub.places import HubPlaces
from imagenet_nk.sources.local.tars import entries, read_range
from imagenet_nk.sources.manifest.source import unfetchable_reason
from sources.tars import tar

ODD = ["²", "٣", "9" * 5000, "-1", "+1", "1_0", " 1", "1 ", "1\n", "", str(2**63), str(2**70), "0x1", "1e3", "١٢"]
texts = st.one_of(st.sampled_from(ODD), st.integers().map(str), st.integers(0, 2**70).map(str), st.text(max_size=20))


@given(st.integers(-(2**80), 2**80))
def test_a_number_is_taken_within_its_range(number: int) -> None:
    assert parse_number(str(number)) == (number if 0 <= number <= MAX else None)
    assert parse_number(str(number), least=5, most=9) == (number if 5 <= number <= 9 else None)


@pytest.mark.parametrize("text", ODD)
def test_other_texts_are_no_numbers(text: str) -> None:
    assert parse_number(text) is None
    assert parse_byte_range(f"/a.tar#bytes={text}-5") is None
    assert parse_byte_range(f"/a.tar#bytes=0-{text}") is None
    assert parse_row(f"/a.parquet#row={text}") is None
    assert parse_content_range(f"bytes 0-{text}/7") is None
    assert parse_content_range(f"bytes 0-0/{text}") is None


def test_ranges_that_end_before_they_begin_are_malformed() -> None:
    assert parse_byte_range("/a.tar#bytes=5-5") == numbers.ByteRange("/a.tar", 5, 5)
    assert parse_byte_range("/a.tar#bytes=5-4") is None
    assert parse_content_range("bytes 5-6/7") == (5, 6, 7)
    assert parse_content_range("bytes 6-5/7") is None
    assert parse_content_range("bytes 5-7/7") is None


@given(texts)
def test_retry_after_takes_any_text(text: str) -> None:
    assert 0 <= retry_after_seconds(Response(429, headers={"retry-after": text})) < 1e12


@pytest.mark.parametrize("zone", ["+" + "9" * 30, "-9999", "+" + "9" * 5000, "²"])
@pytest.mark.parametrize("year", ["99999", "10000", "9999", "1", "²"])
def test_retry_after_takes_dates_that_no_calendar_has(year: str, zone: str) -> None:
    value = f"Fri, 31 Dec {year} 23:59:59 {zone}"
    assert retry_after_seconds(Response(503, headers={"retry-after": value})) >= 0


@given(texts, texts, texts)
def test_content_range_takes_any_text(first: str, last: str, total: str) -> None:
    headers = {"content-range": f"bytes {first}-{last}/{total}"}
    with suppress(SourceError):
        HttpFile("http://a/b", HttpConfig(), lambda request: Response(206, b"x", headers=headers), version=f"{total} e")
        HttpFile("http://a/b", HttpConfig(), lambda request: Response(206, b"x", headers=headers)).read(0, 0)


@given(st.one_of(texts, st.sampled_from(["//[", "http://[", "//a%5B/", "//a:²/", "//a:99999/", "http://[::1%5D"])))
def test_location_takes_any_text(text: str) -> None:
    location = text.encode("utf-8", "surrogatepass").decode("latin-1")
    found = next_redirect(Request("http://a/b"), Response(302, headers={"location": location}), 3)
    assert isinstance(found, Request | Response)


@given(st.lists(st.tuples(st.sampled_from(["Crawl-delay", "Request-rate", "Visit-time", "Disallow"]), texts)))
def test_robots_txt_takes_any_text(lines: list[tuple[str, str]]) -> None:
    text = "User-agent: *\n" + "".join(f"{name}: {value}\n" for name, value in lines)
    robots = Robots(HttpConfig())
    robots.check("http://a/b", "reading")
    robots.load("http://a/robots.txt", Response(200, text.encode("utf-8", "replace")))
    assert isinstance(robots.check("http://a/c", "reading"), bool)


@settings(max_examples=50)
@given(first=texts, last=texts)
def test_places_in_files_take_any_text(first: str, last: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "ten.tar"
    file.write_bytes(b"0123456789")
    for address in (f"{file}#bytes={first}-{last}", f"http://a/b.tar#bytes={first}-{last}", f"/a.parquet#row={first}"):
        is_valid = parse_byte_range(address) or parse_row(address)
        assert bool(is_valid) or isinstance(unfetchable_reason(address), Rejected)
        HubPlaces.can_read(address)
    with suppress(OSError):
        assert len(read_range(f"{file}#bytes={first}-{last}")) == int(last) - int(first) + 1
    with suppress(OSError):
        assert len(hub_range(LocalFiles(file), file.name, f"bytes={first}-{last}")) == int(last) - int(first) + 1


@given(text=texts.filter(lambda text: text and not any(c.isspace() for c in text)))
def test_labels_take_any_text(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "list.txt"
    path.write_text(f"a.jpg {text}\n", encoding="utf-8", errors="replace")
    if (number := parse_number(text, most=10**list_file.MAX_DIGITS - 1)) is not None:
        assert list_file.read_list(path) == [list_file.Entry("a.jpg", number)]
    else:
        with pytest.raises(ListError):
            list_file.read_list(path)
    with suppress(SourceError):
        assert Labels(["n01440764"], {}).wnid(text, None, "here") in ("n01440764", None, text)


@pytest.mark.parametrize("size", [2**70, 2**63, 10**18, -1])
def test_sizes_of_members_beyond_18_digits_make_no_header(size: int, tmp_path: Path) -> None:
    block = bytearray(tar([("a.jpg", b"x" * 600)])[:512])
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    info = tarfile.TarInfo.frombuf(bytes(_with_checksum(block)), "utf-8", "surrogateescape")
    assert info.size == size
    assert tar_headers.parse(bytes(block)) is None
    for kind in (b"0", b"L", b"x", b"S"):
        block[156:157] = kind
        path = tmp_path / "a.tar"
        path.write_bytes(bytes(_with_checksum(block)) + bytes(1024))
        problems: list[str] = []
        with suppress(SourceError):
            assert not [entry for entry in entries(path, on_damage=problems.append) if entry.size != 0]


def _with_checksum(block: bytearray) -> bytearray:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return block
