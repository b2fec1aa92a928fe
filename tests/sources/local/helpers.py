"""What the tests of source=full share."""

from __future__ import annotations

from pathlib import Path

from imagenet_nk.config import HttpConfig, Part
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.local.source import Full

TENCH, GOLDFISH, SHARK = "n01440764", "n01443537", "n01484850"


def folders(root: Path, *names: str) -> Path:
    """Files that hold their own name, so that a mix-up shows."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def opened(root: Path, *wnids: str, seed: int = 0, part: Part = Part.train) -> Full:
    source = Full(str(root), part)
    source.open(wnids or (TENCH, GOLDFISH), SourceContext(root.parent / "index", HttpConfig(), RandomOrder(seed)))
    return source


def ids(source: Full, wnid: str = TENCH) -> list[str]:
    return [candidate.key for candidate in source.candidates(wnid)]
