from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig, Part
from imagenet_nk.errors import SourceError
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources import official
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.official import OfficialFile, fetch
from sources.contract import images
from sources.small_tars import tar_bytes
from sources.web import Answer, Asked, Web, ranged, web

TENCH, GOLDFISH = "n01440764", "n01443537"
TAR = tar_bytes({f"{wnid}.tar": tar_bytes({f"{wnid}_1.JPEG": wnid.encode()}) for wnid in (TENCH, GOLDFISH)})
HTTP = HttpConfig(allow_private=True)


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as server:
        yield server


def at(site: Web, data: bytes = TAR, name: str = "ILSVRC2012_img_train.tar") -> OfficialFile:
    """An official file on the loopback web."""
    return OfficialFile(site.put(f"/{name}", data), len(data), hashlib.md5(data).hexdigest())  # noqa: S324


def opened(root: Path, files: Sequence[OfficialFile], *, download: bool = True) -> Full:
    source = Full(str(root), download=download, official={Part.train: files, Part.val: files})
    source.open([TENCH, GOLDFISH], SourceContext(root / "index", HTTP, RandomOrder(0)))
    return source


def test_official_tar_is_downloaded_verified_and_read_in_place(tmp_path: Path, site: Web) -> None:
    source = opened(tmp_path / "new", [at(site)])
    assert [found.data for found in images(source, TENCH)] == [TENCH.encode()]
    assert [file.name for file in (tmp_path / "new").glob("*") if file.suffix == ".tar"] == ["ILSVRC2012_img_train.tar"]
    asked = len(site.asked)
    opened(tmp_path / "new", [at(site)])
    assert len(site.asked) == asked, "what is there is not asked for again"


def test_existing_images_are_not_downloaded(tmp_path: Path, site: Web) -> None:
    (tmp_path / "train" / TENCH).mkdir(parents=True)
    opened(tmp_path, [at(site)])
    assert site.asked == []


def test_plan_names_the_download(tmp_path: Path, site: Web) -> None:
    file = at(site)
    wanted = {Part.train: [file], Part.val: [file]}
    source = Full(str(tmp_path / "new"), download=True, official=wanted)
    assert list(source.traits.downloads()) == [(file.name, file.size)]
    assert not Full(str(tmp_path / "new"), official=wanted).traits.downloads()
    fetch(file, tmp_path / "new", HTTP)
    assert not source.traits.downloads()


def test_without_download_nothing_is_fetched(tmp_path: Path, site: Web) -> None:
    with pytest.raises(SourceError, match="has no known layout of ImageNet"):
        opened(tmp_path, [at(site)], download=False)
    assert site.asked == []


def test_broken_download_is_resumed(tmp_path: Path, site: Web) -> None:
    large = os.urandom(5_000_000)
    file = at(site, large)

    def breaks_off(asked: Asked, _: dict[str, str]) -> Answer:
        answer = ranged(large, asked)
        answer.length, answer.body = len(answer.body), answer.body[:2_000_000]
        return answer

    site.pages["/ILSVRC2012_img_train.tar"] = breaks_off
    assert fetch(file, tmp_path, HTTP).read_bytes() == large
    firsts = [asked.first or 0 for asked in site.asked if asked.method == "GET"]
    assert len(firsts) > 2
    assert firsts == sorted(set(firsts)), "each time further on"


def test_killed_download_is_resumed_and_logged(tmp_path: Path, site: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    large = os.urandom(900_000)
    file = at(site, large)
    part = tmp_path / "ILSVRC2012_img_train.tar.unchecked.part"
    part.write_bytes(large[:300_000])
    part.with_name(f"{part.name}.http.json").write_text('{"etag": "\\"one\\"", "modified": "", "length": 900000}')
    assert fetch(file, tmp_path, HTTP).read_bytes() == large
    assert [asked.first for asked in site.asked] == [300_000]
    assert caplog.messages == [f"fetching {file.url} to {tmp_path} goes on behind 0.3 MB of 0.9 MB"]
    assert [one.name for one in tmp_path.iterdir()] == ["ILSVRC2012_img_train.tar"]


def test_wrong_md5_removes_the_file(tmp_path: Path, site: Web) -> None:
    file = at(site)
    site.put("/ILSVRC2012_img_train.tar", TAR[:-1] + b"x")
    with pytest.raises(SourceError, match=r"is not what it should be \(MD5 .*, wanted .*\); it was removed: run again"):
        fetch(file, tmp_path, HTTP)
    assert list(tmp_path.glob("*.tar")) == list(tmp_path.glob("*.unchecked")) == []
    at(site)
    assert fetch(file, tmp_path, HTTP).read_bytes() == TAR


def test_download_killed_before_verification_is_verified(tmp_path: Path, site: Web) -> None:
    (tmp_path / "ILSVRC2012_img_train.tar.unchecked").write_bytes(b"half a tar")
    with pytest.raises(SourceError, match="is not what it should be"):
        fetch(at(site), tmp_path, HTTP)


def test_login_page_is_one_line(tmp_path: Path, site: Web) -> None:
    file = at(site)
    site.put("/ILSVRC2012_img_train.tar", b"<html>sign in</html>")
    with pytest.raises(SourceError, match="is a login needed"):
        fetch(file, tmp_path, HTTP)


def test_missing_remote_file_is_one_line(tmp_path: Path, site: Web) -> None:
    file = at(site)
    site.pages.clear()
    with pytest.raises(SourceError, match=r"ILSVRC2012_img_train\.tar: answers 404"):
        fetch(file, tmp_path, HTTP)


def test_insufficient_disk_space_is_refused_before_download(tmp_path: Path, site: Web) -> None:
    file = at(site)
    huge = OfficialFile(file.url, 10**18, file.md5)
    with pytest.raises(SourceError, match=r"needs 1,000,000,000\.0 GB more in .*, which has .* GB; choose another"):
        fetch(huge, tmp_path, HTTP)
    assert site.asked == []


def test_uncreatable_folder_is_one_line(tmp_path: Path, site: Web) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceError, match=r"file/imagenet cannot be written \(Not a directory\)"):
        fetch(at(site), tmp_path / "file" / "imagenet", HTTP)


def test_official_files_are_those_of_ilsvrc2012() -> None:
    assert official.TRAIN.url == "https://image-net.org/data/ILSVRC/2012/ILSVRC2012_img_train.tar"
    assert (official.TRAIN.size, official.TRAIN.md5) == (147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e")
    assert (official.VAL.size, official.VAL.md5) == (6_744_924_160, "29b22e2961454d5413ddabcf34fc5622")
    assert (official.DEVKIT.size, official.DEVKIT.md5) == (2_568_634, "fa75699e90414af021442c21a62c3abf")
