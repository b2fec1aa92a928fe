"""What libcurl says of a transfer, in the words of wire.Response."""

from __future__ import annotations

import pycurl

# libcurl's error codes as rejection reasons (https://curl.se/libcurl/c/libcurl-errors.html).
_FAULTS = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "forbidden",  # a redirect to file://, ftp://, ...
    pycurl.E_URL_MALFORMAT: "bad_url",
    pycurl.E_COULDNT_RESOLVE_HOST: "no_dns",
    pycurl.E_COULDNT_CONNECT: "refused",
    pycurl.E_PARTIAL_FILE: "truncated",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_TOO_MANY_REDIRECTS: "redirects",
    pycurl.E_GOT_NOTHING: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_RECV_ERROR: "reset",
    pycurl.E_FILESIZE_EXCEEDED: "too_many_bytes",
    pycurl.E_LOGIN_DENIED: "forbidden",  # a redirect to an address with credentials
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_CIPHER: "tls",
}
_DETAILS = {pycurl.E_UNSUPPORTED_PROTOCOL: "another scheme", pycurl.E_LOGIN_DENIED: "credentials"}
_ROBOTS = "x-robots-tag"
OTHER = "bad_answer"  # nonsense in chunks or headers, and what else a broken server comes up with


def fault(code: int, status: int, size: int, stopped: str) -> str:
    """Why a transfer that ended with libcurl's `code` has no whole body; "" if it has.

    `status`: the last HTTP status that came, 0 for none; `size`: 0 if no body came;
    `stopped`: why a callback ended it.
    """
    found = stopped or (_FAULTS.get(code, OTHER) if code else "")
    if found == "timeout" and size:
        return "too_slow"  # it answers, but will not be done in time: asking again is no use
    if code == pycurl.E_UNSUPPORTED_PROTOCOL and not status:
        return OTHER  # no redirect to another scheme, but an answer that is no HTTP
    return found


def forbidden(code: int) -> str:
    """What was refused of a transfer that libcurl itself ended as "forbidden"."""
    return _DETAILS.get(code, "")


def text(raw: bytes | str) -> str:
    """What libcurl gives as either."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw


def headers_of(lines: list[bytes]) -> dict[str, str]:
    """Headers of the last answer: redirects and interim answers come before it. A repeated one is joined by commas.

    X-Robots-Tag is that of all answers: a webmaster who redirects has spoken as well.
    """
    headers: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            headers = {_ROBOTS: headers[_ROBOTS]} if _ROBOTS in headers else {}
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
