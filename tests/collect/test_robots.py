from __future__ import annotations

import pytest

from imagenet_nk.collect.robots import Robots, opted_out
from imagenet_nk.config import HttpConfig
from imagenet_nk.wire import Request, Response

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
def test_an_opt_out_is_seen_in_all_its_forms(value: str) -> None:
    assert opted_out({"x-robots-tag": value}, DIRECTIVES)


@pytest.mark.parametrize(
    "value", ["", "all", "nofollow", "noarchive", "googlebot: noindex", "noindexing", "unavailable_after: 25 Jun 2010"]
)
def test_what_is_no_opt_out_for_us_is_none(value: str) -> None:
    assert not opted_out({"x-robots-tag": value}, DIRECTIVES)


def test_no_header_is_no_opt_out_and_no_directive_respects_none() -> None:
    assert not opted_out({}, DIRECTIVES)
    assert not opted_out({"x-robots-tag": "noai"}, [])


RULES = b"User-agent: imagenet-nk\nDisallow: /private/\n\nUser-agent: *\nDisallow: /\n"


def test_the_rules_of_a_host_are_asked_for_once() -> None:
    robots = Robots(HttpConfig())
    first = robots.ask("http://a.test:8080/x.jpg?q=1", "one")
    assert isinstance(first, Request)
    assert first.url == "http://a.test:8080/robots.txt"
    assert robots.ask("http://a.test:8080/private/y.jpg", "two") is None
    assert isinstance(robots.ask("http://b.test/x.jpg", "three"), Request)
    assert robots.learn("a.test:8080", Response(200, RULES)) == ["one", "two"]
    assert robots.ask("http://a.test:8080/x.jpg", "one") is True
    assert robots.ask("http://a.test:8080/private/y.jpg", "two") is False
    assert robots.learn("a.test:8080", Response(200, RULES)) == []


@pytest.mark.parametrize(
    "response",
    [
        Response(404, b"User-agent: *\nDisallow: /"),
        Response(0, fault="timeout"),
        Response(200, b"", fault="too_many_bytes"),
        Response(200, b"\xff\xfe\0<html>nonsense: \0\n:::\nDisallow"),
    ],
)
def test_no_rules_allow_everything(response: Response) -> None:
    robots = Robots(HttpConfig())
    robots.ask("http://a.test/x.jpg", "one")
    assert robots.learn("a.test:80", response) == ["one"]
    assert robots.ask("http://a.test/x.jpg", "one") is True


def test_a_server_that_fails_to_give_its_rules_allows_nothing() -> None:
    robots = Robots(HttpConfig())
    robots.ask("http://a.test/x.jpg", "one")
    assert robots.learn("a.test:80", Response(503, b"busy")) == ["one"]
    assert robots.ask("http://a.test/x.jpg", "one") is False
