from __future__ import annotations

from pathlib import Path

import pytest

from collect import pictures
from collect.fetching.test_candidate_reader import final_reasons, read
from collect.hostile import Asked, answer, hostile, redirect
from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.collect.fetching.inspector import Inspector
from imagenet_nk.config import HttpConfig, InspectConfig
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.net.congestion import CongestionWindow
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import Request, Response
from imagenet_nk.net.robots import Robots, has_opted_out, next_redirect

DIRECTIVES = HttpConfig().respect_opt_out


@pytest.mark.parametrize(
    "value",
    [
        "noai",
        "NoAI",
        "noimageai",
        "noindex, nofollow",
        "nofollow,noindex",
        "none",
        "imagenet-nk: noindex",
        "*: noai",
        "otherbot: nofollow, noimageindex",
        "googlebot: noindex, noai",  # two headers, joined by the transport
    ],
)
def test_opt_out_is_recognised_in_all_forms(value: str) -> None:
    assert has_opted_out({"x-robots-tag": value}, DIRECTIVES)


@pytest.mark.parametrize(
    "value", ["", "all", "nofollow", "noarchive", "googlebot: noindex", "noindexing", "unavailable_after: 25 Jun 2010"]
)
def test_directive_for_others_or_of_another_kind_is_no_opt_out(value: str) -> None:
    assert not has_opted_out({"x-robots-tag": value}, DIRECTIVES)


def test_without_header_or_directives_nothing_is_an_opt_out() -> None:
    assert not has_opted_out({}, DIRECTIVES)
    assert not has_opted_out({"x-robots-tag": "noai"}, [])


RULES = b"User-agent: imagenet-nk\nDisallow: /private/\n\nUser-agent: *\nDisallow: /\n"


def test_rules_of_a_host_are_requested_once() -> None:
    robots = Robots(HttpConfig())
    first = robots.check("http://a.test:8080/x.jpg?q=1", "one")
    assert isinstance(first, Request)
    assert first.url == "http://a.test:8080/robots.txt"
    assert robots.check("http://a.test:8080/private/y.jpg", "two") is None
    assert isinstance(robots.check("http://b.test/x.jpg", "three"), Request)
    assert robots.load("http://a.test:8080/robots.txt", Response(200, RULES)) == ["one", "two"]
    assert robots.check("http://a.test:8080/x.jpg", "one") is True
    assert robots.check("http://a.test:8080/private/y.jpg", "two") is False
    assert robots.load("http://a.test:8080/robots.txt", Response(200, RULES)) == []


@pytest.mark.parametrize(
    "response",
    [
        Response(404, b"User-agent: *\nDisallow: /"),
        Response(0, fault="timeout"),
        Response(200, b"", fault="too_many_bytes"),
        Response(200, b"\xff\xfe\0<html>nonsense: \0\n:::\nDisallow"),
    ],
)
def test_missing_or_malformed_rules_allow_everything(response: Response) -> None:
    robots = Robots(HttpConfig())
    robots.check("http://a.test/x.jpg", "one")
    assert robots.load("http://a.test/robots.txt", response) == ["one"]
    assert robots.check("http://a.test/x.jpg", "one") is True


def test_server_error_for_robots_txt_allows_nothing() -> None:
    robots = Robots(HttpConfig())
    robots.check("http://a.test/x.jpg", "one")
    assert robots.load("http://a.test/robots.txt", Response(503, b"busy")) == ["one"]
    assert robots.check("http://a.test/x.jpg", "one") is False


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/y.jpg", "http://a.test/y.jpg"),
        ("//b.test/y z.jpg", "http://b.test/y%20z.jpg"),
        ("https://b.test/%C3%A9", "https://b.test/%C3%A9"),
        ("caf\xc3\xa9", "http://a.test/d/caf%C3%A9"),
        ("y\nz", "http://a.test/d/y%0Az"),
    ],
)
def test_redirect_target_is_resolved_and_escaped(location: str, target: str) -> None:
    request, answer = Request("http://a.test/d/x.jpg"), Response(302, headers={"location": location})
    assert next_redirect(request, answer, 5) == Request(target, origin=request.url)


@pytest.mark.parametrize(
    ("location", "fault"),
    [("http://[b", "forbidden"), ("ftp://b.test/", "forbidden"), ("http://u:p@b.test/", "forbidden")],
)
def test_redirect_to_a_blocked_url_is_forbidden(location: str, fault: str) -> None:
    answer = next_redirect(Request("http://a.test/"), Response(302, headers={"location": location}), 5)
    assert isinstance(answer, Response)
    assert answer.fault == fault


def test_response_without_redirect_is_returned_unchanged() -> None:
    for response in (Response(302), Response(200, headers={"location": "/y"}), Response(0, fault="timeout")):
        assert next_redirect(Request("http://a.test/"), response, 5) is response


def test_each_hop_of_a_redirect_obeys_the_rules_of_its_host(tmp_path: Path) -> None:
    with hostile("0.0.0.0") as server:
        forbids = answer(b"User-agent: *\nDisallow: /private")
        server.put("/robots.txt", lambda asked: (asked.send(forbids if _at(asked, "127.0.4.2") else NONE), None)[1])
        target, open_target = server.url("/private/x.jpg", "127.0.4.2"), server.url("/private/x.jpg", "127.0.4.3")
        server.put("/private/x.jpg", answer(pictures.jpeg("x")))
        server.put("/far", redirect(server.url("/near", "127.0.4.2")))
        server.put("/near", redirect(target))
        server.put("/round", redirect("/round"))
        server.put("/out", redirect("ftp://127.0.4.3/x.jpg"))
        urls = [server.url("/far"), open_target, server.url("/round"), server.url("/out"), server.url("/x.jpg")]
        server.put("/x.jpg", redirect(open_target))
        http = HttpConfig(robots_txt=True, allow_private=True)
        parts = HostTable(http), CongestionWindow(http), Inspector(InspectConfig()), ImageStore(tmp_path)
        one = Reader(CurlTransport(http), *parts, threads=1)
        reasons = final_reasons(read(one, *urls))
        one.close()
        assert list(reasons.values()) == ["robots", "", "redirects", "forbidden", ""]
        assert not any(asked.path == "/private/x.jpg" and _at(asked, "127.0.4.2") for asked in server.asked)
        assert sum(asked.path == "/robots.txt" for asked in server.asked) == 3  # hosts


def test_redirect_to_another_port_is_forbidden(tmp_path: Path) -> None:
    with hostile("0.0.0.0") as server, hostile("0.0.0.0") as other:
        other.put("/x.jpg", answer(pictures.jpeg("x")))
        url = server.put("/x.jpg", redirect(other.url("/x.jpg")))
        http = HttpConfig(robots_txt=True, allow_private=True)
        parts = HostTable(http), CongestionWindow(http), Inspector(InspectConfig()), ImageStore(tmp_path)
        one = Reader(CurlTransport(http), *parts, threads=1)
        assert final_reasons(read(one, url)) == {0: "forbidden"}
        one.close()


NONE = answer(b"", "404 Not Found")


def _at(asked: Asked, host: str) -> bool:
    return str(asked.header("host")).startswith(host)
