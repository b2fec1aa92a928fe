"""How long ImageNet-21k x 500 images takes on 1 to 64 nodes, and what the limit is: simulated, with measured costs.

    python benchmarks/scaling.py                       measures costs on this machine first, in about a minute
    python benchmarks/scaling.py --costs costs.json    takes those of an earlier run (--save costs.json)

Measured here: CPU of fetching, inspecting and writing an image; what the collector reaches of their sum (collect.py);
the driver's time an attempt and a report (driver_scale.py). Assumed, and said in the output: how long the web takes to
answer (lognormal, cut at http.deadline), the share of addresses that are good, how they fall on hosts (64 % on those of
Flickr, as in the fall11 list; the rest by a power law), and what a node has.

Two models. The *flow* gives every host that has addresses left its share of what all limits together allow, until the
next host runs dry; the *events* follow single requests through permits, wire, decoder and driver, for a hundredth of
the list, and are printed beside the flow of the same hundredth.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import driver_scale  # noqa: E402

import collect  # noqa: E402
from imagenet_nk.collect.distributed.coordinator import CollectDesk  # noqa: E402
from imagenet_nk.collect.distributed.protocol import Report, Tally  # noqa: E402
from imagenet_nk.config import HttpConfig, InspectConfig  # noqa: E402
from imagenet_nk.sources.demo import pictures  # noqa: E402

Floats = NDArray[np.float64]
NODES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Costs:
    """Measured on this machine."""

    image_s: float  # CPU of a worker for one image, the collector's own work included
    attempt_s: float  # of the driver, ledger and tables included
    report_s: float  # of the driver, for a report that carries nothing


@dataclass(frozen=True)
class World:
    """Assumed."""

    images: int
    good: float  # share of the addresses
    latency_s: float  # median
    sigma: float  # of its logarithm
    flickr: float  # share of the addresses
    flickr_hosts: int
    other_hosts: int
    image_bytes: float
    cores: int  # of a node
    gbit: float  # of a node's wire
    per_host: int
    in_flight: int  # of a node
    report_every_s: float

    def requests_by_host(self, scale: float = 1.0) -> Floats:
        total = self.images / self.good * scale
        power = 1 / np.arange(1, self.other_hosts + 1)
        others = power / power.sum() * total * (1 - self.flickr)
        return np.concatenate([np.full(self.flickr_hosts, total * self.flickr / self.flickr_hosts), others])

    def latencies(self, count: int) -> Floats:
        drawn = np.random.default_rng(0).lognormal(np.log(self.latency_s), self.sigma, count)
        return np.minimum(drawn, HttpConfig().deadline)

    def capacities(self, costs: Costs, nodes: int) -> dict[str, float]:
        """Requests a second that each shared limit allows."""
        reports = nodes * self.cores / (self.report_every_s * max(1.0, nodes * self.cores / 200))
        return {
            "requests in flight": nodes * self.in_flight / float(self.latencies(100_000).mean()),
            "wire": nodes * self.gbit * 1e9 / 8 / self.image_bytes / self.good,
            "decoder": nodes * self.cores / costs.image_s / self.good,
            "driver": max(0.0, 1 - reports * costs.report_s) / costs.attempt_s,
        }


def flow(world: World, costs: Costs, nodes: int, scale: float = 1.0) -> tuple[float, Counter[str]]:
    """Seconds in all, and how many of them by what was the limit."""
    shared = world.capacities(costs, nodes)
    narrowest = min(shared, key=shared.__getitem__)
    host_rate = world.per_host / float(world.latencies(100_000).mean())
    seconds, by_limit, done = 0.0, Counter[str](), 0.0
    left = np.sort(world.requests_by_host(scale))
    for index, requests in enumerate(left.tolist()):
        hosts = len(left) - index
        polite = hosts * host_rate
        limit = "politeness" if polite < shared[narrowest] else narrowest
        spent = (requests - done) / (min(polite, shared[narrowest]) / hosts)
        seconds, done = seconds + spent, requests
        by_limit[limit] += spent
    return seconds, by_limit


def events(world: World, costs: Costs, nodes: int, scale: float) -> float:
    """Seconds that a part of the list takes, request by request."""
    random = np.random.default_rng(1)
    counts = np.maximum(1, np.round(world.requests_by_host(scale))).astype(int)
    order = np.repeat(np.arange(len(counts)), counts)
    random.shuffle(order)
    to_come, waiting = deque(order.tolist()), dict.fromkeys(range(len(counts)), 0)
    latencies = iter(world.latencies(len(order)).tolist())
    good = iter((random.random(len(order)) < world.good).tolist())
    busy, in_flight = np.zeros(len(counts), int), 0
    capacities = world.capacities(costs, nodes)
    services = {name: 1 / (capacities[name] * world.good) for name in ("wire", "decoder")}  # of an image
    free = dict.fromkeys((*services, "driver"), 0.0)
    ends: list[tuple[float, int]] = []
    now = 0.0
    while to_come or ends:
        while to_come and in_flight < nodes * world.in_flight:
            host = to_come.popleft()
            if busy[host] >= world.per_host:
                waiting[host] += 1  # the class looks elsewhere until this host has room
                continue
            busy[host], in_flight = busy[host] + 1, in_flight + 1
            heapq.heappush(ends, (now + next(latencies), host))
        now, host = heapq.heappop(ends)
        if next(good):
            for name, service in services.items():
                free[name] = max(free[name], now) + service
        free["driver"] = max(free["driver"], now) + 1 / capacities["driver"]
        if waiting[host]:
            waiting[host] -= 1
            heapq.heappush(ends, (now + next(latencies), host))
        else:
            busy[host], in_flight = busy[host] - 1, in_flight - 1
    return max(now, *free.values())


# --- costs


def measured() -> Costs:
    """Measure on this machine, with drawn pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs = folder / "photographs"
        photographs.mkdir()
        for number in range(1000):
            (photographs / f"{number:04d}.jpg").write_bytes(pictures.encoded("n01440764", number))
        asked = argparse.Namespace(classes=100, photographs=str(photographs), peer=None, threads=(), set=())
        found = collect.clean(asked, folder)
        driver = driver_scale.measure(folder / "driver", 200, 500)
    worker = sum(found["limit"][part] for part in ("fetch", "decode", "write")) / min(1.0, found["of_limit"])
    return Costs(worker, driver["seconds"] / driver["rows"], _report_s())


class _NoLedger:
    def record_rows(self, rows: Sequence[object]) -> None: ...

    def flush(self) -> None: ...

    def settled(self, wnid: str) -> tuple[object, ...]:  # noqa: ARG002 - of any class
        return ()


def _report_s(count: int = 5000) -> float:
    desk = CollectDesk(["n00000000"], _NoLedger(), HttpConfig(), InspectConfig(), workers=64, wanted=lambda _: 1)
    desk.exchange("0.1", Report(Tally(), room=8))
    before = time.perf_counter()
    for number in range(count):
        desk.exchange(f"{number % 64}.1", Report(Tally()))
    return (time.perf_counter() - before) / count


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--costs", type=Path)
    asked.add_argument("--save", type=Path)
    asked.add_argument("--images", type=int, default=21_841 * 500)
    asked.add_argument("--good", type=float, default=0.8)
    asked.add_argument("--latency", type=float, default=0.3, help="median seconds to an answer")
    asked.add_argument("--per-host", type=int, nargs="+", default=[HttpConfig().per_host, 256, 2048])
    asked.add_argument("--flickr-hosts", type=int, default=5)
    asked.add_argument("--cores", type=int, default=8)
    asked.add_argument("--gbit", type=float, default=1.0)
    given = asked.parse_args()
    costs = Costs(**json.loads(given.costs.read_text())) if given.costs else measured()
    if given.save:
        given.save.write_text(json.dumps(asdict(costs), indent=1) + "\n")
    print(f"measured {asdict(costs)}")
    for per_host in given.per_host:
        world = World(
            images=given.images, good=given.good, latency_s=given.latency, sigma=1.0, flickr=0.64,
            flickr_hosts=given.flickr_hosts, other_hosts=20_000, image_bytes=110_000, cores=given.cores,
            gbit=given.gbit, per_host=per_host, in_flight=HttpConfig().concurrency, report_every_s=0.1,
        )  # fmt: skip
        _show(world, costs)


def _show(world: World, costs: Costs) -> None:
    print(f"assumed  {asdict(world)}")
    print("nodes   hours  images/s  time by limit")
    for nodes in NODES:
        seconds, by_limit = flow(world, costs, nodes)
        shares = ", ".join(f"{name} {spent / seconds:.0%}" for name, spent in by_limit.most_common())
        print(f"{nodes:5} {seconds / 3600:7.1f} {world.images / seconds:9,.0f}  {shares}")
    print("a hundredth of the list, in seconds: flow, events")
    for nodes in (1, 4, 16):
        print(f"{nodes:5} {flow(world, costs, nodes, 0.01)[0]:7.1f} {events(world, costs, nodes, 0.01):7.1f}")


if __name__ == "__main__":
    main()
