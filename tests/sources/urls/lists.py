"""URL lists for tests, plain and packed."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from imagenet_nk.config import HttpConfig
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import SourceContext

A, B = "n01440764", "n01443537"


def tgz(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (("._fall11_urls.txt", b"\0\5\26\7"), ("fall11_urls.txt", data)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parquet(data: bytes) -> bytes:
    import pyarrow
    import pyarrow.parquet

    rows = [line.split("\t") for line in data.decode().splitlines()]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"id": [r[0] for r in rows], "url": [r[1] for r in rows]}), buffer)
    return buffer.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "list.txt": bytes,
    "list.gz": gzip.compress,
    "list.tgz": tgz,
    "list.parquet": parquet,
}


def context(tmp_path: Path, **http: object) -> SourceContext:
    return SourceContext(tmp_path / "index", HttpConfig(allow_private=True, **http), RandomOrder(0))  # type: ignore[arg-type]


def write(tmp_path: Path, data: bytes, name: str = "list.txt") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


ONE = f"{A}_1\thttp://a.example/1.jpg\n".encode()
