"""Wishes of webmasters: the header X-Robots-Tag, and robots.txt if the user turns it on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from protego import Protego

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.net import url_guard
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import Reason

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_BYTES = 512 * 1024  # RFC 9309, 2.5, asks for at least 500 KiB


def has_opted_out(headers: Mapping[str, str], directives: Collection[str]) -> bool:
    """Whether the X-Robots-Tag of a response has one of these directives, for all programs or for this one by name."""
    if not (tag := headers.get("x-robots-tag")):
        return False
    for part in tag.lower().split(","):
        agent, colon, directive = part.rpartition(":")
        if directive.strip() in directives and (not colon or agent.strip() in ("imagenet-nk", "*")):
            return True
    return False


def next_redirect(request: Request, response: Response, redirects_left: int) -> Request | Response:
    """The next request if a response redirects, so that the robots.txt of its host is checked first; else the response.

    `redirects_left`: redirects that may still be followed.
    """
    location = response.headers.get("location", "")
    if response.fault or response.status not in _REDIRECTS or not location:
        return response
    try:
        target = urljoin(request.url, quote(location.encode("latin-1"), safe="!#$%&'()*+,/:;=?@[]~-._"))
    except ValueError:
        target = location  # malformed
    if redirects_left <= 0:
        return replace(response, fault=Reason.REDIRECTS, final_url=target)
    if refused := url_guard.url_block_reason(target):
        return replace(response, fault=Reason.FORBIDDEN, final_url=target, detail=refused)
    return replace(request, url=target, origin=request.origin or request.url, delay=0.0)


def robots_url(url: str) -> str:
    """The URL of the robots.txt that applies to a URL (RFC 9309, 2.3)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/robots.txt"


class Robots:
    """The rules of each host, fetched when the first of its URLs is to be requested."""

    def __init__(self, http: HttpConfig) -> None:
        self._agent = http.user_agent.split("/")[0]
        self._rules: dict[str, Protego] = {}
        self._waiting: dict[str, list[Any]] = {}

    def check(self, url: str, reading: Any) -> bool | Request | None:
        """Whether this URL may be requested; without rules yet, a Request for them (once), or None while they load.

        Until then the reading waits here; load() returns it.
        """
        host = url_guard.host_key(url)  # of each hop of a redirect: its own rules count (RFC 9309, 2.1)
        if rules := self._rules.get(host):
            return rules.can_fetch(url, self._agent)
        first = host not in self._waiting
        self._waiting.setdefault(host, []).append(reading)
        return Request(robots_url(url), max_bytes=_MAX_BYTES) if first else None

    def load(self, url: str, response: Response) -> list[Any]:
        """Parse the response to the request for `url`, a robots.txt; returns the readings that waited for it.

        Without a file everything is allowed (RFC 9309, 2.3.1.3); after a server error nothing is (2.3.1.4). A host that
        cannot be reached has no rules: its candidates fail by themselves, each with its reason.
        """
        if response.status >= 500:
            text = "User-agent: *\nDisallow: /"
        else:
            text = response.body.decode("utf-8", "replace") if response.status == 200 and not response.fault else ""
        self._rules[host := url_guard.host_key(url)] = Protego.parse(text)
        return self._waiting.pop(host, [])
