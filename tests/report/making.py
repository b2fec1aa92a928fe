"""Small real runs for the tests of the report: drawn pictures in folders, collected, listed, embedded and judged."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from imagenet_nk.backbones import model
from imagenet_nk.centers import stage as centers_stage
from imagenet_nk.centers.classifier import NearestClassMean
from imagenet_nk.centers.file import load_centers
from imagenet_nk.classes import loading
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.collect.stage import Job, collect
from imagenet_nk.config import (
    BackboneConfig,
    ClassesConfig,
    HttpConfig,
    InspectConfig,
    LabelsConfig,
    Materialize,
    Part,
    Retry,
)
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.evaluation import stage as evaluation_stage
from imagenet_nk.lists import stage as lists_stage
from imagenet_nk.report import build
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder
from imagenet_nk.sources.demo import pictures
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.none import NoSource

BACKBONE = BackboneConfig(name="test_resnet", pretrained=False, device="cpu", threads=2)


def wnids(count: int) -> tuple[str, ...]:
    return label_map(count).wnids


def label_map(count: int, labels: LabelsConfig | None = None) -> LabelMap:
    return loading.load(ClassesConfig(table="imagenet-1k", limit=count), labels or LabelsConfig(order="sorted"))


@dataclass
class Run:
    """A data set in the making: pictures under `root`, then the stages one by one."""

    place: Path
    count: int  # classes
    each: int  # pictures of a class

    @property
    def root(self) -> Path:
        return self.place / "root"

    @property
    def folder(self) -> Path:
        return self.place / "dataset"

    @property
    def output(self) -> Path:
        return self.place / "output"

    @property
    def page(self) -> Path:
        return self.output / build.PAGE

    def draw(self) -> None:
        """Pictures under names that tell nothing of their class, so that only pixels can betray a swap."""
        for wnid in wnids(self.count):
            for serial in range(self.each):
                self.put(wnid, f"{serial:03}", pictures.draw_picture(wnid, serial))

    def put(self, wnid: str, name: str, picture: Image.Image, quality: int = 90) -> None:
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality)
        path = self.root / wnid / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.getvalue())

    def swap_folders(self, one: str, other: str) -> None:
        (self.root / one).rename(self.root / "aside")
        (self.root / other).rename(self.root / one)
        (self.root / "aside").rename(self.root / other)

    def collect(self, nk: int | None = None, labels: LabelsConfig | None = None) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        map_ = label_map(self.count, labels)
        collect(
            Job(
                source=Full(str(self.root), Part.train, Materialize.copy, False),
                fallback=NoSource(),
                sampling=RandomOrder(0),
                split=EvalOnly(),
                label_map=map_,
                nk=nk,
                folder=self.folder,
                http=HttpConfig(),
                inspect=InspectConfig(),
                retry=Retry.none,
                fingerprint="test",
            )
        )
        lists_stage.write(self.folder, map_, " ", EvalOnly())

    def judge(self, labels: LabelsConfig | None = None, backbone: BackboneConfig = BACKBONE) -> None:
        listed, map_ = lists_stage.read(self.folder), label_map(self.count, labels)
        setting = EmbeddingConfig(backbone, cache=self.folder)
        computed = centers_stage.compute_all(make_runs(setting, self.output), listed.entries, map_, listed.sha256)
        centers_stage.save(computed[0])
        evaluation_stage.evaluate_all(computed, listed.entries, map_)

    def classifier(self, to: Path) -> BackboneConfig:
        """The backbone with a head of 1000 classes that knows the pictures of this run, judged before, as a file."""
        known = load_centers(self.output)
        head = torch.nn.Linear(known.centers.shape[1], 1000)
        order = {wnid: place for place, wnid in enumerate(wnids(1000))}
        taught = NearestClassMean(known.centers).as_linear()
        with torch.no_grad():
            head.weight.zero_()
            head.bias.fill_(-1e9)
            for row, wnid in enumerate(known.wnids):
                head.weight[order[wnid]], head.bias[order[wnid]] = taught.weight[row], taught.bias[row]
        weights = model.build(BACKBONE, 0).model.state_dict()
        weights |= {"fc.weight": head.weight.detach(), "fc.bias": head.bias.detach()}
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, to)
        return replace(BACKBONE, checkpoint=str(to))

    def report(self) -> str:
        """The page's text."""
        build.write(self.folder, self.output)
        return self.page.read_text(encoding="utf-8")

    def copy(self, place: Path) -> Run:
        """The same run elsewhere, to be spoiled there."""
        shutil.copytree(self.place, place, dirs_exist_ok=True)
        return Run(place, self.count, self.each)
