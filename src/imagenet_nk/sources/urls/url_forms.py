"""Addresses of old lists: made usable, compared, and tried in other forms. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

LONGEST = 4096
_KEEP = frozenset(b"!#$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~")
_ENCODED = [chr(byte) if byte in _KEEP else f"%{byte:02X}" for byte in range(256)]
_HOST = re.compile(r"[^/?]*")
_FORM = re.compile(r"https?://[^/?#\s]+", re.IGNORECASE)
_FLICKR = re.compile(r"https?://farm\d+\.(?:static\.flickr|staticflickr)\.com/", re.IGNORECASE)


def percent_encode(raw: bytes) -> str | None:
    """An address as ASCII: what no URL may hold (spaces, bytes of any encoding) is percent-encoded.

    None if it is no http or https address, or too long. A percent sign stays: such lists hold encoded addresses.
    """
    url = "".join([_ENCODED[byte] for byte in raw])
    if len(url) > LONGEST or not _FORM.match(url):
        return None
    return url


def canonical(url: str) -> str:
    """What two spellings of one address share: scheme, case of the host, default port and fragment left out."""
    scheme, _, rest = url.partition("#")[0].partition("://")
    host = _HOST.match(rest)[0]  # type: ignore[index]  # it matches anything
    default = ":443" if scheme.lower() == "https" else ":80"
    return host.lower().removesuffix(default) + rest[len(host) :]


def url_variants(url: str, templates: Sequence[str]) -> Iterator[str]:
    """The addresses to ask for one candidate, in turn; each once, and only those that the address has a form for.

    `templates`: as config.collecting lets them through.
    """
    forms = _Forms(url=url)
    seen: set[str] = set()
    for template in templates:
        try:
            address = template.format_map(forms)
        except KeyError:
            continue
        if address not in seen:
            seen.add(address)
            yield address


class _Forms(dict[str, str]):
    """What templates may name; made when one does, for most addresses are asked for as they are and no more."""

    def __missing__(self, name: str) -> str:
        url = self["url"]
        if name == "https" and (https := _https(url)) is not None:
            return https
        if name == "flickr" and _FLICKR.match(url):
            return _FLICKR.sub("https://live.staticflickr.com/", url)
        raise KeyError(name)


def _https(url: str) -> str | None:
    """The https form of an http address; only for a name and the default port: a certificate stands for a name."""
    try:
        parts = urlsplit(url)
        named = re.search(r"[A-Za-z]", (parts.hostname or "").rpartition(".")[2])
        port = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() != "http" or port not in (None, 80) or not named:
        return None
    return parts._replace(scheme="https", netloc=parts.netloc.removesuffix(":80")).geturl()
