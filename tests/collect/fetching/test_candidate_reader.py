from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collect import pictures
from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.collect.fetching.inspector import ImageInfo, Inspector
from imagenet_nk.config import HttpConfig, InspectConfig
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.errors import DatasetError
from imagenet_nk.net import host_table, retry_policy
from imagenet_nk.net.congestion import CongestionWindow
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import MemoryBudget, Request, Response
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import BlockingCall, Candidate, FetchedImage, ReadSteps, rejection
from imagenet_nk.sources.none import NoSource

WNID = "n01440764"
BODY = pictures.jpeg("one")


class Scripted:
    """A transport that answers what a function says, in an order of its own."""

    def __init__(self, answer: Callable[[Request], Response], seed: int = 0) -> None:
        self._answer, self._random = answer, random.Random(seed)
        self._pending: list[tuple[Hashable, Request]] = []
        self.asked: list[str] = []
        self.memory = MemoryBudget(2**30)
        self.most = 0  # in flight at once

    def submit(self, request: Request, ticket: Hashable) -> None:
        self.asked.append(request.url)
        self._pending.append((ticket, request))
        self.most = max(self.most, len(self._pending))

    def poll(self, timeout: float) -> list[tuple[Hashable, Response]]:
        if not self._pending:
            return []
        ticket, request = self._pending.pop(self._random.randrange(len(self._pending)))
        return [(ticket, self._answer(request))]

    def wake(self) -> None: ...

    def close(self) -> None: ...


class InTurn(NoSource):
    """A source that asks for the addresses in a candidate's url, one after the other, until one has a body."""

    def read(self, candidate: Candidate) -> ReadSteps:
        last: FetchedImage | Rejected = Rejected("no_address")
        for url in candidate.url.split():
            if url == "call":
                data = yield BlockingCall(lambda: BODY)
                return FetchedImage(candidate.key, data)
            response = yield Request(url)
            last = rejection(response) or FetchedImage(candidate.key, response.body, response.final_url)
            if isinstance(last, FetchedImage):
                break
        return last


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host is suspended for its failures, and no Retry-After is waited for."""
    monkeypatch.setattr(host_table, "DEAD_HOST_FAILURES", 10**6)
    monkeypatch.setattr(retry_policy, "MAX_PAUSE_S", 0.01)


def reader(transport: Scripted, folder: Path, hosts: HostTable | None = None, **http: object) -> Reader:
    config = HttpConfig(**http)  # type: ignore[arg-type]
    parts = hosts or HostTable(config), CongestionWindow(config), Inspector(InspectConfig()), ImageStore(folder)
    return Reader(transport, *parts, threads=2)


def queued(index: int, urls: str, key: str = "") -> CandidateRead:
    """A candidate that requests these URLs in turn."""
    return CandidateRead(Candidate(key or f"{WNID}_{index}", WNID, urls), InTurn(), 0, index, index)


def read(one: Reader, *urls: str) -> list[CandidateRead]:
    """All results of candidates that request these URLs; their indexes are their numbers."""
    for number, url in enumerate(urls):
        one.start(queued(number, url))
    return drain(one)


def drain(one: Reader) -> list[CandidateRead]:
    """What comes out of a reader until nothing is in flight."""
    results: list[CandidateRead] = []
    while one.in_flight:
        results.extend(one.poll(0.05))
    return results


def final_reasons(results: Sequence[CandidateRead]) -> dict[int, str]:
    """Reason by index, "" for an image; every candidate must have ended once."""
    ended = sorted((result for result in results if result.is_final), key=lambda result: result.index)
    assert max(Counter(result.index for result in ended).values(), default=1) == 1
    return {result.index: reason(result) for result in ended}


def reason(result: CandidateRead) -> str:
    return result.verdict.reason if isinstance(result.verdict, Rejected) else ""


ANSWERS = {
    "good": Response(200, BODY),
    "html": Response(200, b"<html>"),
    "empty": Response(200, b""),
    "gone": Response(404),
    "busy": Response(503),
    "wait": Response(429, headers={"retry-after": "0"}),
    "long": Response(429, headers={"retry-after": "9999"}),
    "late": Response(0, fault="timeout"),
    "dead": Response(0, fault="refused"),
    "shy": Response(200, BODY, headers={"x-robots-tag": "noai"}),
    "grey": Response(200, BODY, final_url="http://x.test/photo_unavailable.png"),
}


WORDS = [*sorted(ANSWERS.keys() - {"long"}), "call", "bad"]  # for that one, others wait


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scripts=st.lists(st.lists(st.sampled_from(WORDS), max_size=4), min_size=1, max_size=12),
    seed=st.integers(0, 10**6),
    robots=st.booleans(),
)
def test_every_candidate_ends_once(scripts: list[list[str]], seed: int, robots: bool, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.url.endswith("/robots.txt"):
            return random.Random(seed).choice([Response(404), Response(200, b"User-agent: *\nDisallow: /gone")])
        return ANSWERS[request.url.rpartition("/")[2]]

    def url(number: int, word: str) -> str:
        return {"call": "call", "bad": "http://[bad/x"}.get(word, f"http://h{number % 3}.test/{word}")

    one = reader(Scripted(answer, seed), tmp_path, robots_txt=robots, per_host=2, deadline=0.3)
    try:
        urls = [" ".join(url(n, word) for n, word in enumerate(script)) for script in scripts]
        results = read(one, *urls)
        assert sorted(final_reasons(results)) == list(range(len(scripts)))
        assert one.poll(0.0) == []
        assert one.in_flight == 0
    finally:
        one.close()


def test_each_response_gives_its_reason(tmp_path: Path, closing: list[Reader]) -> None:
    transport = Scripted(lambda request: ANSWERS[request.url.rpartition("/")[2]])
    closing.append(one := reader(transport, tmp_path))
    words = list(ANSWERS)
    urls = [f"http://{'far' if word == 'long' else 'a'}.test/{word}" for word in words]  # that one is set aside for it
    reasons = final_reasons(read(one, *urls))
    assert dict(zip(words, reasons.values(), strict=True)) == {
        "good": "",
        "html": "not_image",
        "empty": "not_image",
        "gone": "http_404",
        "busy": "http_503",
        "wait": "http_429",
        "long": "http_429",
        "late": "timeout",
        "dead": "refused",
        "shy": "opt_out",
        "grey": "placeholder",
    }
    asked = Counter(url.rpartition("/")[2] for url in transport.asked)
    assert {word for word, count in asked.items() if count == 2} == {"busy", "wait", "late"}  # tried again, once


def test_503_then_200_gives_an_image_and_two_rows(tmp_path: Path, closing: list[Reader]) -> None:
    answers = [Response(503, b"x" * 10**6), Response(200, BODY)]
    closing.append(one := reader(Scripted(lambda request: answers.pop(0)), tmp_path))
    first, second = read(one, "http://a.test/x")
    assert (first.is_final, reason(first)) == (False, "http_503")
    assert first.response.body == b""  # what waits for its next try holds no body
    assert second.is_final
    assert isinstance(second.verdict, ImageInfo)
    assert second.tries == 2
    assert (tmp_path / "images" / WNID / f"{WNID}_0.jpg").read_bytes() == BODY


def test_bodies_that_wait_for_inspection_count_as_memory(tmp_path: Path, closing: list[Reader]) -> None:
    transport = Scripted(lambda request: Response(200, BODY))
    transport.memory = MemoryBudget(2 * len(BODY))
    closing.append(one := reader(transport, tmp_path))
    urls = [f"http://a.test/{n}" for n in range(50)]
    results: list[CandidateRead] = []
    most = 0
    while urls or one.in_flight:
        if urls and one.has_capacity:
            one.start(queued(len(urls), urls.pop()))
        results += one.poll(0.05)
        most = max(most, transport.memory.waiting)
    assert len(results) == 50
    assert transport.memory.waiting == 0
    assert most <= 2 * len(BODY)


def test_write_error_of_a_thread_is_raised(tmp_path: Path, closing: list[Reader]) -> None:
    closing.append(one := reader(Scripted(lambda request: Response(200, BODY)), tmp_path))
    (tmp_path / "images" / WNID).write_text("a file where a folder must be")
    with pytest.raises(DatasetError):
        read(one, "http://a.test/x")


def test_image_id_of_another_source_is_redrawn(tmp_path: Path, closing: list[Reader]) -> None:
    closing.append(one := reader(Scripted(lambda request: Response(200, BODY)), tmp_path))
    one.start(queued(0, "http://a.test/x", key="k"), existing_ids={"k"})
    assert final_reasons(drain(one)) == {0: "redrawn"}
    assert not list((tmp_path / "images").rglob("*.jpg"))


def test_reader_can_be_closed_while_candidates_are_in_flight(tmp_path: Path) -> None:
    one = reader(Scripted(lambda request: Response(200, BODY)), tmp_path)
    for number in range(20):
        one.start(queued(number, "call" if number % 2 else "http://a.test/x"))
    one.poll(0.0)
    one.close()
