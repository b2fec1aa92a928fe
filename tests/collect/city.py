"""A loopback web for collecting over engines: some hosts, and what crosses classes and hosts on purpose.

It counts for itself what the promises are about: how often each address was asked, and how many requests each host had
in hand at once.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from collect import pictures
from collect.hostile import Answer, Asked, Hostile, answer, hostile, redirect
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.collect import stage
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.config import CrossClassDuplicates, HttpConfig, InspectConfig, Retry
from imagenet_nk.dataset.dataset import fingerprint
from imagenet_nk.dataset.summary import Summary
from imagenet_nk.engine.contract import Engine
from imagenet_nk.lists import stage as lists_stage
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder
from imagenet_nk.sources.none import NoSource
from imagenet_nk.sources.urls.source import Urls

WNIDS = (
    "n01440764", "n01443537", "n01484850", "n01491361", "n01494475", "n01496331", "n01498041", "n01514668", "n01514859",
)  # fmt: skip
BUSY, TIRED, DEAD = "127.0.3.3", "127.0.3.4", "127.0.3.9"  # TIRED asks for pauses; nobody listens at DEAD's port
HOSTS = ("127.0.3.1", "127.0.3.2", BUSY, BUSY, BUSY, TIRED)
PER_HOST = 3


@dataclass
class City:
    """`per_class` addresses a class, and their list in the fall11 form."""

    server: Hostile
    folder: Path
    per_class: int = 28
    per_host: int = PER_HOST
    seconds: float = 0.01  # that each answer takes
    busy: Counter[str] = field(default_factory=Counter)  # requests in hand, by host
    most: Counter[str] = field(default_factory=Counter)
    limits: dict[str, Any] = field(default_factory=dict)  # http.*, over those of http()
    tired: int = 2  # answers of TIRED that ask for a pause
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def build(self) -> None:
        """The same web for any port. Each class has one address of each of three placeholders, one whose pixels stand
        in another class as well, some at a dead host, and one that every third class has under the same bytes."""
        generator = random.Random(5)
        lines = []
        for number, wnid in enumerate(WNIDS):
            kinds = generator.choices(["good", "gone", "html", "cut", "dead"], [9, 2, 1, 1, 2], k=self.per_class)
            kinds[:7] = ["sly 0", "sly 1", "sly 2", "known", *(f"twin {number // 2} {n}" for n in range(3))]
            for serial, kind in enumerate(kinds):
                image_id, host = f"{wnid}_{serial}", generator.choice(HOSTS)
                url = self.put(image_id, kind, host)
                lines.append(f"{image_id}\t{url}\n")
        self.server.put("/photo_unavailable.png", answer(pictures.encoded("nothing", "PNG")))
        (self.folder / "urls.txt").write_text("".join(lines))

    def put(self, image_id: str, kind: str, host: str) -> str:
        if kind == "dead":
            return f"http://{DEAD}:9/{image_id}.jpg"
        body = pictures.jpeg(image_id)
        if kind.startswith("sly"):
            body = pictures.jpeg(kind)
        elif kind.startswith("twin"):
            twin = pictures.jpeg(kind)
            body = twin[:2] + b"\xff\xfe\0\x10" + image_id[-14:].encode().rjust(14) + twin[2:]
        pages = {
            "gone": answer(b"", "404 Not Found"),
            "html": answer(b"<html>not here</html>"),
            "cut": answer(body[: len(body) // 2]),
            "known": redirect("/photo_unavailable.png"),
        }
        return self.server.put(f"/{image_id}.jpg", self._slowly(pages.get(kind, answer(body))), host)

    def _slowly(self, data: bytes) -> Answer:
        def page(asked: Asked) -> None:
            host = asked.connection.getsockname()[0]
            with self._lock:
                self.busy[host] += 1
                self.most[host] = max(self.most[host], self.busy[host])
                pause = host == TIRED and self.tired > 0
                self.tired -= pause
            time.sleep(self.seconds)
            with self._lock:
                self.busy[host] -= 1
            asked.send(answer(b"", "503 Service Unavailable", "Retry-After: 1") if pause else data)

        return page

    def images_asked(self) -> Counter[str]:
        """Requests by address, without those that were told to come again."""
        return Counter({path: count for path, count in self.server.counts().items() if path.startswith("/n")})

    def run(self, folder: str, engine: Engine, nk: int | None = 6, watch: ProgressCallback = lambda _: None) -> Summary:
        """The stages collect and lists."""
        inspect = InspectConfig(cross_class_duplicates=CrossClassDuplicates.drop)
        job = Job(
            source=Urls(str(self.folder / "urls.txt")),
            fallback=NoSource(),
            sampling=RandomOrder(0),
            split=EvalOnly(),
            label_map=LabelMap.build({w: n for n, w in enumerate(WNIDS)}, ClassTable("test", WNIDS), "test"),
            nk=nk,
            folder=self.folder / folder,
            http=self.http(),
            inspect=inspect,
            retry=Retry.none,
            fingerprint=fingerprint({"nk": nk}),
            engine=engine,
        )
        summary = stage.collect(job, watch)
        lists_stage.write(job.folder, job.label_map, " ", job.split)
        return summary

    def http(self) -> HttpConfig:
        limits = {"retries": 3, "deadline": 20.0, "first_byte_timeout": 15.0} | self.limits
        return HttpConfig(allow_private=True, per_host=self.per_host, concurrency=30, **limits)

    def overrides(self, folder: str, *more: str) -> list[str]:
        """The same as a command line."""
        return [
            "nk=6", "source=urls", f"source.list={self.folder / 'urls.txt'}", "source@fallback=none",
            f"dataset.dir={self.folder / folder}", f"classes.wnids=[{','.join(WNIDS)}]", "stages=[collect,lists]",
            "http.allow_private=true", f"http.per_host={PER_HOST}", "http.concurrency=30", "http.retries=3",
            "http.deadline=20", "http.first_byte_timeout=15",
            "inspect.cross_class_duplicates=drop",
            f"hydra.run.dir={self.folder / 'outputs' / folder}", *more,
        ]  # fmt: skip

    def outcome(self, folder: str) -> tuple[str, str, list[dict[str, object]]]:
        """What must be the same wherever it was collected: lists, reasons, and the manifest but for its times."""
        into = self.folder / folder
        manifest = pd.read_parquet(into / "manifest.parquet").drop(columns="fetched_at")
        on_disk = {f"{path.relative_to(into)}" for path in (into / "images").rglob("*") if path.is_file()}
        assert on_disk == set(manifest["path"])
        classes = pd.read_csv(into / "classes.csv").drop(columns=["name", "words", "gloss"])  # of the class table
        return (into / "eval.txt").read_text(), classes.to_csv(index=False), manifest.to_dict("records")


@contextmanager
def city(folder: Path) -> Iterator[City]:
    with hostile("0.0.0.0") as server:
        one = City(server, folder)
        one.build()
        yield one


def wait_for(town: City, requests: int) -> None:
    until = time.monotonic() + 60
    while sum(town.server.counts().values()) < requests:
        assert time.monotonic() < until, "the run asks nothing"
        time.sleep(0.01)
