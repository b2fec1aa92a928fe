from __future__ import annotations

import gzip
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagenet_nk.errors import SourceError
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.urls.source import Urls
from sources.contract import Listed, SourceContract, drive, images, opened
from sources.urls.lists import ONE, PACKED, A, B, context, tgz, write
from sources.web import Answer, Web, web

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


def test_missing_list_is_one_line_and_the_next_location_is_tried(tmp_path: Path, site_web: Web) -> None:
    gone = site_web.base + "/gone.tgz"
    with pytest.raises(SourceError, match=r"gone\.tgz: answers 404"):
        Urls(gone).open([A], context(tmp_path))
    with pytest.raises(SourceError, match=r"there is no list nowhere\.txt"):
        Urls(["nowhere.txt"]).open([A], context(tmp_path))
    with opened(Urls([gone, "nowhere.txt", write(tmp_path, ONE)]), [A], context(tmp_path)) as source:
        assert [c.key for c in source.candidates(A)] == [f"{A}_1"]


def test_class_without_a_line_has_no_candidates(tmp_path: Path) -> None:
    with opened(Urls(write(tmp_path, ONE)), [A, "n04399382"], context(tmp_path)) as source:
        assert list(source.candidates("n04399382")) == []


def test_image_of_sampling_list_without_a_url_is_rejected_as_missing(tmp_path: Path) -> None:
    site = context(tmp_path)
    sampling = Listed({A: [f"{A}_9", f"{A}_1"]})
    with opened(Urls(write(tmp_path, ONE)), [A], SourceContext(site.index, site.http, sampling)) as source:
        gone, there = source.candidates(A)
        assert drive(source, gone) == Rejected("missing")
        assert there.url == "http://a.example/1.jpg"


@pytest.mark.parametrize("remote", [True, False])
def test_web_page_is_refused_and_the_next_location_is_tried(tmp_path: Path, site_web: Web, remote: bool) -> None:
    page = b"<!DOCTYPE html><html>Sign in</html>"
    first = site_web.put("/list.tgz", lambda *_: Answer(200, page, {"Content-Type": "text/html"}))
    first = first if remote else write(tmp_path, page, "saved.txt")
    with opened(Urls([first, write(tmp_path, ONE)]), [A], context(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 1
    with pytest.raises(SourceError, match="a web page, not") as error:
        Urls(first).open([A], context(tmp_path))
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
def test_unusable_location_is_logged_and_the_next_is_tried(tmp_path: Path, case: str, caplog) -> None:
    data, message = UNUSABLE[case]
    first = str(tmp_path / "first.txt")
    if data == "folder":
        (tmp_path / "first.txt").mkdir()
    elif data is not None:
        write(tmp_path, data, "first.txt")
    second = write(tmp_path, ONE, "second.txt")
    with opened(Urls([first, second]), [A], context(tmp_path)) as source:
        assert len(list(source.candidates(A))) == 1
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert re.search(message, line)
    assert line.endswith(f"; trying {second}")
    assert "\n" not in line
    with pytest.raises(SourceError) as error:
        Urls([first, str(tmp_path / "third.txt")]).open([A], context(tmp_path))
    assert re.search(message, str(error.value))
    assert "third.txt" in str(error.value)
    assert "\n" not in str(error.value)


def test_out_of_reach_is_raised_only_if_all_locations_are(tmp_path: Path) -> None:
    gone, other = str(tmp_path / "gone.txt"), str(tmp_path / "other.txt")
    with pytest.raises(OutOfReachError):
        Urls([gone, other]).open([A], context(tmp_path))
    with pytest.raises(SourceError) as error:
        Urls([gone, write(tmp_path, b"no list")]).open([A], context(tmp_path))
    assert not isinstance(error.value, OutOfReachError)


class TestUrlTemplates:
    """What is asked, and which answer counts, when the first address gives no image."""

    def read(self, tmp_path: Path, site_web: Web, templates: list[str]) -> FetchedImage | Rejected:
        data = f"{A}_1\t{site_web.base}/1.jpg\n".encode()
        with opened(Urls(write(tmp_path, data)), [A], context(tmp_path, url_templates=templates)) as source:
            (candidate,) = source.candidates(A)
            return drive(source, candidate)

    def test_next_template_is_requested_and_the_first_response_gives_the_reason(self, tmp_path, site_web) -> None:
        wayback = site_web.base + "/web/2011id_/{url}"
        assert self.read(tmp_path, site_web, ["{url}", wayback]) == Rejected("http_404")
        assert [a.path for a in site_web.asked] == ["/1.jpg", f"/web/2011id_/{site_web.base}/1.jpg"]
        site_web.put(f"/web/2011id_/{site_web.base}/1.jpg", JPEG)
        found = self.read(tmp_path, site_web, ["{url}", wayback])
        assert isinstance(found, FetchedImage)
        assert (found.image_id, found.data) == (f"{A}_1", JPEG)

    def test_page_or_flickr_placeholder_leads_to_the_next_template(self, tmp_path, site_web) -> None:
        site_web.put("/copy/" + site_web.base + "/1.jpg", JPEG)
        copy = site_web.base + "/copy/{url}"
        site_web.put("/1.jpg", b"<html>gone</html>")
        assert self.read(tmp_path, site_web, ["{url}", copy]).data == JPEG
        assert self.read(tmp_path, site_web, ["{url}"]).data == b"<html>gone</html>", "for the inspection to name"
        gone = site_web.put("/photo_unavailable.png", b"\x89PNG")
        site_web.put("/1.jpg", lambda *_: Answer(302, headers={"Location": gone}))
        assert self.read(tmp_path, site_web, ["{url}", copy]).data == JPEG

    def test_https_is_not_requested_for_a_url_with_a_port(self, tmp_path, site_web) -> None:
        assert self.read(tmp_path, site_web, ["{url}", "{https}", "{flickr}"]) == Rejected("http_404")
        assert len(site_web.asked) == 1


@pytest.mark.real
def test_list_of_the_chaos_web_is_read(shared: Path, tmp_path: Path) -> None:
    import sys

    chaos = [sys.executable, str(shared / "web" / "chaosweb.py"), "list", "--classes", "20", "--urls-per-class", "30"]
    subprocess.run([*chaos, "--out", str(tmp_path / "urls.txt")], check=True, capture_output=True)
    wnids = sorted({line.split("_")[0] for line in (tmp_path / "urls.txt").read_text().splitlines()})
    with opened(Urls(str(tmp_path / "urls.txt")), wnids, context(tmp_path)) as source:
        assert [len(list(source.candidates(wnid))) for wnid in wnids] == [30] * 20


def test_images_are_the_response_bodies(tmp_path: Path, lines: list[str]) -> None:
    with opened(Urls(write(tmp_path, "".join(lines).encode())), [A, B], context(tmp_path)) as source:
        assert len(images(source, A)) == 10
        for found in images(source, B):
            assert found.data == JPEG + f"{B}/{int(found.image_id.split('_')[1]) // 7}".encode()
