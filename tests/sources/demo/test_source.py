from __future__ import annotations

import io
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import simplejpeg
from PIL import Image

from imagenet_nk.config import HttpConfig, InspectConfig
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import Candidate, FetchedImage, Source, SourceContext
from imagenet_nk.sources.demo import server
from imagenet_nk.sources.demo.server import Fault, body, fault_of
from imagenet_nk.sources.demo.source import Demo
from sources.contract import SourceContract, drive, images, opened

WNIDS = ["n01440764", "n01443537", "n02012849"]
FAULTS = [kind for kind in Fault if kind is not Fault.good]


def first(wanted: Fault, wnid: str = WNIDS[0]) -> int:
    return next(serial for serial in range(20) if fault_of(wnid, serial) is wanted)


def candidate(wanted: Fault) -> Candidate:
    serial = first(wanted)
    return Candidate(f"{WNIDS[0]}_{serial}", WNIDS[0], f"demo://pictures/{WNIDS[0]}/{serial}.jpg")


class TestDemo(SourceContract):
    @pytest.fixture
    def make(self) -> Callable[[], Source]:
        return lambda: Demo(per_class=12)

    @pytest.fixture
    def wnids(self) -> list[str]:
        return WNIDS[:2]

    def test_unknown_class_has_no_candidates(self, make, wnids, site) -> None:
        """Anything can be drawn, so any class is known; but only those that were opened."""
        with opened(make(), wnids, site()) as source:
            assert list(source.candidates(WNIDS[2])) == []


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    source = Demo()
    with opened(source, WNIDS, SourceContext(tmp_path, HttpConfig(), RandomOrder(0))):
        yield source


@pytest.mark.parametrize("wnid", WNIDS)
def test_half_the_addresses_are_bad_and_enough_are_good(wnid: str) -> None:
    fates = Counter(fault_of(wnid, serial) for serial in range(40))
    assert fates == {Fault.good: 20} | dict.fromkeys(FAULTS, 2)
    assert sum(fault_of(wnid, serial) is Fault.good for serial in range(36)) >= 16


def test_faults_differ_between_classes() -> None:
    assert len({tuple(fault_of(wnid, serial) for serial in range(20)) for wnid in WNIDS}) == len(WNIDS)


def test_good_addresses_give_their_pictures(demo: Demo) -> None:
    good = [c for c in demo.candidates(WNIDS[0]) if fault_of(c.wnid, int(c.key.rpartition("_")[2])) is Fault.good]
    for one in good:
        found = drive(demo, one)
        assert isinstance(found, FetchedImage)
        assert (found.image_id, found.final_url) == (one.key, one.url)
        with Image.open(io.BytesIO(found.data)) as image:
            image.load()


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Fault.not_found, "http_404"),
        (Fault.gone, "http_410"),
        (Fault.refused, "refused"),
        (Fault.cut_short, "truncated"),
    ],
)
def test_dead_addresses_give_no_picture(wanted: Fault, reason: str, demo: Demo) -> None:
    result = drive(demo, candidate(wanted))
    assert isinstance(result, Rejected)
    assert result.reason == reason


def test_moved_pictures_redirect_to_the_placeholder(demo: Demo) -> None:
    found = drive(demo, candidate(Fault.moved))
    assert isinstance(found, FetchedImage)
    assert found.final_url == "demo://pictures/static/photo_unavailable.png"
    assert any(re.search(pattern, found.final_url) for pattern in InspectConfig().placeholder_urls)
    with Image.open(io.BytesIO(found.data)) as image:
        assert min(image.size) > 100


def test_other_placeholder_has_many_addresses(demo: Demo) -> None:
    keys = [(wnid, serial) for wnid in WNIDS for serial in range(36) if fault_of(wnid, serial) is Fault.placeholder]
    found = [drive(demo, Candidate(f"{wnid}_{serial}", wnid, "x")) for wnid, serial in keys]
    assert len(found) >= 3
    assert len({one.data for one in found}) == 1
    assert len({one.final_url for one in found}) == len(found)


def test_html_pages_have_an_image_content_type(demo: Demo) -> None:
    (host,) = [host for host in demo.traits.hosts_allowed() if _listens(host)]
    with requests.get(f"http://{host}/{WNIDS[0]}/{first(Fault.html)}.jpg", timeout=10) as answer:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
        assert answer.content.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("wnid", WNIDS)
def test_truncated_and_garbled_files_do_not_decode(wnid: str) -> None:
    for kind in (Fault.truncated, Fault.garbled):
        for serial in range(3):
            data = body(kind, wnid, serial)
            with Image.open(io.BytesIO(data)) as image, pytest.raises((OSError, ValueError, SyntaxError)):
                image.load()
            if data.startswith(b"\xff\xd8"):
                with pytest.raises(ValueError, match=r"."):
                    simplejpeg.decode_jpeg(data, strict=True)


def test_tiny_images_are_below_the_limit() -> None:
    with Image.open(io.BytesIO(body(Fault.tiny, WNIDS[0], 0))) as image:
        image.load()
        assert min(image.size) < InspectConfig().min_side


@pytest.mark.parametrize("key", ["n01440764_36", "n01440764_-1", "n01440764_01", "n99999999_0", "n01440764", "x"])
def test_unknown_key_is_rejected(key: str, demo: Demo) -> None:
    assert drive(demo, Candidate(key, "n01440764", "demo://pictures/x")) == Rejected("unknown")


def test_urls_are_equal_in_two_runs(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        with opened(Demo(), WNIDS, SourceContext(tmp_path, HttpConfig(), RandomOrder(0))) as source:
            seen.append([found.final_url for found in images(source, WNIDS[0], 5)])
            assert not any("127.0.0.1" in url for url in [*seen[-1], *(c.url for c in source.candidates(WNIDS[0]))])
    assert seen[0] == seen[1]


def test_many_connections_are_served_at_once(demo: Demo) -> None:
    (host,) = [host for host in demo.traits.hosts_allowed() if _listens(host)]
    urls = [f"http://{host}/{WNIDS[0]}/{first(Fault.good)}.jpg"] * 64
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda url: requests.get(url, timeout=30).content, urls))
    assert len(set(answers)) == 1


def test_close_frees_the_ports_and_ends_kept_connections(tmp_path: Path) -> None:
    source = Demo()
    assert source.traits.hosts_allowed() == frozenset()
    source.open(WNIDS, SourceContext(tmp_path, HttpConfig(), RandomOrder(0)))
    hosts = source.traits.hosts_allowed()
    assert len(hosts) == 2
    assert sum(map(_listens, hosts)) == 1
    (host,) = filter(_listens, hosts)
    with socket.create_connection(_address(host), timeout=10) as kept:
        kept.sendall(b"GET /static/photo_unavailable.png HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(1000).startswith(b"HTTP/1.1 200")
        source.close()
        while kept.recv(1 << 16):  # ends: the server has hung up
            pass
    assert not any(map(_listens, hosts))
    assert source.traits.hosts_allowed() == frozenset()
    source.close()  # twice does no harm


def test_open_logs_that_pictures_are_drawn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO),
        opened(Demo(), WNIDS, SourceContext(tmp_path, HttpConfig(), RandomOrder(0))) as source,
    ):
        assert "not ImageNet photographs" in caplog.text
        assert "not photographs" in source.terms
        assert source.identity == "demo:1:36"


def test_disconnecting_client_is_not_logged(demo: Demo, capfd: pytest.CaptureFixture[str]) -> None:
    (host,) = [host for host in demo.traits.hosts_allowed() if _listens(host)]
    for _ in range(5):
        with socket.create_connection(_address(host), timeout=10) as hasty:
            hasty.sendall(f"GET /{WNIDS[0]}/{first(Fault.good)}.jpg HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert server.placeholder("unavailable", "PNG")
    demo.close()
    assert capfd.readouterr().err == ""


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    return name, int(port)


def _listens(host: str) -> bool:
    try:
        socket.create_connection(_address(host), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
