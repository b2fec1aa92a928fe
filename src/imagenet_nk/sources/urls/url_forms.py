"""URLs of old lists: percent-encoding, canonical form for comparison, and other forms to try. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

MAX_URL = 4096
_UNCHANGED = frozenset(b"!#$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~")
_ENCODED = [chr(byte) if byte in _UNCHANGED else f"%{byte:02X}" for byte in range(256)]
_HOST = re.compile(r"[^/?]*")
_HTTP_URL = re.compile(r"https?://[^/?#\s]+", re.IGNORECASE)
_FLICKR = re.compile(r"https?://farm[0-9]+\.(?:static\.flickr|staticflickr)\.com/", re.IGNORECASE)


def percent_encode(raw: bytes) -> str | None:
    """A URL in ASCII: spaces and bytes outside ASCII are percent-encoded.

    None if it is not an http or https URL, or too long. Percent signs stay, because the lists hold encoded URLs.
    """
    url = "".join([_ENCODED[byte] for byte in raw])
    if len(url) > MAX_URL or not _HTTP_URL.match(url):
        return None
    return url


def canonical(url: str) -> str:
    """The URL without scheme, default port and fragment, its host in lower case: equal for spellings of one URL."""
    scheme, _, rest = url.partition("#")[0].partition("://")
    host = _HOST.match(rest)[0]  # type: ignore[index]  # the pattern matches any text
    default = ":443" if scheme.lower() == "https" else ":80"
    return host.lower().removesuffix(default) + rest[len(host) :]


def url_variants(url: str, templates: Sequence[str]) -> Iterator[str]:
    """The URLs to request for one candidate, in order, each once. Templates that do not apply to the URL are skipped.

    `templates`: as accepted by config.collecting.
    """
    fields = _TemplateFields(url=url)
    seen: set[str] = set()
    for template in templates:
        try:
            variant = template.format_map(fields)
        except KeyError:
            continue
        if variant not in seen:
            seen.add(variant)
            yield variant


class _TemplateFields(dict[str, str]):
    """Values of the fields of a template, computed when they are used."""

    def __missing__(self, name: str) -> str:
        url = self["url"]
        if name == "https" and (https := _https_form(url)) is not None:
            return https
        if name == "flickr" and _FLICKR.match(url):
            return _FLICKR.sub("https://live.staticflickr.com/", url)
        raise KeyError(name)


def _https_form(url: str) -> str | None:
    """The https form of an http URL; None unless it has a host name and the default port."""
    try:
        parts = urlsplit(url)
        has_name = re.search(r"[A-Za-z]", (parts.hostname or "").rpartition(".")[2])
        port = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() != "http" or port not in (None, 80) or not has_name:
        return None
    return parts._replace(scheme="https", netloc=parts.netloc.removesuffix(":80")).geturl()
