"""A small web on loopback, and the stage over it."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from collect import pictures
from collect.hostile import Hostile, answer, redirect
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.collect import stage
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.config import HttpConfig, InspectConfig, Retry
from imagenet_nk.dataset.dataset import fingerprint
from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.dataset.summary import Summary
from imagenet_nk.engine.local import Local
from imagenet_nk.lists import stage as lists_stage
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder, Sampling, Split, draw
from imagenet_nk.sources.contract import Source
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.none import NoSource
from imagenet_nk.sources.urls.source import Urls

ROOT = Path(__file__).resolve().parents[2]
WNIDS = ("n01440764", "n01443537", "n01484850")
PLACEHOLDER = pictures.encoded("nothing here", "PNG")
NOTHING = ("/photo_unavailable.png", "/nothing.png")


@dataclass
class Town:
    """A web of `per_class` addresses a class, four in ten of them bad, and its list in the fall11 form."""

    server: Hostile
    folder: Path
    per_class: int = 30
    fates: dict[str, str] = field(default_factory=dict)  # by image id

    def build(self, generator: random.Random) -> None:
        kinds = ["good"] * 6 + ["gone", "html", "cut", "grey"]
        for path in NOTHING:
            self.server.put(path, answer(PLACEHOLDER))
        for wnid in WNIDS:
            for number in range(self.per_class):
                self.put(f"{wnid}_{number}", generator.choice(kinds))
        self.write_list()

    def put(self, image_id: str, fate: str) -> None:
        body = pictures.jpeg(image_id)
        pages = {
            "good": answer(body),
            "gone": answer(b"", "404 Not Found"),
            "html": answer(b"<html>not here</html>"),
            "cut": answer(body[: len(body) // 2]),
            "grey": redirect(NOTHING[0]),
            "sly": redirect(NOTHING[1]),  # nobody knows the address; its bytes must give it away
        }
        self.fates[image_id] = fate
        self.server.put(f"/{image_id}.jpg", pages[fate])

    def write_list(self) -> None:
        lines = [f"{image_id}\t{self.server.url(f'/{image_id}.jpg')}\n" for image_id in self.fates]
        (self.folder / "urls.txt").write_text("".join(lines))

    def first_good(self, nk: int, seed: int = 0) -> dict[str, list[str]]:
        """The first nk good image ids of each class in draw order: what a run must keep."""
        kept = {}
        for wnid in WNIDS:
            mine = [image_id for image_id in self.fates if image_id.startswith(wnid)]
            mine.sort(key=lambda image_id: draw(seed, wnid, image_id))
            kept[wnid] = [image_id for image_id in mine if self.fates[image_id] == "good"][:nk]
        return kept

    def asked(self) -> Counter[str]:
        return Counter({path: count for path, count in self.server.counts().items() if path not in NOTHING})


def label_map(wnids: tuple[str, ...] = WNIDS) -> LabelMap:
    return LabelMap.build({wnid: number for number, wnid in enumerate(wnids)}, ClassTable("test", wnids), "test")


def run(
    town: Town,
    nk: int | None = 5,
    *,
    folder: str = "set",
    source: Source | None = None,
    fallback: Source | None = None,
    seed: int = 0,
    retry: Retry = Retry.none,
    split: Split | None = None,
    inspect: dict[str, object] | None = None,
    sampling: Sampling | None = None,
    processes: int = 1,
    watch: ProgressCallback = lambda _: None,
    **http: object,
) -> Summary:
    """stage.collect and stage.lists, as the pipeline puts them together."""
    limits = {
        "allow_private": True,
        "deadline": 5.0,
        "first_byte_timeout": 2.0,
    }
    into = town.folder / folder
    used = source or Urls(str(town.folder / "urls.txt"))
    inspection = InspectConfig(**(inspect or {}))  # type: ignore[arg-type]
    job = Job(
        source=used,
        fallback=fallback or NoSource(),
        sampling=sampling or RandomOrder(seed),
        split=split or EvalOnly(),
        label_map=label_map(),
        nk=nk,
        folder=into,
        http=HttpConfig(**(limits | http)),  # type: ignore[arg-type]
        inspect=inspection,
        retry=retry,
        fingerprint=fingerprint(
            {
                "seed": seed,
                "nk": nk,
                "source": used.name,
                "fallback": (fallback or NoSource()).name,
                "i": repr(inspection),
            }
        ),
        engine=Local(processes),
    )
    summary = stage.collect(job, watch)
    lists_stage.write(into, job.label_map, " ", job.split)
    return summary


def kept(town: Town, folder: str = "set") -> dict[str, list[str]]:
    """Image ids by class in the order of the list, which must be what stands in images/."""
    into = town.folder / folder
    entries: dict[str, list[str]] = {wnid: [] for wnid in WNIDS}
    lists = [into / name for name in ("eval.txt", "train.txt") if (into / name).is_file()]
    for line in "".join(path.read_text() for path in lists).splitlines():
        path, label = line.split()
        wnid, name = Path(path).parts[-2:]
        assert WNIDS[int(label)] == wnid
        entries[wnid].append(name.rpartition(".")[0])
    on_disk = sorted(path.stem for path in (into / "images").rglob("*") if path.is_file())
    assert on_disk == sorted(image_id for ids in entries.values() for image_id in ids)
    return entries


def settled_twice(town: Town) -> list[str]:
    """Candidates that were settled by one run and asked again by another: those in flight at its end are none."""
    ledger = sqlite3.connect(town.folder / "set" / LEDGER)
    rows = ledger.execute("SELECT key FROM attempts WHERE final GROUP BY source, rank, key HAVING count(*) > 1")
    keys = [key for (key,) in rows]
    ledger.close()
    return keys


def local_copy(town: Town, ids: dict[str, str]) -> Full:
    for image_id, token in ids.items():
        folder = town.folder / "local" / image_id.partition("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{image_id}.JPEG").write_bytes(pictures.encoded(token, "PNG"))
    return Full(str(town.folder / "local"))


def slow(town: Town, seconds: float) -> None:
    for path, page in list(town.server.pages.items()):
        town.server.put(path, lambda asked, page=page: page(asked) if asked.wait(seconds) else None)
