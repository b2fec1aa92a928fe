"""What the tests of source=hub share."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.sampling.draw_order import RandomOrder, Sampling
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.hub.source import Hub
from sources.shards import TENCH, WNIDS, dealt, parquet, pictures, webdataset
from sources.tars import jpeg

PARQUET = {f"data/train-{n:05d}-of-00005.parquet": parquet(hand) for n, hand in enumerate(dealt(pictures(20), 5))} | {
    "data/validation-00000-of-00001.parquet": parquet([("x.JPEG", 0, b"val")])
}


TARS = {f"in-train-{n:04d}.tar": webdataset(hand) for n, hand in enumerate(dealt(pictures(20), 5))}


def drawn(per_class: int) -> list[tuple[str, int, bytes]]:
    return [(name, label, jpeg(n, 40)) for n, (name, label, _) in enumerate(pictures(per_class))]


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def opened(source: Hub, tmp_path: Path, sampling: Sampling | None = None, wnids: list[str] = WNIDS) -> Hub:
    source.open(wnids, SourceContext(tmp_path / "index", HttpConfig(), sampling or RandomOrder(0)))
    return source


def fails(source: Hub, tmp_path: Path, wanted: str) -> None:
    """Opening, or asking for candidates, ends in one line that says this."""
    with pytest.raises(SourceError, match=wanted) as error:
        list(islice(opened(source, tmp_path).candidates(TENCH), 5))
    assert "\n" not in str(error.value)
