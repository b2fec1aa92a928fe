"""Reading pieces of a tar of tars over HTTP, as a ratio to one plain ranged download of the same bytes.

    python benchmarks/archive.py [--classes 100] [--members 40] [--nk 10] [--latency 0.02] [--mbit 1000]

Writes a train-like tar (members of the sizes of ImageNet's photographs, 110 kB in the mean) into a temporary folder and
serves it from a process of its own, which answers after `latency` seconds and shares `mbit` among all connections: on
an endless wire nothing but the server would be measured. Images are not inspected; requests and bytes are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import multiprocessing
import random
import re
import sys
import tarfile
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.http import Request
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import BlockingCall, Candidate, FetchedImage, SourceContext

PIECE = 1 << 16


def write_train(to: Path, classes: int, members: int) -> list[str]:
    """A tar of tars; sizes are lognormal, with a standard deviation of 0.67 of the mean."""
    rng = random.Random(0)
    wnids = [f"n{10_000_000 + i:08d}" for i in range(classes)]
    noise = rng.randbytes(4 << 20)
    with tarfile.open(to, "w") as outer:
        for wnid in wnids:
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as inner:
                for i in range(members):
                    info = tarfile.TarInfo(f"{wnid}_{i}.JPEG")
                    info.size = min(3 << 20, int(rng.lognormvariate(11.42, 0.61)))
                    start = rng.randrange(len(noise) - info.size)
                    inner.addfile(info, io.BytesIO(noise[start : start + info.size]))
            info = tarfile.TarInfo(f"{wnid}.tar")
            info.size = buffer.tell()
            buffer.seek(0)
            outer.addfile(info, buffer)
    return wnids


def serve(path: Path, latency: float, mbit: float, port_to: Connection) -> None:
    """Answer ranged GETs of one file until killed."""
    data = path.read_bytes()
    free_at = 0.0

    async def send(writer: asyncio.StreamWriter, first: int, last: int) -> None:
        nonlocal free_at
        for at in range(first, last + 1, PIECE):
            piece = data[at : min(at + PIECE, last + 1)]
            now = time.monotonic()
            free_at = max(free_at, now - 0.02) + len(piece) * 8 / (mbit * 1e6)  # what sleep() overslept is made up for
            if free_at - now > 0.002:
                await asyncio.sleep(free_at - now)
            writer.write(piece)
            await writer.drain()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                span = re.search(rb"[Rr]ange: *bytes=(\d+)-(\d+)", request)
                assert span is not None, request
                first, last = int(span[1]), min(int(span[2]), len(data) - 1)
                await asyncio.sleep(latency)
                head = f"Content-Range: bytes {first}-{last}/{len(data)}\r\nContent-Length: {last - first + 1}\r\n"
                writer.write(f'HTTP/1.1 206 Partial Content\r\nETag: "1"\r\n{head}\r\n'.encode())
                if not request.startswith(b"HEAD"):
                    await send(writer, first, last)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(client, "127.0.0.1", 0)
        port_to.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


class Driver:
    """Carries out the steps of many candidates, `per_host` requests in flight, as the collector does."""

    def __init__(self, http: HttpConfig) -> None:
        self._transport, self._http = CurlTransport(http), http
        self.requests = self.bytes = self.image_bytes = 0

    def plain(self, url: str, size: int) -> float:
        started = time.perf_counter()
        self._transport.submit(Request(url, 0, size - 1, max_bytes=size), None)
        while not (done := self._transport.poll(1.0)):
            pass
        assert len(done[0][1].body) == size, done[0][1].fault
        return time.perf_counter() - started

    def read(self, source: Archive, wnids: list[str], nk: int) -> float:
        """Seconds until every class has nk distinct images."""
        started = time.perf_counter()
        waiting = deque((wnid, source.candidates(wnid)) for wnid in wnids)
        kept: dict[str, set[str]] = {wnid: set() for wnid in wnids}
        pending = dict.fromkeys(wnids, 0)
        in_flight = 0
        while in_flight or waiting:
            while waiting and in_flight < self._http.per_host:
                wnid, candidates = waiting[0]
                if len(kept[wnid]) + pending[wnid] >= nk:
                    waiting.popleft()
                    continue
                pending[wnid] += 1
                in_flight += self._step(source, next(candidates), candidates, waiting, kept, pending)
            for ticket, response in self._transport.poll(1.0):
                self.requests += 1
                self.bytes += len(response.body)
                in_flight += self._go_on(ticket, response, waiting, kept, pending) - 1
        return time.perf_counter() - started

    def _step(self, source: Archive, candidate: Candidate, candidates: Iterator[Candidate], *state: object) -> int:
        return self._go_on((source.read(candidate), candidate.wnid, candidates), None, *state)

    def _go_on(self, ticket, response, waiting, kept, pending) -> int:  # type: ignore[no-untyped-def]
        """Send an answer into a reading; 1 if it asks for more, 0 if it has ended."""
        steps, wnid, candidates = ticket
        try:
            step = steps.send(response)
        except StopIteration as end:
            pending[wnid] -= 1
            if isinstance(end.value, FetchedImage) and end.value.image_id not in kept[wnid]:
                kept[wnid].add(end.value.image_id)
                self.image_bytes += len(end.value.data)
            else:
                waiting.append((wnid, candidates))
            return 0
        assert not isinstance(step, BlockingCall)
        self._transport.submit(step, ticket)
        return 1

    def close(self) -> None:
        self._transport.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("classes", 100), ("members", 40), ("nk", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--mbit", type=float, default=1000.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "train.tar"
        wnids = write_train(path, options.classes, options.members)
        here, there = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve, args=(path, options.latency, options.mbit, there), daemon=True)
        server.start()
        url = f"http://127.0.0.1:{here.recv()}/train.tar"
        http = HttpConfig(allow_private=True, deadline=600.0, first_byte_timeout=60.0)
        driver, source = Driver(http), Archive(train=url)
        started = time.perf_counter()
        source.open(wnids, SourceContext(Path(temporary) / "index", http, RandomOrder(0)))
        opened = time.perf_counter() - started
        took = driver.read(source, wnids, options.nk)
        plain = min(driver.plain(url, driver.bytes) for _ in itertools.repeat(None, 2))
        source.close()
        driver.close()
        server.terminate()
    images = options.classes * options.nk
    print(f"index of {options.classes} classes {opened:.2f} s")
    print(f"{images:,} images in {took:.2f} s, {driver.bytes / took / 1e6:.0f} MB/s")
    print(f"{driver.requests / images:.2f} requests an image, {driver.bytes / driver.image_bytes:.2f} times its bytes")
    print(f"one plain ranged download of {driver.bytes / 1e6:.0f} MB: {plain:.2f} s; ratio {plain / took:.2f}")


if __name__ == "__main__":
    main()
