from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import SourceContext
from sources.archive.helpers import here, whole_only
from sources.contract import images, opened
from sources.tars import A, B, C, members, tar, train
from sources.web import Answer, Web


@pytest.mark.parametrize(
    ("message", "page"),
    [
        ("the server ignores Range and sends whole files, all of it", whole_only(b"x" * 5000)),
        ("answers with a page instead", lambda *_: Answer(200, b"<html>", {"Content-Type": "text/html"})),
        ("answers 404", lambda *_: Answer(404)),
        ("answers 503", lambda *_: Answer(503)),
        ("is no tar", b"no tar at all" * 100),
        ("is empty", b""),
        ("gzip'ed", b"\x1f\x8b\x08\0" + bytes(2000)),
        ("holds no <wnid>.tar", tar([("readme.txt", b"hello")])),
    ],
)
def test_file_that_is_no_archive_is_one_line(server, tmp_path, message, page) -> None:
    with pytest.raises(SourceError) as error:
        Archive(train=server.put("/t.tar", page)).open([A], here(tmp_path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unreachable_archive_is_one_line(tmp_path, server) -> None:
    with pytest.raises(SourceError, match="refused"):
        Archive(train="http://127.0.0.1:9/t.tar").open([A], here(tmp_path))
    site = SourceContext(tmp_path / "index", HttpConfig(), RandomOrder(0))
    with pytest.raises(SourceError, match="loopback"):
        Archive(train=server.put("/t.tar", b"")).open([A], site)
    with pytest.raises(SourceError, match="No such file"):
        Archive(train=str(tmp_path / "none.tar")).open([A], here(tmp_path))


def test_truncated_tar_of_tars_is_one_line(server, tmp_path, classes) -> None:
    data = train(classes)
    for keep in (700, len(data) // 3, len(data) - 20000):
        with pytest.raises(SourceError, match=r"cut short|no <wnid>\.tar"):
            Archive(train=server.put(f"/{keep}.tar", data[:keep])).open([A, B, C], here(tmp_path))


def test_missing_gzipped_and_broken_class_tars_are_skipped(tmp_path, caplog) -> None:
    (tmp_path / f"{A}.tar").write_bytes(tar(members(A, 3)))
    (tmp_path / f"{B}.tar").write_bytes(b"\x1f\x8b" + bytes(3000))
    (tmp_path / "n00000001.tar").write_bytes(b"<html>" * 400)
    with opened(Archive(synset=str(tmp_path / "{wnid}.tar")), [A, B, C, "n00000001"], here(tmp_path)) as source:
        assert [len(images(source, wnid)) for wnid in (A, B, C, "n00000001")] == [3, 0, 0, 0]
    assert "gzip'ed" in caplog.text
    assert "is no tar" in caplog.text


def test_class_tar_that_disappears_is_opened_again_by_the_next_run(tmp_path: Path, server: Web) -> None:
    source = Archive(synset=server.base + "/{wnid}.tar")
    for wnid in (A, B):
        server.put(f"/{wnid}.tar", tar(members(wnid, 6)))
    with opened(source, [A, B], here(tmp_path)):
        pass
    del server.pages[f"/{A}.tar"]
    with opened(source, [A, B], here(tmp_path)), pytest.raises(SourceError, match="answers 404"):
        images(source, A)
    with opened(source, [A, B], here(tmp_path)):
        assert images(source, A) == []
        assert len(images(source, B)) == 6
