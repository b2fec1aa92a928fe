"""What webmasters ask of programs: the X-Robots-Tag of an answer, and robots.txt where the user wants it respected."""

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
_MAX_BYTES = 512 * 1024  # what RFC 9309, 2.5, asks a reader to take at least


def has_opted_out(headers: Mapping[str, str], directives: Collection[str]) -> bool:
    """Whether an answer's X-Robots-Tag holds one of these directives, for all programs or for ours by name."""
    if not (tag := headers.get("x-robots-tag")):
        return False
    for part in tag.lower().split(","):
        agent, colon, directive = part.rpartition(":")
        if directive.strip() in directives and (not colon or agent.strip() in ("imagenet-nk", "*")):
            return True
    return False


def next_redirect(request: Request, response: Response, left: int) -> Request | Response:
    """The next request where an answer redirects, so that the rules there can be asked for first; else the answer.

    `left`: redirects that may still be followed.
    """
    location = response.headers.get("location", "")
    if response.fault or response.status not in _REDIRECTS or not location:
        return response
    try:
        target = urljoin(request.url, quote(location.encode("latin-1"), safe="!#$%&'()*+,/:;=?@[]~-._"))
    except ValueError:
        target = location  # no address
    if left <= 0:
        return replace(response, fault=Reason.REDIRECTS, final_url=target)
    if refused := url_guard.url_block_reason(target):
        return replace(response, fault=Reason.FORBIDDEN, final_url=target, detail=refused)
    return replace(request, url=target, origin=request.origin or request.url, delay=0.0)


def robots_url(url: str) -> str:
    """The address of the robots.txt that holds for an address (RFC 9309, 2.3)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/robots.txt"


class Robots:
    """Answers of each host's robots.txt, fetched when the first of its addresses is wanted."""

    def __init__(self, http: HttpConfig) -> None:
        self._agent = http.user_agent.split("/")[0]
        self._rules: dict[str, Protego] = {}
        self._waiting: dict[str, list[Any]] = {}

    def check(self, url: str, reading: Any) -> bool | Request | None:
        """May this address be asked for? Else a Request for the rules first (once), or None while they are awaited.

        Until the rules are there the reading waits here; learn() gives it back.
        """
        host = url_guard.host_key(url)  # of each hop of a redirect: its own rules count (RFC 9309, 2.1)
        if rules := self._rules.get(host):
            return rules.can_fetch(url, self._agent)
        first = host not in self._waiting
        self._waiting.setdefault(host, []).append(reading)
        return Request(robots_url(url), max_bytes=_MAX_BYTES) if first else None

    def load(self, url: str, response: Response) -> list[Any]:
        """Take in the robots.txt that was asked for at `url`; returns what waited for it.

        No file, no rules (RFC 9309, 2.3.1.3). A server that fails allows nothing (2.3.1.4); one that cannot be reached
        at all has none to keep: its candidates will fail by themselves, and say why.
        """
        if response.status >= 500:
            text = "User-agent: *\nDisallow: /"
        else:
            text = response.body.decode("utf-8", "replace") if response.status == 200 and not response.fault else ""
        self._rules[host := url_guard.host_key(url)] = Protego.parse(text)
        return self._waiting.pop(host, [])
