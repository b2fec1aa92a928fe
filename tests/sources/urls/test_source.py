from __future__ import annotations

import gzip
import io
import itertools
import lzma
import random
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.urls.source import Urls
from sources.contract import Listed, SourceContract, drive, images, opened
from sources.small_tars import tar_bytes
from sources.web import Answer, Web, web

A, B = "n01440764", "n01443537"
JPEG = b"\xff\xd8\xff\xe0 not decoded here "


@pytest.fixture
def site_web() -> Iterator[Web]:
    with web() as site:
        yield site


@pytest.fixture
def lines(site_web: Web) -> list[str]:
    """Two classes of twelve addresses, two of them dead."""
    made = []
    for wnid in (A, B):
        for n in range(12):
            url = f"{site_web.base}/{wnid}/{n}.jpg"
            if n >= 2:
                site_web.put(f"/{wnid}/{n}.jpg", JPEG + f"{wnid}/{n}".encode())
            made.append(f"{wnid}_{n * 7}\t{url}\n")
    return made


def tgz(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (("._fall11_urls.txt", b"\0\5\26\7"), ("fall11_urls.txt", data)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parquet(data: bytes) -> bytes:
    import pyarrow
    import pyarrow.parquet

    rows = [line.split("\t") for line in data.decode().splitlines()]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"id": [r[0] for r in rows], "url": [r[1] for r in rows]}), buffer)
    return buffer.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "list.txt": bytes,
    "list.gz": gzip.compress,
    "list.tgz": tgz,
    "list.parquet": parquet,
}


class TestUrls(SourceContract):
    @pytest.fixture(params=[*PACKED, "http"])
    def location(self, request, tmp_path: Path, lines: list[str], site_web: Web) -> Callable[[bool], str]:
        def write(shuffled: bool) -> str:
            these = random.Random(3).sample(lines, len(lines)) if shuffled else lines
            data = "".join(these).encode()
            if request.param == "http":
                return site_web.put(f"/{shuffled}/list.tgz", tgz(data))
            path = tmp_path / f"{shuffled}-{request.param}"
            path.write_bytes(PACKED[request.param](data))
            return str(path)

        return write

    @pytest.fixture
    def make(self, location):
        plain = location(False)
        return lambda: Urls(plain)

    @pytest.fixture
    def make_shuffled(self, location):
        shuffled = location(True)
        return lambda: Urls(shuffled)

    @pytest.fixture
    def wnids(self):
        return [A, B]


def here(tmp_path: Path, **http: object) -> SourceContext:
    return SourceContext(tmp_path / "index", HttpConfig(allow_private=True, **http), RandomOrder(0))  # type: ignore[arg-type]


def write(tmp_path: Path, data: bytes, name: str = "list.txt") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


ONE = f"{A}_1\thttp://a.example/1.jpg\n".encode()
REFUSED = {
    "empty": (b"", "empty"),
    "blank": (b"\n\n  \n", "empty"),
    "no wanted class": (b"n99999999_1\thttp://a.example/1.jpg\n", "no usable line .* of a wanted class"),
    "no list at all": (b"to whom it may concern\n" * 99, r"it begins with 'to whom it may concern'"),
    "commas": (
        f"{A}_1,http://a.example/1.jpg\n".encode(),
        r"n01440764\): lines 1, no_tab 1; it begins with 'n01440764_1,http",
    ),
    "zip": (b"PK\3\4" + bytes(range(256)) * 4, "is a zip archive: no list .*; unpack it first"),
    "xz": (lzma.compress(ONE), "is packed with xz: no list .*; unpack it first"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG picture: no list"),
    "gzip'ed picture": (gzip.compress(b"\xff\xd8\xff\xe0" + bytes(99)), "is a JPEG picture: no list"),
    "tar of pictures": (
        tar_bytes({f"{A}_1.JPEG": b"\xff\xd8\xff\xe0" + bytes(99)}),
        "n01440764_1.JPEG is a JPEG picture",
    ),
    "tar of tars": (tar_bytes({f"{A}.tar": tar_bytes({"a.jpg": b"x"})}), r"a tar, and its file n01440764.tar is a tar"),
    "data": ((bytes(range(256)) + bytes(99)) * 40, "is no text: no list"),
    "a page": (b"<html>sign in</html>" * 99, "a web page, not a list"),
    "UTF-16 with a mark": (ONE.decode().encode("utf-16"), "UTF-16"),
    "UTF-16 without": (ONE.decode().encode("utf-16-le") * 9, "UTF-16"),
    "empty gz": (gzip.compress(b""), "empty"),
    "gz cut short": (gzip.compress(random.Random(0).randbytes(5000).hex().encode())[:-2000], "cut short or damaged"),
    "gz damaged": (gzip.compress(b"x" * 9)[:12] + b"\xff" * 30, "cut short or damaged"),
    "tgz cut inside": (gzip.compress(gzip.decompress(tgz(ONE * 900))[:9000]), "cut short"),
    "tgz without a file": (gzip.compress(gzip.decompress(tgz(b""))[:1024] + bytes(1024)), "without a list"),
    "parquet cut short": (parquet(ONE)[:-3], "no sound parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_list_of_no_use_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    data, reason = REFUSED[case]
    with pytest.raises(SourceError, match=reason) as error:
        Urls(write(tmp_path, data)).open([A], here(tmp_path))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("index/*.part"))


@pytest.mark.parametrize("pack", [gzip.compress, tgz])
@pytest.mark.parametrize("behind", [b"<!-- served in 3 ms -->", bytes(700) + b"\x1f", bytes(3 << 20) + b"x"])
def test_garbage_behind_the_end_of_a_gzip_file_is_left_out_and_called_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pack: Callable[[bytes], bytes], behind: bytes
) -> None:
    source = Urls(write(tmp_path, pack(ONE) + behind, "list.gz"))
    source.open([A], here(tmp_path))
    assert len(list(source.candidates(A))) == 1
    source.close()
    said = {record.getMessage() for record in caplog.records if "no gzip" in record.getMessage()}
    assert len(said) == 1
    assert f"the last {len(behind.lstrip(bytes(1)))} bytes" in said.pop()


@pytest.mark.parametrize("padding", [1, 700, 3 << 20])
def test_zeros_behind_and_several_members_are_gzip(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, padding: int
) -> None:
    other = ONE.replace(b"_1", b"_2").replace(b"1.jpg", b"2.jpg")
    data = gzip.compress(ONE) + bytes(padding) + gzip.compress(other) + bytes(padding)
    source = Urls(write(tmp_path, data, "list.gz"))
    source.open([A], here(tmp_path))
    assert len(list(source.candidates(A))) == 2
    source.close()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_parquet_without_the_columns_is_refused_by_name(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"key": ["x"], "link": ["y"]}), tmp_path / "list.parquet")
    with pytest.raises(SourceError, match=r"no columns id and url \(it has key, link\)"):
        Urls(str(tmp_path / "list.parquet")).open([A], here(tmp_path))


def test_a_missing_list_is_one_line_and_the_next_location_is_tried(tmp_path: Path, site_web: Web) -> None:
    gone = site_web.base + "/gone.tgz"
    with pytest.raises(SourceError, match=r"gone\.tgz: answers 404"):
        Urls(gone).open([A], here(tmp_path))
    with pytest.raises(SourceError, match=r"there is no list nowhere\.txt"):
        Urls(["nowhere.txt"]).open([A], here(tmp_path))
    with opened(Urls([gone, "nowhere.txt", write(tmp_path, ONE)]), [A], here(tmp_path)) as source:
        assert [c.key for c in source.candidates(A)] == [f"{A}_1"]


def test_a_class_without_a_line_is_no_error(tmp_path: Path) -> None:
    with opened(Urls(write(tmp_path, ONE)), [A, "n04399382"], here(tmp_path)) as source:
        assert list(source.candidates("n04399382")) == []


def test_broken_lines_are_counted_by_kind_and_the_rest_is_used(tmp_path: Path, caplog) -> None:
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
    with caplog.at_level("INFO"), opened(Urls(write(tmp_path, data)), [A], here(tmp_path)) as source:
        urls = {c.key: c.url for c in source.candidates(A)}
    assert urls == {
        f"{A}_1": "http://a.example/1.jpg",
        f"{A}_2": "http://a.example/caf%E9%201.jpg",
        f"{A}_..=2F..=2F9": "http://a.example/9.jpg",
        f"{A}_10": "http://a.example/10.jpg%09more",
    }
    for count in ("no_tab 1", "no_address 1", "nul 1", "too_long 1", "bad_id 4"):
        assert count in caplog.text


def test_the_same_address_counts_once_in_a_class_and_in_none_of_two(tmp_path: Path) -> None:
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
        with opened(Urls(write(tmp_path, data, f"{seed}.txt")), [A, B], here(tmp_path)) as source:
            assert {c.key: c.url for c in source.candidates(A)} == {f"{A}_1": "http://A.Example:80/same.jpg#top"}
            assert {c.key: c.url for c in source.candidates(B)} == {
                f"{B}_5": "http://a.example/Same.jpg",
                f"{B}_6": "http://a.example/one/id.jpg",
            }


def test_the_kept_index_serves_the_next_run_and_a_broken_one_is_made_again(tmp_path: Path, caplog) -> None:
    path = write(tmp_path, ONE)
    caplog.set_level("INFO")
    for expected in (1, 1):
        with opened(Urls(path), [A], here(tmp_path)) as source:
            assert len(list(source.candidates(A))) == 1
        assert caplog.text.count("read ") == expected
    (index,) = tmp_path.glob("index/urls-*.index")
    index.write_bytes(index.read_bytes()[:100])
    with opened(Urls(path), [A], here(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 1
    write(tmp_path, ONE + f"{A}_2\thttp://a.example/2.jpg\n".encode())
    with opened(Urls(path), [A], here(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 2


def test_identity_does_not_depend_on_the_classes_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, ONE + f"{B}_2\thttp://a.example/2.jpg\n".encode())
    identities = set()
    for wnids in ([A], [B], [A, B]):
        with opened(Urls(path), wnids, here(tmp_path)) as source:
            identities.add(source.identity)
    other = write(tmp_path, ONE.replace(b"1.jpg", b"2.jpg"), "other.txt")
    with opened(Urls(other), [A], here(tmp_path)) as source:
        identities.add(source.identity)
    assert len(identities) == 2


@pytest.mark.parametrize("shuffled", [False, True])
def test_what_a_class_has_does_not_depend_on_the_classes_asked_for(tmp_path: Path, shuffled: bool) -> None:
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
            with opened(Urls(path), asked, here(tmp_path)) as source:
                for wnid in asked:
                    assert {candidate.key for candidate in source.candidates(wnid)} == wanted[wnid]


def test_another_choice_of_the_1000_classes_needs_no_other_index(tmp_path: Path) -> None:
    path = write(tmp_path, ONE + f"{B}_2\thttp://a.example/2.jpg\n".encode())
    for wnids in ([A], [B], [A, B]):
        with opened(Urls(path), wnids, here(tmp_path)):
            pass
    assert len(list((tmp_path / "index").glob("*.index"))) == 1


def test_a_listed_image_that_the_list_of_addresses_lacks_is_missing(tmp_path: Path) -> None:
    site = here(tmp_path)
    sampling = Listed({A: [f"{A}_9", f"{A}_1"]})
    with opened(Urls(write(tmp_path, ONE)), [A], SourceContext(site.index, site.http, sampling)) as source:
        gone, there = source.candidates(A)
        assert drive(source, gone) == Rejected("missing")
        assert there.url == "http://a.example/1.jpg"


@pytest.mark.parametrize("remote", [True, False])
def test_a_web_page_is_no_list_and_the_next_location_is_tried(tmp_path: Path, site_web: Web, remote: bool) -> None:
    page = b"<!DOCTYPE html><html>Sign in</html>"
    first = site_web.put("/list.tgz", lambda *_: Answer(200, page, {"Content-Type": "text/html"}))
    first = first if remote else write(tmp_path, page, "saved.txt")
    with opened(Urls([first, write(tmp_path, ONE)]), [A], here(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 1
    with pytest.raises(SourceError, match="a web page, not") as error:
        Urls(first).open([A], here(tmp_path))
    assert "\n" not in str(error.value)


UNUSABLE = {
    "damaged": (gzip.compress(ONE * 9)[:-9], "is cut short or damaged"),
    "UTF-16": (ONE.decode().encode("utf-16"), "is UTF-16"),
    "of other classes": (b"n99999999_1\thttp://a.example/1.jpg\n", "no usable line .* of a wanted class"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG picture"),
    "nothing": (b"", "is empty"),
    "not there": (None, "there is no list"),
    "a folder": ("folder", "is a folder, not a list"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_location_of_no_use_is_said_and_the_next_is_tried(tmp_path: Path, case: str, caplog) -> None:
    data, said = UNUSABLE[case]
    first = str(tmp_path / "first.txt")
    if data == "folder":
        (tmp_path / "first.txt").mkdir()
    elif data is not None:
        write(tmp_path, data, "first.txt")
    second = write(tmp_path, ONE, "second.txt")
    with opened(Urls([first, second]), [A], here(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 1
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert re.search(said, line)
    assert line.endswith(f"; trying {second}")
    assert "\n" not in line
    with pytest.raises(SourceError) as error:
        Urls([first, str(tmp_path / "third.txt")]).open([A], here(tmp_path))
    assert re.search(said, str(error.value))
    assert "third.txt" in str(error.value)
    assert "\n" not in str(error.value)


def test_only_where_all_are_out_of_reach_the_fallback_may_take_over(tmp_path: Path) -> None:
    gone, other = str(tmp_path / "gone.txt"), str(tmp_path / "other.txt")
    with pytest.raises(OutOfReachError):
        Urls([gone, other]).open([A], here(tmp_path))
    with pytest.raises(SourceError) as error:
        Urls([gone, write(tmp_path, b"no list")]).open([A], here(tmp_path))
    assert not isinstance(error.value, OutOfReachError)


class TestAttempts:
    """What is asked, and which answer counts, when the first address gives no image."""

    def read(self, tmp_path: Path, site_web: Web, attempts: list[str]) -> FetchedImage | Rejected:
        data = f"{A}_1\t{site_web.base}/1.jpg\n".encode()
        with opened(Urls(write(tmp_path, data)), [A], here(tmp_path, url_templates=attempts)) as source:
            (candidate,) = source.candidates(A)
            return drive(source, candidate)

    def test_the_next_template_is_asked_and_the_first_answer_gives_the_reason(self, tmp_path, site_web) -> None:
        wayback = site_web.base + "/web/2011id_/{url}"
        assert self.read(tmp_path, site_web, ["{url}", wayback]) == Rejected("http_404")
        assert [a.path for a in site_web.asked] == ["/1.jpg", f"/web/2011id_/{site_web.base}/1.jpg"]
        site_web.put(f"/web/2011id_/{site_web.base}/1.jpg", JPEG)
        found = self.read(tmp_path, site_web, ["{url}", wayback])
        assert isinstance(found, FetchedImage)
        assert (found.image_id, found.data) == (f"{A}_1", JPEG)

    def test_a_page_or_a_flickr_placeholder_leads_to_the_next_template(self, tmp_path, site_web) -> None:
        site_web.put("/copy/" + site_web.base + "/1.jpg", JPEG)
        copy = site_web.base + "/copy/{url}"
        site_web.put("/1.jpg", b"<html>gone</html>")
        assert self.read(tmp_path, site_web, ["{url}", copy]).data == JPEG
        assert self.read(tmp_path, site_web, ["{url}"]).data == b"<html>gone</html>", "for the inspection to name"
        gone = site_web.put("/photo_unavailable.png", b"\x89PNG")
        site_web.put("/1.jpg", lambda *_: Answer(302, headers={"Location": gone}))
        assert self.read(tmp_path, site_web, ["{url}", copy]).data == JPEG

    def test_https_is_not_asked_of_an_address_with_a_port(self, tmp_path, site_web) -> None:
        assert self.read(tmp_path, site_web, ["{url}", "{https}", "{flickr}"]) == Rejected("http_404")
        assert len(site_web.asked) == 1


@pytest.mark.real
def test_the_list_of_the_broken_web(shared: Path, tmp_path: Path) -> None:
    import sys

    chaos = [sys.executable, str(shared / "web" / "chaosweb.py"), "list", "--classes", "20", "--urls-per-class", "30"]
    subprocess.run([*chaos, "--out", str(tmp_path / "urls.txt")], check=True, capture_output=True)
    wnids = sorted({line.split("_")[0] for line in (tmp_path / "urls.txt").read_text().splitlines()})
    with opened(Urls(str(tmp_path / "urls.txt")), wnids, here(tmp_path)) as source:
        assert [len(list(source.candidates(wnid))) for wnid in wnids] == [30] * 20


def test_images_are_the_bytes_that_the_addresses_give(tmp_path: Path, lines: list[str]) -> None:
    with opened(Urls(write(tmp_path, "".join(lines).encode())), [A, B], here(tmp_path)) as source:
        assert len(images(source, A)) == 10
        for found in images(source, B):
            assert found.data == JPEG + f"{B}/{int(found.image_id.split('_')[1]) // 7}".encode()
