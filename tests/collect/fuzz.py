"""Arbitrary bytes for the transport and the inspector: what a server may answer, and what an image file may hold."""

from __future__ import annotations

import random
from collections.abc import Iterator

from collect import pictures
from collect.hostile import Hostile, answer
from imagenet_nk.collect.fetching.inspector import ImageInfo, Inspector
from imagenet_nk.config import HttpConfig, InspectConfig
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.http import Request
from imagenet_nk.net.retry_policy import is_retryable, retry_after_seconds
from imagenet_nk.net.robots import has_opted_out
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import rejection

_TOKENS = [
    b"HTTP/1.1 ", b"HTTP/2 ", b"200 OK", b"301 Moved", b"429 Wait", b"503 Busy", b"100 Continue", b"\r\n",
    b"\r\n\r\n", b"\n", b"Content-Length: ", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n", b"Location: /next\r\n", b"Location: //", b"Location: file:///etc/passwd\r\n",
    b"Location: http://[::1", b"Retry-After: ", b"X-Robots-Tag: ", b"noai", b"Set-Cookie: a=b\r\n",
    b"Connection: keep-alive\r\n", b"-1", b"99999999999999999999", b"ff\r\n", b"0\r\n\r\n", b"\0", b"\xff\xfe",
    b":", b" ", b"\x1f\x8b", b"http://", b"@", b"#", b"%00", b"\x80",
]  # fmt: skip


def mangled(data: bytes, generator: random.Random) -> bytes:
    """The data with some bytes changed, cut out, doubled, or put in."""
    result = bytearray(data)
    for _ in range(generator.choice([1, 1, 2, 4, 16])):
        at = generator.randrange(len(result) + 1)
        length = generator.choice([1, 2, 4, 64, len(result)])
        what = generator.randrange(4)
        if what == 0:
            result[at : at + length] = generator.randbytes(min(length, len(result) - at))
        elif what == 1:
            del result[at : at + length]
        elif what == 2:
            result[at:at] = result[at : at + min(length, 4096)]
        else:
            result[at:at] = generator.choice(_TOKENS)
    return bytes(result)


class Bodies:
    """Files that are nearly images, or images, or neither."""

    def __init__(self) -> None:
        self._whole = [pictures.encoded(format_, format_) for format_ in pictures.FORMATS]
        self._whole += [
            pictures.encoded("p", "JPEG", progressive=True),
            pictures.encoded("c", "JPEG", "CMYK"),
            pictures.encoded("l", "TIFF", compression="tiff_lzw"),
            pictures.png_header(9, 9),
        ]

    def one(self, generator: random.Random) -> bytes:
        if generator.random() < 0.1:
            return generator.choice([b"", b"\xff\xd8\xff", b"GIF89a", b"BM"]) + generator.randbytes(
                generator.randrange(300)
            )
        whole = generator.choice(self._whole)
        return whole if generator.random() < 0.1 else mangled(whole, generator)


def answers(generator: random.Random, bodies: Bodies) -> bytes:
    """What a server sends: an honest answer with a strange body, a mangled one, or a heap of tokens."""
    honest = answer(
        bodies.one(generator), generator.choice(["200 OK", "206 Partial", "404 Not Found", "503 Busy", "999 ?"])
    )
    kind = generator.random()
    if kind < 0.5:
        return honest
    if kind < 0.8:
        head, _, body = honest.partition(b"\r\n\r\n")
        return mangled(head + b"\r\n\r\n", generator) + body
    return b"HTTP/1.1 200 OK\r\n" * (kind < 0.95) + b"".join(generator.choices(_TOKENS, k=generator.randrange(1, 20)))


def drive(server: Hostile, cases: int, seed: int, at_once: int = 32) -> Iterator[str]:
    """Fetch and inspect `cases` answers; yields what each came to: a reason, or "" for an image."""
    generator, bodies = random.Random(seed), Bodies()
    http = HttpConfig(allow_private=True, deadline=2.0, first_byte_timeout=1.0, max_bytes=1 << 20)
    transport, inspector = CurlTransport(http), Inspector(InspectConfig())
    try:
        started = ended = 0
        while ended < cases:
            while started < cases and started - ended < at_once:
                transport.submit(Request(server.put(f"/{started}", answers(generator, bodies))), started)
                started += 1
            for ticket, response in transport.poll(0.2):
                ended += 1
                del server.pages[f"/{ticket}"]
                (
                    retry_after_seconds(response),
                    is_retryable(response),
                    has_opted_out(response.headers, http.respect_opt_out),
                )
                if rejected := rejection(response):
                    yield rejected.reason
                    continue
                verdict = inspector.inspect(response.body)
                if not isinstance(verdict, ImageInfo | Rejected):
                    raise TypeError(verdict)
                yield verdict.reason if isinstance(verdict, Rejected) else ""
    finally:
        transport.close()
