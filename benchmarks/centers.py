"""How near the stage `centers` comes to the limit of this machine, and how far from the usual loop.

    python benchmarks/centers.py --photographs ../shared/data/imagenet-samples --models resnet50 vit_small_patch16_224

Per model, in one process and on the same photographs (weights are random: they do not change the time):

    decode    images/s of decoding, resizing and cropping alone, all cores
    model     images/s of the model alone on crops in memory, all cores, with the runtime that the stage chose
    limit     cores / (CPU seconds to decode an image + CPU seconds of its forward pass), which is what both take of
              a core when all cores are at it: 1 / (1 / decode + 1 / model)
    stage     images/s of stage.compute_all: the pass, statistics, writing; `whole` is with what is done once:
              building the model, counting its operations, trying the runtimes
    plain     images/s of DataLoader(num_workers=2) over timm's transform and an fp32 forward pass of 32 images

and the ratios: stage / limit, whole / limit, stage / plain, and `cpu`: the CPU seconds an image of
decoding and of the model, over those that stage.compute_all took. Unlike the others `cpu` says little of waiting, and
other programs disturb it little. All of them take turns, some rounds long, for a machine is not as quick at all times;
each figure is the median over the rounds, and each ratio that of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch.utils.data import DataLoader, Dataset

from imagenet_nk.backbones.allocator import reuse_large_blocks
from imagenet_nk.backbones.devices import single_threaded
from imagenet_nk.centers import stage
from imagenet_nk.config import BackboneConfig
from imagenet_nk.embedding.plan import resolve_plan
from imagenet_nk.embedding.run import BackboneRun, EmbeddingConfig, make_runs
from imagenet_nk.engine import cpu_count


@dataclass
class Map:
    wnids: list[str]
    labels: list[int]
    names: list[str]


@dataclass
class Row:
    model: str
    pixels: str
    runtime: str
    batch: int
    decode: float
    model_alone: float
    limit: float
    stage: float
    stage_whole: float
    plain: float
    stage_over_limit: float
    whole_over_limit: float
    stage_over_plain: float
    cpu: float


class Photographs(Dataset):
    def __init__(self, paths, transform):
        self.paths, self.transform = paths, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def plain_loop(name: str, paths: list[Path], cores: int) -> float:
    torch.set_num_threads(cores)
    model = timm.create_model(name, num_classes=0).eval()
    loader = DataLoader(
        Photographs(paths, create_transform(**resolve_model_data_config(model))), batch_size=32, num_workers=2
    )
    with torch.inference_mode():
        started = time.perf_counter()
        kept = [model(batch) for batch in loader]
        seconds = time.perf_counter() - started
    assert sum(map(len, kept)) == len(paths)
    return len(paths) / seconds


def decode_alone(crops, paths: list[Path], cores: int) -> tuple[float, float]:
    """Images/s with every core decoding, and CPU seconds an image."""
    data = [path.read_bytes() for path in paths]
    with ThreadPoolExecutor(cores) as pool:
        return timed(lambda: len(list(pool.map(crops, data))))


def model_alone(forward, shape, batch: int, cores: int, seconds: float) -> tuple[float, float]:
    """Images/s with every core in its own forward pass, and CPU seconds an image."""
    crops = np.random.default_rng(0).integers(0, 256, (batch, *shape, 3), dtype=np.uint8)
    with single_threaded(True), ThreadPoolExecutor(cores) as pool:
        list(pool.map(forward, [crops] * cores))
        started = time.perf_counter()
        list(pool.map(forward, [crops] * cores))
        rounds = max(1, round(seconds / (time.perf_counter() - started)))
        return timed(lambda: batch * len(list(pool.map(forward, [crops] * cores * rounds))))


def timed(work) -> tuple[float, float]:
    """Images/s, and CPU seconds an image; `work` returns its number of images."""
    wall, cpu = time.perf_counter(), time.process_time()
    count = work()
    return count / (time.perf_counter() - wall), (time.process_time() - cpu) / count


@dataclass
class Stage:
    """The stage over some photographs, each a class of its own, as often as asked; every time with an empty store."""

    config: BackboneConfig
    paths: list[Path]

    def __post_init__(self) -> None:
        wnids = [path.name.split("_")[0] for path in self.paths]
        self.label_map = Map(wnids, list(range(len(wnids))), wnids)
        self.entries = [(path, label) for label, path in enumerate(self.paths)]
        started = time.perf_counter()
        (run,) = make_runs(EmbeddingConfig(self.config), Path())
        self.plan = resolve_plan(run.plan, self.paths)
        _ = self.plan.backbone.gmacs  # counted once a run
        self.building = time.perf_counter() - started

    def run(self, folder: Path) -> tuple[float, float]:
        """Images/s of stage.compute_all, and CPU seconds an image."""
        run = BackboneRun(EmbeddingConfig(self.config), folder, self.plan)

        def work() -> int:
            stage.save(stage.compute_all([run], self.entries, self.label_map, "")[0])
            return len(self.paths)

        rate, cpu = timed(work)
        shutil.rmtree(folder / "embeddings")
        return rate, cpu


def measured(name: str, paths: list[Path], args: argparse.Namespace, cores: int) -> Row:
    config = BackboneConfig(
        name=name, pretrained=False, device="cpu", batch_size=args.batch, preprocess=args.preprocess
    )
    it = Stage(replace(config, runtime=args.runtime, dtype=args.dtype), paths)
    batch, shape = it.plan.concurrency["batch_size"], it.plan.backbone.input_size
    some = paths[:: max(1, len(paths) // 300)]
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            decode, decode_cpu = decode_alone(it.plan.preprocessor, some, cores)
            rate, cpu = it.run(Path(folder))
            model, model_cpu = model_alone(it.plan.runtime.forward, shape, batch, cores, args.seconds)
            plain = plain_loop(name, paths[: args.plain_images or None], cores)
            limit, whole = 1 / (1 / decode + 1 / model), 1 / (it.building / len(paths) + 1 / rate)
            figures = decode, model, limit, rate, whole, plain
            ratios = rate / limit, whole / limit, rate / plain, (decode_cpu + model_cpu) / cpu
            rounds.append([*figures, *ratios])
    return Row(name, args.preprocess, it.plan.runtime.name, batch, *np.median(rounds, axis=0).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="folder of <wnid>_*.JPEG")
    parser.add_argument("--models", nargs="+", default=["resnet50", "vit_small_patch16_224", "mobilenetv3_small_100"])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--plain-images", type=int, default=0, help="fewer for the plain loop; 0 = the same")
    parser.add_argument("--batch", type=int, help="images a forward pass; found out if not given")
    parser.add_argument("--preprocess", default="timm", choices=["timm", "torch"])
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seconds", type=float, default=4, help="of measuring the model alone, each time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    paths = sorted(args.photographs.glob("*.JPEG"))[: args.images]
    cores = cpu_count.cores()
    print(f"{len(paths)} photographs, {cores} cores, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    rates = ("decode", "model_alone", "limit", "stage", "stage_whole", "plain")
    ratios = ("stage_over_limit", "whole_over_limit", "stage_over_plain", "cpu")
    print(f"{'model':24}{'runtime':14}" + "".join(f"{key.replace('_over_', '/'):>14}" for key in rates + ratios))
    rows = []
    for name in args.models:
        row = asdict(measured(name, paths, args, cores))
        rows.append(row)
        figures = [f"{row[key]:14.1f}" for key in rates] + [f"{row[key]:14.3f}" for key in ratios]
        print(f"{name:24}{row['runtime']:14}" + "".join(figures), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    reuse_large_blocks()
    main()
