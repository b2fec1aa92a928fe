"""What the tests of the archive share."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from imagenet_nk.config import HttpConfig
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from sources.contract import images
from sources.web import Answer, Asked


def here(tmp_path: Path, sampling: object = None, seed: int = 0, **http: object) -> SourceContext:
    options = HttpConfig(allow_private=True, **http)  # type: ignore[arg-type]
    return SourceContext(tmp_path / "index", options, sampling or RandomOrder(seed))  # type: ignore[arg-type]


def whole_only(data: bytes) -> Callable[[Asked, dict[str, str]], Answer]:
    """A page of a server that ignores Range."""
    return lambda *_: Answer(200, data, {"Content-Type": "application/x-tar"})


def first_distinct(source: Archive, wnid: str, nk: int) -> list[FetchedImage]:
    found = images(source, wnid, nk)
    assert len(found) == nk
    return found


def like_photographs(wnid: str, count: int) -> list[tuple[str, bytes]]:
    """Members whose sizes spread as those of photographs do: the standard deviation is 0.67 of the mean."""
    rng = random.Random(wnid)
    sizes = [int(rng.lognormvariate(9.0, 0.6)) for _ in range(count)]
    return [(f"{wnid}_{i}.JPEG", b"\xff\xd8\xff" + rng.randbytes(size)) for i, size in enumerate(sizes)]


def all_at_once(source: Archive, candidates: list[object]) -> list[FetchedImage | Rejected]:
    """Read candidates step by step in turn, so that none profits from what another has finished with."""
    from sources.contract import fetch

    steps = [source.read(c) for c in candidates]  # type: ignore[arg-type]
    results: list[FetchedImage | Rejected | None] = [None] * len(steps)
    waiting: dict[int, object] = dict.fromkeys(range(len(steps)))
    while waiting:
        asked = {}
        for i, answer in waiting.items():
            try:
                asked[i] = steps[i].send(answer)
            except StopIteration as end:
                results[i] = end.value
        waiting = {i: fetch(request) for i, request in asked.items()}
    return [r for r in results if r is not None]
