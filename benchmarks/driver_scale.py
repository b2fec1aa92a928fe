"""What the driver has to do for ImageNet-21k: 21,841 classes x 500 images, with the results of workers made up.

Another process plays the workers: it sends what theirs would send, pickled, through a pipe. The driver's part is the
program's own: desk, ledger, counting what crosses classes, settling, manifest.parquet, manifest.csv, classes.csv and
eval.txt. There are no image files: where the store would list a class, it lists one folder of as many empty files.

    python benchmarks/driver_scale.py --classes 21841 --images 500 --folder /tmp/scale
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pickle
import resource
import shutil
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from imagenet_nk.classes import LabelMap  # noqa: E402
from imagenet_nk.collect.distributed.class_result import Walk  # noqa: E402
from imagenet_nk.collect.distributed.coordinator import CollectDesk  # noqa: E402
from imagenet_nk.collect.distributed.protocol import Orders, Report, Tally  # noqa: E402
from imagenet_nk.config import HttpConfig, InspectConfig, Materialize  # noqa: E402
from imagenet_nk.dataset.dataset import DataSet  # noqa: E402
from imagenet_nk.dataset.files import IMAGES  # noqa: E402
from imagenet_nk.dataset.image_store import Store  # noqa: E402
from imagenet_nk.dataset.ledger import Values  # noqa: E402
from imagenet_nk.dataset.table_rows import TableContext  # noqa: E402
from imagenet_nk.lists import stage  # noqa: E402
from imagenet_nk.sampling.draw_order import EvalOnly  # noqa: E402

WORKERS = 64
ROWS = 200  # in a report
ASKED = 1.1  # attempts for a kept image: the fall11 list has 14.2 M addresses for 10.9 M images
CLASSES_AT_HAND = 8


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--classes", type=int, default=21_841)
    asked.add_argument("--images", type=int, default=500, help="of each class")
    asked.add_argument("--folder", type=Path, required=True, help="is emptied; wants about 1 kB an image")
    asked.add_argument("--json", type=Path, help="figures for benchmarks/scaling.py")
    asked.add_argument("--keep", action="store_true", help="leave the folder as it is at the end")
    given = asked.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    try:
        figures = measure(given.folder, given.classes, given.images)
    finally:
        if not given.keep:
            shutil.rmtree(given.folder)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure(folder: Path, classes: int, images: int) -> dict[str, Any]:
    """Run all parts on that many classes and images of each; returns seconds by part, and what they add up to."""
    label_map = _label_map(classes)
    dataset = DataSet(folder / "set")
    dataset.store = _Listed(folder / "sample", images)
    desk = CollectDesk(
        label_map.wnids, dataset.ledger, HttpConfig(), InspectConfig(), workers=WORKERS, wanted=lambda _: images
    )
    parts: dict[str, dict[str, float]] = {}
    with _timed("intake", parts) as intake:
        exchanges, waited = _take_in(desk, images)
        dataset.ledger.flush()
        intake["waited"] = waited
    tables = TableContext(label_map, lambda _: images, EvalOnly(), {"urls": Materialize.copy})
    with _timed("tables", parts):
        summary = dataset.finish(list(desk.dealing.walks.values()), "fingerprint", tables)
    with _timed("lists", parts):
        stage.write(folder / "set", label_map, " ", EvalOnly())
    dataset.close()
    assert (summary.kept, summary.short) == (classes * images, ())
    return _said(parts, folder / "set", rows=classes * round(images * ASKED), kept=summary.kept, exchanges=exchanges)


def _label_map(classes: int) -> LabelMap:
    wnids = tuple(f"n{number:08d}" for number in range(classes))
    words = ("word",) * classes
    return LabelMap(wnids, tuple(range(classes)), words, words, words, tuple(range(classes)))


@contextmanager
def _timed(name: str, parts: dict[str, dict[str, float]]) -> Iterator[dict[str, float]]:
    """Wall clock, and CPU of this process with all its threads."""
    part = parts[name] = {"waited": 0.0}
    wall, cpu = time.perf_counter(), time.process_time()
    yield part
    part["wall"], part["cpu"] = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:8} {part['wall'] - part['waited']:7.1f} s, {part['cpu']:7.1f} s CPU", flush=True)


def _said(parts: dict[str, dict[str, float]], folder: Path, rows: int, kept: int, exchanges: int) -> dict[str, Any]:
    print(f"{rows:,} attempts, {kept:,} images, {exchanges:,} reports of {WORKERS} workers")
    busy = sum(part["wall"] - part["waited"] for part in parts.values())
    print(f"in all   {busy / rows * 1e6:.2f} us an attempt")
    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9
    print(f"in all   {busy:7.1f} s, {sum(part['cpu'] for part in parts.values()):7.1f} s CPU; {peak:.2f} GB at most")
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    print("files    " + ", ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in sizes.items() if size > 1e6))
    return {"rows": rows, "kept": kept, "exchanges": exchanges, "parts": parts, "seconds": busy, "peak_gb": peak}


class _Listed(Store):
    """A store without files: it lists a folder of as many, and finds what it should."""

    def __init__(self, sample: Path, images: int) -> None:
        super().__init__(sample)
        self._names = {f"n00000000_{number:05d}.jpg" for number in range(images)}
        (sample / IMAGES / "n").mkdir()
        for name in self._names:
            (sample / IMAGES / "n" / name).touch()

    def settle(self, wnid: str, keep: set[str], unwanted: set[str]) -> None:  # noqa: ARG002 - of any class
        super().settle("n", self._names, unwanted)


# --- the workers


def _take_in(desk: CollectDesk, images: int) -> tuple[int, float]:
    """Let the desk answer until it says stop; returns how many reports it got, and seconds of waiting for them."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    player = spawn.Process(target=_play, args=(there, images), daemon=True)
    player.start()
    there.close()
    exchanges, waited = 0, 0.0
    while True:
        before = time.perf_counter()
        here.poll(None)
        data = here.recv_bytes()
        waited += time.perf_counter() - before
        worker, report = pickle.loads(data)  # noqa: S301 - our own
        orders = desk.exchange(worker, report)
        here.send(orders)
        exchanges += 1
        if orders.stop:
            break
    player.terminate()
    player.join()
    return exchanges, waited


def _play(line: Connection, images: int) -> None:
    """All workers by turns: each sends its classes' rows in pieces, and the class itself with the last."""
    ahead: dict[str, list[Report]] = {f"{number}.1": [] for number in range(WORKERS)}
    while True:
        for worker, reports in ahead.items():
            report = reports.pop(0) if reports else Report(Tally())
            report.room = 0 if reports else CLASSES_AT_HAND
            line.send_bytes(pickle.dumps((worker, report), pickle.HIGHEST_PROTOCOL))
            orders: Orders = line.recv()
            for hand in orders.hands:
                reports += _class(hand.wnid, images)


def _class(wnid: str, images: int) -> list[Report]:
    random = np.random.default_rng(int(wnid[1:]))
    count = round(images * ASKED)
    good = np.ones(count, bool)
    good[random.permutation(count)[images:]] = False
    hashes = random.integers(1, 2**62, (4, count), np.uint64)
    rows = [_row(wnid, draw, bool(good[draw]), *numbers) for draw, numbers in enumerate(hashes.T.tolist())]
    verdicts = {("urls", 0, row[3]): "" if ok else "http_404" for row, ok in zip(rows, good.tolist(), strict=True)}
    packed = zlib.compress(pickle.dumps(verdicts, pickle.HIGHEST_PROTOCOL), 1)
    walk = Walk(
        wnid,
        images,
        True,
        False,
        hashes[0][good],
        hashes[1][good],
        hashes[3][good],
        np.full(images, 3, np.uint8),
        packed,
    )
    reports = [Report(Tally(), rows[first : first + ROWS]) for first in range(0, count, ROWS)]
    reports[-1].walks = [walk]
    return reports


def _row(wnid: str, draw: int, good: bool, content: int, pixels: int, look: int, place: int) -> Values:
    """As values(Attempt(...)) gives it, for less: what is measured is the driver."""
    key = f"{wnid}_{place % 99_999}.{draw}"
    url = f"http://farm{draw % 9}.static.flickr.com/{place % 9_999}/{place}_{place % 0xFFFFFF:x}.jpg"
    asked, answer = ("urls", 0, draw, key, wnid, 1, url), (1, "2026-01-31T12:00:00.000+00:00", 0.4321)
    if not good:
        return (*asked, "", "", "10.20.30.40", 404, "http_404", 0, "", 0, "", 0, 0, 0, 0, "", "", "", *answer)
    found = (place % 200_000, f"{content:016x}" * 4, pixels, look, 500, 375, "JPEG", "RGB", "")
    return (*asked, key, url, "10.20.30.40", 200, "", 0, "", *found, *answer)


if __name__ == "__main__":
    main()
