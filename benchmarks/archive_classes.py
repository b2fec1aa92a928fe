"""Finding the 1000 classes in a tar of tars as large as the official one, by 16 scans at once and by one.

    python benchmarks/archive_classes.py [--classes 1000] [--members 1281] [--latency 0.02]

The tar (142 GB at the defaults; members of the sizes of ImageNet's photographs) is made up as it is asked for, by a
server of its own on loopback that answers after `latency` seconds: headers are where they belong, pictures are zeros.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
import tarfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np

from imagenet_nk.config import HttpConfig
from imagenet_nk.sources.archive import class_scan
from imagenet_nk.sources.archive.blocking_client import BlockingClient
from imagenet_nk.sources.archive.class_index import ClassIndex
from imagenet_nk.sources.archive.ranged_file import HttpFile

BLOCK = 512


class Drawn:
    """A tar of tars, of which any range can be had."""

    def __init__(self, classes: int, members: int) -> None:
        rng = np.random.default_rng(0)
        names: list[str] = []
        sizes: list[int] = []
        for number in range(classes):
            wnid = f"n{10_000_000 + number:08d}"
            of_class = np.minimum(3 << 20, rng.lognormal(11.42, 0.61, members)).astype(int)
            inner = int((BLOCK + -(-of_class // BLOCK) * BLOCK).sum()) + 2 * BLOCK
            names += [f"{wnid}.tar", *(f"{wnid}_{n}.JPEG" for n in range(members)), ""]
            sizes += [inner, *of_class.tolist(), 0]
        self.names, self.sizes = names, np.array(sizes)
        data = -(-self.sizes // BLOCK) * BLOCK
        data[:: members + 2] = 0  # of a class's tar its members are the data
        self.starts = np.concatenate(([0], np.cumsum(BLOCK + data + (np.array([not n for n in names]) * BLOCK))))
        self.size = int(self.starts[-1]) + 2 * BLOCK

    def read(self, first: int, last: int) -> bytes:
        piece = bytearray(last + 1 - first)
        for i in range(*np.searchsorted(self.starts[:-1], (first - BLOCK, last), "right").tolist()):
            if self.names[i]:
                info = tarfile.TarInfo(self.names[i])
                info.size = int(self.sizes[i])
                at = int(self.starts[i]) - first
                header = info.tobuf(tarfile.GNU_FORMAT)[max(0, -at) :][: len(piece) - max(at, 0)]
                piece[max(at, 0) : max(at, 0) + len(header)] = header
        return bytes(piece)


def serve(classes: int, members: int, latency: float, port_to: Connection) -> None:
    drawn = Drawn(classes, members)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            span = re.match(r"bytes=(\d+)-(\d+)", self.headers["Range"])
            assert span is not None
            first, last = int(span[1]), min(int(span[2]), drawn.size - 1)
            body = drawn.read(first, last)
            time.sleep(latency)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{drawn.size}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port_to.send(server.server_port)
    server.serve_forever()


class CountedFile(HttpFile):
    """Counts requests and bytes."""

    requests = bytes = 0

    def read(self, first: int, last: int) -> bytes:
        data = super().read(first, last)
        self.requests += 1
        self.bytes += len(data)
        return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--members", type=int, default=1281)
    parser.add_argument("--latency", type=float, default=0.02)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(
        target=serve, args=(options.classes, options.members, options.latency, there), daemon=True
    )
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/train.tar"
    http = HttpConfig(allow_private=True)
    wnids = [f"n{10_000_000 + number:08d}" for number in range(options.classes)]
    found, figures = [], {}
    client = BlockingClient(http)
    for name, minimum in (("one scan", sys.maxsize), (f"{class_scan.PARALLEL_SCANS} scans", 0)):
        class_scan._MIN_CLASSES = minimum
        file, index = CountedFile(url, http, client.get), ClassIndex()
        started = time.perf_counter()
        class_scan.find_class_tars(index, file, wnids, lambda: None)
        seconds = round(time.perf_counter() - started, 2)
        found.append({wnid: offset for wnid, (offset, _) in index.tars.items()})
        figures[name] = {"seconds": seconds, "requests": file.requests, "MB": round(file.bytes / 1e6, 1)}
    client.close()
    server.terminate()
    assert found[0] == found[1]
    print(json.dumps({"classes": len(found[0]), "GB": round(file.size / 1e9, 1), **figures}))


if __name__ == "__main__":
    main()
