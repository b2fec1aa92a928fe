"""Listing a full ImageNet folder (1000 classes, 1,281,167 files) as a ratio to `find`, and the memory it takes.

    python benchmarks/full_listing.py [--classes 1000] [--folder DIR]

Wanted: at most 2. Files are empty; the folder is made in a temporary place and removed. Both sides run several times,
in turn, on a warm cache; the best of each counts. "listed" is every class's candidates in draw order with ids and
places, one class at a time as the collector asks for them.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from imagenet_nk.config import HttpConfig
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.local.source import Full

IMAGES, CLASSES = 1_281_167, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--folder", help="where to make the files; default: the usual temporary folder")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder) / "train"
        files = make(root, arguments.classes)
        measure(root, files, arguments.rounds)


def make(root: Path, classes: int) -> int:
    """Empty files under the names of ILSVRC2012; returns how many."""
    share = IMAGES // CLASSES
    for wnid in names(classes):
        (root / wnid).mkdir(parents=True)
        for number in range(share):
            (root / wnid / f"{wnid}_{number * 11}.JPEG").touch()
    return share * classes


def names(classes: int) -> list[str]:
    return [f"n{1_440_764 + 1000 * number:08d}" for number in range(classes)]


def measure(root: Path, files: int, rounds: int) -> None:
    find, listing, drawn = [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        with subprocess.Popen(["find", str(root), "-type", "f"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert sum(chunk.count(b"\n") for chunk in iter(lambda: process.stdout.read(1 << 16), b"")) == files
        find.append(time.perf_counter() - start)
        source = Full(str(root.parent))
        start = time.perf_counter()
        source.open(names(CLASSES), SourceContext(root, HttpConfig(), RandomOrder(0)))
        assert sum(len(source._layout.files(wnid).files) for wnid in source._layout.wnids) == files
        listing.append(time.perf_counter() - start)
        start = time.perf_counter()
        assert sum(1 for wnid in names(CLASSES) for _ in source.candidates(wnid)) == files
        drawn.append(time.perf_counter() - start)
    print(f"files                  {files}")
    print(f"find                   {min(find):.2f} s")
    print(f"listed                 {min(listing):.2f} s   ratio {min(listing) / min(find):.2f}")
    print(f"listed and drawn       {min(drawn):.2f} s   ratio {min(drawn) / min(find):.2f}")
    print(f"peak memory            {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
