"""A server that does not answer with the requested range ends the run with one line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.errors import SourceError
from imagenet_nk.sources.archive.source import Archive
from sources.archive.helpers import here
from sources.contract import drive, opened
from sources.tars import A, train
from sources.web import Answer, Asked, Web, ranged


class TestBadServers:
    @pytest.fixture
    def data(self, classes) -> bytes:
        return train(classes)

    def ended(self, server: Web, tmp_path: Path, data: bytes, lie: Callable[[Asked, Answer], Answer]) -> str:
        """With which line a run ends when all answers after the opening are lies."""
        lying = False

        def page(asked: Asked, _: dict[str, str]) -> Answer:
            answer = ranged(data, asked)
            return lie(asked, answer) if lying else answer

        with opened(Archive(train=server.put("/t.tar", page)), [A], here(tmp_path)) as source:
            lying = True
            with pytest.raises(SourceError) as error:
                [drive(source, candidate) for candidate in source.candidates(A)]
        assert "\n" not in str(error.value)
        assert "no image is marked as failed" in str(error.value)
        return str(error.value)

    @pytest.mark.parametrize(
        ("line", "lie"),
        [
            ("ignores Range", lambda asked, answer: Answer(200, b"x" * 100, {"Content-Type": "application/x-tar"})),
            (
                "a page instead of the archive; is a login needed?",
                lambda asked, answer: Answer(200, b"<html>sign in", {"Content-Type": "text/html; charset=u"}),
            ),
            ("is shorter than it was", lambda asked, answer: Answer(416, b"", {"Content-Range": "bytes */10"})),
            (
                "has changed on the server",
                lambda asked, answer: Answer(206, answer.body, {**answer.headers, "ETag": '"two"'}),
            ),
            (
                "has changed on the server",
                lambda asked, answer: Answer(
                    206, answer.body, {**answer.headers, "Content-Range": f"bytes {asked.first}-{asked.last}/99999999"}
                ),
            ),
            ("another range", lambda asked, answer: Answer(206, answer.body, {"Content-Range": "bytes 0-511/5"})),
            ("another range", lambda asked, answer: Answer(206, answer.body, {})),
            ("another range", lambda asked, answer: Answer(206, answer.body[:-9], answer.headers)),
            ("answers 403", lambda asked, answer: Answer(403)),
            ("answers 503", lambda asked, answer: Answer(503)),
        ],
    )
    def test_wrong_response_ends_the_run_with_its_reason(self, server, tmp_path, data, line, lie) -> None:
        assert line in self.ended(server, tmp_path, data, lie)

    def test_wrong_bytes_under_right_headers_contradict_the_index(self, server, tmp_path, data) -> None:
        def lie(asked: Asked, answer: Answer) -> Answer:
            return Answer(206, random.Random(asked.first).randbytes(len(answer.body)), answer.headers)

        assert "sends other bytes than before" in self.ended(server, tmp_path, data, lie)
