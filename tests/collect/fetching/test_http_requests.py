from __future__ import annotations

from pathlib import Path

import pytest

from collect.fetching.test_candidate_reader import (
    ANSWERS,
    BODY,
    Scripted,
    drain,
    final_reasons,
    queued,
    reader,
)
from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.config import HttpConfig
from imagenet_nk.net import retry_policy
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import Response


def test_retry_after_pauses_the_whole_host(
    tmp_path: Path, closing: list[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_policy, "MAX_PAUSE_S", 60.0)
    closing.append(one := reader(Scripted(lambda request: ANSWERS["long"]), tmp_path))
    one.start(queued(1, "http://a.test/1"))
    (result,) = one.poll(0.0)
    assert result.is_final  # it asks for more than is waited for
    one.start(queued(2, "http://a.test/2"))
    one.start(queued(3, "http://b.test/3"))
    assert [result.index for result in one.poll(0.0)] == [3]
    assert one.poll(0.0) == []
    assert one.in_flight == 1


def test_paused_hosts_do_not_delay_others(
    tmp_path: Path, closing: list[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two places in flight, six that are told to come back in a minute do not keep the others from ending."""
    monkeypatch.setattr(retry_policy, "MAX_PAUSE_S", 90.0)
    busy = Response(429, headers={"retry-after": "60"})
    transport = Scripted(lambda request: busy if "//slow" in request.url else Response(200, BODY))
    closing.append(one := reader(transport, tmp_path, concurrency=2))
    urls = [f"http://slow{n}.test/" if n % 2 else f"http://quick.test/{n}" for n in range(12)]
    ended: list[str] = []
    while urls or len(ended) < 6:
        while urls and one.has_capacity:
            one.start(queued(len(urls), urls.pop(0)))
        ended += [result.candidate.url for result in one.poll(0.05) if result.is_final]
    assert all("quick" in url for url in ended)
    assert one.in_flight == 6


def test_number_of_waiting_candidates_is_bounded(
    tmp_path: Path, closing: list[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_policy, "MAX_PAUSE_S", 90.0)
    busy = Response(429, headers={"retry-after": "60"})
    transport = Scripted(lambda request: busy)
    closing.append(one := reader(transport, tmp_path, concurrency=2))
    for number in range(100):
        if one.has_capacity:
            one.start(queued(number, f"http://h{number}.test/"))
        one.poll(0.0)
    assert 2 < one.in_flight <= 5 * 2


def test_repeated_request_takes_a_slot(tmp_path: Path, closing: list[Reader]) -> None:
    transport = Scripted(lambda request: Response(503 if request.url not in transport.asked[:-1] else 404))
    closing.append(one := reader(transport, tmp_path, concurrency=1, retries=1))
    waiting = list(range(8))
    while waiting or one.in_flight:
        while waiting and one.has_capacity:
            number = waiting.pop()
            one.start(queued(number, f"http://h{number}.test/"))
        one.poll(0.01)
    assert transport.most == 1
    assert len(transport.asked) == 16


def test_candidates_that_wait_for_a_host_continue_when_it_is_down(tmp_path: Path, closing: list[Reader]) -> None:
    transport, hosts = Scripted(lambda request: Response(404)), HostTable(HttpConfig())
    closing.append(one := reader(transport, tmp_path, hosts))
    for host in ("a.test:80", "b.test:80", "c.test:80"):
        hosts.get(host).next_start = float("inf")
    for number in range(6):
        urls = " ".join(f"http://{host}.test/{number}" for host in (*"abc"[number % 3 :], "d"))
        one.start(queued(number, urls))
    assert one.poll(0.0) == []
    for host in ("a.test:80", "b.test:80", "c.test:80"):
        state = hosts.get(host)
        state.is_suspended, state.probes, state.fault, state.next_start = True, 9, "refused", 0.0
    assert final_reasons(drain(one)) == dict.fromkeys(range(6), "http_404")
    assert len(transport.asked) == 6
