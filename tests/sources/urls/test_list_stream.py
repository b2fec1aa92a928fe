"""Packed and damaged lists."""

from __future__ import annotations

import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.errors import SourceError
from imagenet_nk.sources.urls.source import Urls
from sources.small_tars import tar_bytes
from sources.urls.lists import ONE, A, context, parquet, tgz, write

REFUSED = {
    "empty": (b"", "empty"),
    "blank": (b"\n\n  \n", "empty"),
    "no wanted class": (b"n99999999_1\thttp://a.example/1.jpg\n", "no usable line .* of a wanted class"),
    "no list at all": (b"to whom it may concern\n" * 99, r"it begins with 'to whom it may concern'"),
    "commas": (
        f"{A}_1,http://a.example/1.jpg\n".encode(),
        r"n01440764\): lines 1, no_tab 1; it begins with 'n01440764_1,http",
    ),
    "zip": (b"PK\3\4" + bytes(range(256)) * 4, "is a zip archive, not a list .*; unpack it first"),
    "xz": (lzma.compress(ONE), "is packed with xz, not a list .*; unpack it first"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG picture, not a list"),
    "gzip'ed picture": (gzip.compress(b"\xff\xd8\xff\xe0" + bytes(99)), "is a JPEG picture, not a list"),
    "tar of pictures": (
        tar_bytes({f"{A}_1.JPEG": b"\xff\xd8\xff\xe0" + bytes(99)}),
        "n01440764_1.JPEG is a JPEG picture",
    ),
    "tar of tars": (tar_bytes({f"{A}.tar": tar_bytes({"a.jpg": b"x"})}), r"a tar, and its file n01440764.tar is a tar"),
    "data": ((bytes(range(256)) + bytes(99)) * 40, "is no text, not a list"),
    "a page": (b"<html>sign in</html>" * 99, "a web page, not a list"),
    "UTF-16 with a mark": (ONE.decode().encode("utf-16"), "UTF-16"),
    "UTF-16 without": (ONE.decode().encode("utf-16-le") * 9, "UTF-16"),
    "empty gz": (gzip.compress(b""), "empty"),
    "gz cut short": (gzip.compress(random.Random(0).randbytes(5000).hex().encode())[:-2000], "cut short or damaged"),
    "gz damaged": (gzip.compress(b"x" * 9)[:12] + b"\xff" * 30, "cut short or damaged"),
    "tgz cut inside": (gzip.compress(gzip.decompress(tgz(ONE * 900))[:9000]), "cut short"),
    "tgz without a file": (gzip.compress(gzip.decompress(tgz(b""))[:1024] + bytes(1024)), "without a file"),
    "parquet cut short": (parquet(ONE)[:-3], "not a valid parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_list_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    data, reason = REFUSED[case]
    with pytest.raises(SourceError, match=reason) as error:
        Urls(write(tmp_path, data)).open([A], context(tmp_path))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("index/*.part"))


@pytest.mark.parametrize("pack", [gzip.compress, tgz])
@pytest.mark.parametrize("behind", [b"<!-- served in 3 ms -->", bytes(700) + b"\x1f", bytes(3 << 20) + b"x"])
def test_garbage_after_gzip_data_is_ignored_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pack: Callable[[bytes], bytes], behind: bytes
) -> None:
    source = Urls(write(tmp_path, pack(ONE) + behind, "list.gz"))
    source.open([A], context(tmp_path))
    assert len(list(source.candidates(A))) == 1
    source.close()
    message = {record.getMessage() for record in caplog.records if "no gzip" in record.getMessage()}
    assert len(message) == 1
    assert f"the last {len(behind.lstrip(bytes(1)))} bytes" in message.pop()


@pytest.mark.parametrize("padding", [1, 700, 3 << 20])
def test_zero_padding_and_several_gzip_members_are_read_without_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, padding: int
) -> None:
    other = ONE.replace(b"_1", b"_2").replace(b"1.jpg", b"2.jpg")
    data = gzip.compress(ONE) + bytes(padding) + gzip.compress(other) + bytes(padding)
    source = Urls(write(tmp_path, data, "list.gz"))
    source.open([A], context(tmp_path))
    assert len(list(source.candidates(A))) == 2
    source.close()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_parquet_without_id_and_url_is_refused_with_its_columns(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"key": ["x"], "link": ["y"]}), tmp_path / "list.parquet")
    with pytest.raises(SourceError, match=r"no columns id and url \(it has key, link\)"):
        Urls(str(tmp_path / "list.parquet")).open([A], context(tmp_path))
