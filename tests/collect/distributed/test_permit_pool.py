"""The limits of a whole run, dealt out to workers, over a clock that the test reads."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from imagenet_nk.collect.distributed.leased_host_table import LeasedHosts
from imagenet_nk.collect.distributed.permit_pool import Permits
from imagenet_nk.collect.distributed.protocol import Seen
from imagenet_nk.config import HttpConfig
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import Response

HOST = "example.org:80"


def permits(**http: object) -> Permits:
    return Permits(HostTable(HttpConfig(**http)))  # type: ignore[arg-type]


def test_never_more_than_per_host_are_out() -> None:
    table = permits(per_host=5)
    assert table.orders("a", {HOST: 4}, 0.0)[HOST].permits == 4
    assert table.orders("b", {HOST: 4}, 0.0)[HOST].permits == 1
    assert table.out(HOST) == 5


def test_who_has_more_than_is_fair_gives_back_to_who_has_too_few() -> None:
    table = permits(per_host=6)
    table.orders("a", {HOST: 6}, 0.0)
    assert table.orders("b", {HOST: 4}, 0.1)[HOST].permits == 0
    assert table.orders("a", {}, 0.2)[HOST].most == 3
    table.take_back("a", {HOST: 3})
    assert table.orders("b", {HOST: 4}, 0.3)[HOST].permits == 3


def test_a_dead_worker_leaves_nothing_behind() -> None:
    table = permits(per_host=2)
    table.orders("a", {HOST: 4}, 0.0)
    table.orders("b", {HOST: 4}, 0.0)
    table.lost("a")
    assert table.out(HOST) == 0
    assert table.orders("b", {HOST: 4}, 0.1)[HOST].permits == 2


def test_a_rate_holds_over_all_workers() -> None:
    table = permits(per_host=100, per_host_rate=20.0)
    starts = []
    for tick, worker in itertools.product(range(50), "abc"):
        now = tick * 0.1 + "abc".index(worker) * 0.03
        order = table.orders(worker, {HOST: 4}, now)[HOST]
        assert order.permits == 0
        starts += [now + start for start in order.starts]
        table.take_back(worker, {HOST: len(order.starts)})
    starts.sort()
    assert len(starts) >= 0.9 * 20 * 5
    assert min(b - a for a, b in itertools.pairwise(starts)) > 0.0499


def test_a_pause_that_one_worker_was_asked_for_is_everybodys() -> None:
    table = permits(per_host=4)
    table.orders("a", {HOST: 2}, 0.0)
    table.orders("b", {HOST: 2}, 0.0)
    table.learn({HOST: Seen(answers=1, answered=0.0, pause=30.0)}, 1.0)
    assert table.orders("b", {}, 2.0)[HOST].wait == pytest.approx(29.0)
    order = table.orders("c", {HOST: 1}, 2.0)[HOST]
    assert (order.permits, order.wait) == (0, pytest.approx(29.0))
    table.take_back("a", {HOST: 2})
    assert table.orders("c", {HOST: 1}, 31.5)[HOST].permits == 1


def test_failures_at_several_workers_set_a_host_aside_and_give_it_up_for_all() -> None:
    table = permits(per_host=32, dead_host_after=4)
    now = 0.0
    for worker in "abcd":
        assert table.orders(worker, {HOST: 4}, now)[HOST].permits == 4
        table.learn({HOST: Seen(failed=1, failures=[("refused", 0.2, 0.1)])}, now := now + 1)
    order = table.orders("a", {}, now)[HOST]
    assert (order.aside, order.most) == (True, 0)
    for worker in "abcd":
        table.take_back(worker, {HOST: 4})
    order = table.orders("e", {HOST: 4}, now)[HOST]
    assert order.aside
    assert order.wait > 1
    now += 3
    assert list(table.orders("e", {HOST: 4}, now)[HOST].starts) == [0.0]
    other = table.orders("a", {HOST: 4}, now)[HOST]
    assert (list(other.starts), other.permits) == ([], 0), "one probe at a time"
    table.learn({HOST: Seen(failed=1, failures=[("refused", 0.5, 0.1)])}, now + 1)
    table.take_back("e", {HOST: 1})
    assert table.orders("a", {HOST: 1}, now + 1)[HOST].fault == "refused"


def test_an_answer_at_one_worker_outweighs_failures_at_another() -> None:
    table = permits(per_host=32, dead_host_after=2)
    for worker in "ab":
        table.orders(worker, {HOST: 4}, 0.0)
    table.learn({HOST: Seen(failed=1, failures=[("timeout", 5.0, 1.0)])}, 10.0)
    table.learn({HOST: Seen(answers=1, answered=0.5)}, 10.0)
    table.learn({HOST: Seen(failed=1, failures=[("timeout", 4.0, 0.1)])}, 10.0)  # began before that answer
    assert not table.hosts.get(HOST).aside
    assert table.hosts.answered


@pytest.mark.parametrize("seed", range(5))
def test_workers_in_any_order_stay_within_the_limit_and_get_their_share(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides together: workers that start requests whenever they may, over a clock of their own that is off."""
    generator, clock = random.Random(seed), [0.0]
    http = HttpConfig(per_host=7)
    table = Permits(HostTable(http))
    offsets = {worker: generator.uniform(0, 1e6) for worker in "abcd"}
    workers = {worker: LeasedHosts(http) for worker in offsets}
    flying: list[tuple[str, float]] = []
    done: Counter[str] = Counter()
    for _ in range(4000):
        clock[0] += 0.01
        worker = generator.choice("abcd")
        own = clock[0] + offsets[worker]
        monkeypatch.setattr("time.monotonic", lambda: own)  # noqa: B023 - called at once
        hosts = workers[worker]
        match generator.randrange(3):
            case 0 if hosts.ready(HOST, own):
                hosts.started(HOST, own)
                flying.append((worker, own))
            case 1 if mine := [one for one in flying if one[0] == worker]:
                flying.remove(one := generator.choice(mine))
                hosts.over(HOST, one[1], own)
                hosts.said(HOST, Response(200), one[1], own)
                done[worker] += 1
            case 2:
                seen, wanted, returned = hosts.seen(), hosts.wanted(), hosts.returned()
                table.learn(seen, clock[0])
                table.take_back(worker, returned)
                hosts.obey(table.orders(worker, wanted, clock[0]))
        assert len(flying) <= table.out(HOST) <= 7
    assert min(done.values()) > 50
