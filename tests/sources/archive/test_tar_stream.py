from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.broken_tars import broken_tars, files
from imagenet_nk.errors import SourceError
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.archive.tar_stream import members as streamed
from imagenet_nk.sources.contract import FetchedImage
from sources.archive.helpers import first_distinct, here, whole_only
from sources.contract import drive, images, opened
from sources.tars import A, members, tar
from sources.web import Answer, Web


def test_stream_stops_when_the_class_is_full(tmp_path: Path, server: Web) -> None:
    files = members(A, 400)
    data = tar(files)
    url = server.base + "/{wnid}.tar"
    server.put(f"/{A}.tar", whole_only(data))
    with opened(Archive(synset=url), [A], here(tmp_path)) as source:
        ten = [f.image_id for f in first_distinct(source, A, 10)]
        assert set(ten) <= {name.removesuffix(".JPEG") for name, _ in files[:32]}
        assert len(images(source, A)) == 400
    with opened(Archive(synset=url), [A], here(tmp_path, seed=1)) as source:
        assert [f.image_id for f in first_distinct(source, A, 10)] != ten


def test_stream_that_turns_into_a_page_or_another_file_is_an_error(tmp_path: Path, server: Web) -> None:
    data = tar(members(A, 80))
    answers = [Answer(200, b"<html>sign in", {"Content-Type": "text/html"}), Answer(503), Answer(200, data[:-512])]
    server.put(f"/{A}.tar", whole_only(data))
    with opened(Archive(synset=server.base + "/{wnid}.tar"), [A], here(tmp_path)) as source:
        candidates = list(itertools.islice(source.candidates(A), 40))
        first = drive(source, candidates[0])
        for answer in answers:
            source._archive.streams.close()
            server.put(f"/{A}.tar", lambda *_, answer=answer: answer)
            with pytest.raises(SourceError, match="no image is marked as failed"):
                drive(source, candidates[39])
        server.put(f"/{A}.tar", whole_only(data))
        assert isinstance(drive(source, candidates[39]), FetchedImage)
        assert drive(source, candidates[0]) == first


@given(st.one_of(broken_tars(), st.binary(max_size=2000)), st.lists(st.integers(1, 900), min_size=1, max_size=5))
def test_stream_of_any_bytes_ends(data: bytes, sizes: list[int]) -> None:
    chunks, at = [], 0
    while at < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[at : at + size])
        at += size
    for member, content in streamed(iter(chunks), 1000):
        assert len(content) == member.header.size <= 1000


@given(files)
def test_stream_gives_regular_files(these) -> None:
    got = [(m.header.name, content) for m, content in streamed(iter([tar(these)]), 1000)]
    assert got == [(name, content) for name, content in these if 0 < len(content) <= 1000]
