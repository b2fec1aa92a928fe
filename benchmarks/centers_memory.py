"""Peak memory of the stage `centers` over 100 and over 10,000 images: it must not depend on their number.

    python benchmarks/centers_memory.py --images ../shared/data/tiny-imagenet --model resnet18

Each size runs in a process of its own; the images are linked as often as it takes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

RUN = """
import json, resource, sys
from pathlib import Path
from types import SimpleNamespace
from imagenet_nk.centers import stage
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.config import BackboneConfig
folder, model, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
entries = [(path, n % 100) for n, path in enumerate(sorted((folder / "images").iterdir()))]
names = [f"n{k:08d}" for k in range(100)]
label_map = SimpleNamespace(wnids=names, labels=list(range(100)), names=names)
config = BackboneConfig(name=model, pretrained=False, device="cpu", img_size=size, batch_size=8, runtime="eager")
(computed,) = stage.compute_all(make_runs(EmbeddingConfig(config), folder), entries, label_map, "")
stage.save(computed)
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""
ENV = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent / "src")}


def peak(images: list[Path], count: int, model: str, size: int) -> float:
    """MiB."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images").mkdir()
        for n, path in zip(range(count), itertools.cycle(images), strict=False):
            (Path(folder) / "images" / f"{n:06d}.jpg").symlink_to(path.resolve())
        done = subprocess.run(
            [sys.executable, "-c", RUN, folder, model, str(size)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=ENV,
        )
    return float(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with .JPEG files anywhere below it")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--img-size", type=int, default=64, help="small, so that 10,000 images take a minute")
    args = parser.parse_args()
    images = sorted(args.images.rglob("*.JPEG")) or sorted(args.images.rglob("*.jp*g"))
    few, many = (peak(images, count, args.model, args.img_size) for count in (100, 10_000))
    print(f"{args.model}: {few:.0f} MiB with 100 images, {many:.0f} MiB with 10,000: {many / few:.3f} times as much")


if __name__ == "__main__":
    main()
