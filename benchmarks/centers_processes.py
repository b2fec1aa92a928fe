"""Whether processes make centers quicker on one machine than one process, whose lanes (threads) have all its cores.

    python benchmarks/centers_processes.py --images 600 --model resnet18

Embeds the same drawn JPEGs (500 x 375, random weights) by one process, by engine.processes=2 and by two ranks of a
torchrun, and prints a row for each:

    seconds   of the pass, with the start of workers and the building of their models
    rate      images/s of that
    steady    images/s between the first and the last slice that came in: what a long list would see
    cpu       CPU seconds of all processes, with the start of those that were started for it
    apart     largest relative difference of an embedding from that of one process
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np
from PIL import Image

from imagenet_nk.config import BackboneConfig, Cache, CentersConfig, Keep
from imagenet_nk.embedding.dataset import EmbeddingConfig
from imagenet_nk.embedding.distributed import select
from imagenet_nk.engine.local import Local

SIZE = (500, 375)


def drawn(folder: Path, count: int) -> list[Path]:
    """JPEGs of about 60 kB, as ImageNet's are."""
    paths = []
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (94, 125, 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measured(name: str, model: str, paths: list[Path], processes: int) -> tuple[dict[str, object], np.ndarray]:
    config = BackboneConfig(name=model, pretrained=False, device="cpu", batch_size=16, runtime="channels_last")
    workers = select.crew(Local(processes), Cache.none)
    embedder = EmbeddingConfig(config, CentersConfig(cache_embeddings=Keep.never), crew=workers).embedder(Path())
    embedder.settled(paths)
    spent, started, came, parts = cpu(), time.perf_counter(), [], []
    for part in embedder.stream(paths):
        came.append(time.perf_counter())
        parts.append(part)
    seconds, first = time.perf_counter() - started, len(parts[0].rows)
    steady = (len(paths) - first) / (came[-1] - came[0])
    row = {"by": name, "seconds": round(seconds, 1), "rate": round(len(paths) / seconds, 1), "steady": round(steady, 1)}
    return {**row, "cpu": round(cpu() - spent, 1)}, np.concatenate([part.embeddings for part in parts])


def by_ranks(model: str, folder: Path, count: int) -> tuple[dict[str, object], np.ndarray]:
    before = cpu()
    arguments = ["--model", model, "--images", str(count), "--folder", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, *arguments],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    row = json.loads((folder / "ranks.json").read_text())
    return {**row, "cpu": round(cpu() - before, 1)}, np.load(folder / "ranks.npy")


def rank(model: str, folder: Path, count: int) -> int:
    """What each rank of the torchrun does."""
    from imagenet_nk.embedding.distributed import torchrun

    if torchrun.rank():
        return torchrun.follow()
    torchrun.lead()
    row, embeddings = measured("torchrun, 2 ranks", model, [folder / f"{n}.jpg" for n in range(count)], 1)
    (folder / "ranks.json").write_text(json.dumps(row))
    np.save(folder / "ranks.npy", embeddings)
    torchrun.dismiss()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--folder", type=Path, help="used by the ranks that this script starts")
    given = parser.parse_args()
    if given.folder:
        return rank(given.model, given.folder, given.images)
    with tempfile.TemporaryDirectory() as name:
        paths = drawn(Path(name), given.images)
        alone, reference = measured("1 process", given.model, paths, 1)
        others = [measured("engine.processes=2", given.model, paths, 2), by_ranks(given.model, Path(name), len(paths))]
        rows = [{**alone, "apart": 0.0}]
        for row, embeddings in others:
            apart = np.abs(embeddings - reference).max() / np.abs(reference).max()
            rows.append({**row, "apart": float(f"{apart:.1e}")})
    print(json.dumps({"model": given.model, "images": given.images, "cores": os.cpu_count(), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
