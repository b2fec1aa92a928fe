"""The broken web of ../shared/web with its real photographs: what is kept is what its ground truth says."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.collect import stage
from imagenet_nk.collect.job import Job
from imagenet_nk.config import HttpConfig, InspectConfig, Retry
from imagenet_nk.engine.local import Local
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder, draw
from imagenet_nk.sources.none import NoSource
from imagenet_nk.sources.urls.source import Urls

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Web:
    urls: Path
    truth: list[dict[str, object]]

    @property
    def wnids(self) -> tuple[str, ...]:
        return tuple(sorted({str(entry["wnid"]) for entry in self.truth}))

    def first_good(self, seed: int, nk: int) -> dict[str, set[object]]:
        """sha256 of what a run must keep of each class."""
        ordered = sorted(self.truth, key=lambda entry: draw(seed, str(entry["wnid"]), entry["id"]))
        good = {wnid: [e["sha256"] for e in ordered if e["wnid"] == wnid and e["good"]] for wnid in self.wnids}
        return {wnid: set(hashes[:nk]) for wnid, hashes in good.items()}


def free_port_base() -> int:
    """A port that is free on all loopback addresses, and the one after it as well."""
    while True:
        base = random.randrange(20_000, 30_000)
        with ExitStack() as held:
            try:
                for port in (base, base + 1):
                    held.enter_context(socket.create_server(("0.0.0.0", port)))
            except OSError:
                continue
            return base


@contextmanager
def broken_web(shared: Path, folder: Path, seed: int, *sizes: str) -> Iterator[Web]:
    options = ["--port-base", str(free_port_base()), "--seed", str(seed), *sizes]
    program = [sys.executable, str(shared / "web" / "chaosweb.py")]
    for what, name in (("list", "urls.txt"), ("truth", "truth.json")):
        subprocess.run([*program, what, *options, "--out", str(folder / name)], check=True)
    server = subprocess.Popen([*program, "serve", *options], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        assert json.loads(server.stdout.readline())["ready"]
        yield Web(folder / "urls.txt", json.loads((folder / "truth.json").read_text())["urls"])
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def collected(
    web: Web, folder: Path, seed: int, nk: int, http: HttpConfig, processes: int = 1
) -> dict[str, set[object]]:
    """sha256 of the files that a run keeps of each class."""
    table = ClassTable("test", web.wnids)
    job = Job(
        source=Urls(str(web.urls)),
        fallback=NoSource(),
        sampling=RandomOrder(seed),
        split=EvalOnly(),
        label_map=LabelMap.build({wnid: number for number, wnid in enumerate(web.wnids)}, table, "test"),
        nk=nk,
        folder=folder,
        http=http,
        inspect=InspectConfig(),
        retry=Retry.none,
        fingerprint="test",
        engine=Local(processes),
    )
    stage.collect(job)
    files = {wnid: sorted((folder / "images" / wnid).glob("*")) for wnid in web.wnids}
    return {wnid: {hashlib.sha256(file.read_bytes()).hexdigest() for file in files[wnid]} for wnid in web.wnids}


@pytest.mark.parametrize(("seed", "classes"), [(0, 10), (1, 9), (2, 9)])  # of ten, one is too poor to be filled
def test_kept_images_are_those_of_the_ground_truth(shared: Path, tmp_path: Path, seed: int, classes: int) -> None:
    """Quicker to give up than by default; no good answer takes more than 2 s there."""
    with broken_web(shared, tmp_path, seed, "--classes", str(classes), "--urls-per-class", "40") as web:
        for concurrency in (16, 256):
            http = HttpConfig(
                concurrency=concurrency, allow_private=True, first_byte_timeout=3.0, deadline=5.0, retries=0
            )
            kept = collected(web, tmp_path / str(concurrency), seed, 10, http)
            assert kept == web.first_good(seed, 10), concurrency


def test_kept_images_are_those_of_the_ground_truth_over_processes(shared: Path, tmp_path: Path) -> None:
    with broken_web(shared, tmp_path, 3, "--classes", "9", "--urls-per-class", "40") as web:
        http = HttpConfig(concurrency=64, allow_private=True, first_byte_timeout=3.0, deadline=5.0, retries=0)
        assert collected(web, tmp_path / "set", 3, 10, http, processes=2) == web.first_good(3, 10)
