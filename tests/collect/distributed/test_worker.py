from __future__ import annotations

import logging
import threading
from typing import Any

from imagenet_nk.collect.distributed.shard import WorkerReport
from imagenet_nk.collect.distributed.worker import Reporter, collected_warnings
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import HttpConfig
from imagenet_nk.dataset.ledger import Attempt
from imagenet_nk.net.host_table import HostTable

log = logging.getLogger("imagenet_nk.test")


class Sent:
    """A channel that keeps what is sent."""

    def __init__(self) -> None:
        self.reports: list[WorkerReport] = []

    def send(self, report: Any) -> None:
        self.reports.append(report)


def attempt(key: str) -> Attempt:
    return Attempt("urls", 0, 0, key, "n1", 1, "http://a.test/", reason="refused", transient=1)


def test_no_warning_is_lost_or_sent_twice_while_other_threads_log() -> None:
    drained: list[str] = []
    with collected_warnings() as warnings:
        threads = [
            threading.Thread(target=lambda: [log.warning("%d", number) for number in range(300)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            drained += warnings.drain()
        drained += warnings.drain()
    assert sorted(drained, key=int) == [str(number) for number in range(300)]


def test_connection_failures_stay_open_until_a_host_has_answered() -> None:
    hosts, channel = HostTable(HttpConfig()), Sent()
    with collected_warnings() as warnings:
        reporter = Reporter(1, channel, hosts, warnings)
        hosts.acquire("a.test:80", 0.0)
        reporter.record(attempt("early"))
        hosts.mark_alive("a.test:80", 1.0)
        reporter.record(attempt("late"))
        reporter.send(Progress(1, hosts))
    assert [(row.key, row.final) for row in channel.reports[0].rows] == [("early", 0), ("late", 1)]
    assert reporter.unconfirmed == {("n1", "early")}


def test_last_report_has_what_came_after_the_one_before() -> None:
    channel, hosts = Sent(), HostTable(HttpConfig())
    with collected_warnings() as warnings:
        reporter = Reporter(2, channel, hosts, warnings)
        reporter.send(Progress(1, hosts, done=1))
        reporter.record(attempt("rest"))
        log.warning("at the end")
        reporter.send_last()
    last = channel.reports[-1]
    assert (last.attempt, len(last.rows), last.warnings, last.progress.done) == (2, 1, ["at the end"], 1)
