"""All backbones of a run, through the stages `centers` and `evaluate`: one of them, or several in one pass."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imagenet_nk import torchrun
from imagenet_nk.centers import stage
from imagenet_nk.centers.crew import Crew, EngineCrew
from imagenet_nk.centers.embedder import Embedder, Progress
from imagenet_nk.centers.file import Centers
from imagenet_nk.centers.judging import evaluate
from imagenet_nk.centers.listed import Classes, Entries, Setting, check
from imagenet_nk.centers.several import embed_together
from imagenet_nk.config import Cache, EvaluateConfig
from imagenet_nk.engine.base import Engine

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One backbone of a run, built, with the folder for its results."""

    setting: Setting
    output: Path
    embedder: Embedder


def crew(engine: Engine, cache: Cache) -> Crew | None:
    """The workers that a run has for its passes; None if it has this process alone.

    On one machine not by itself: the lanes have all its cores already.
    """
    ranks = torchrun.world() > 1  # by themselves: torchrun.check()
    if not ranks and engine.here and engine.workers(0) == 1:
        return None
    if cache != Cache.none:
        log.warning("cache=%s is for a run in one process: workers decode for themselves", cache)
    if not ranks:
        return EngineCrew(engine)
    from imagenet_nk.centers.ranks import RankCrew  # torch.distributed

    return RankCrew()


def build(setting: Setting, output: Path) -> list[Task]:
    """A task for each of `backbone.names`, with a folder of its own; or the one of `backbone.name`, in `output`."""
    names = setting.backbone.names
    backbones = [replace(setting.backbone, name=name, names=[]) for name in names] or [setting.backbone]
    settings = [replace(setting, backbone=backbone) for backbone in backbones]
    outputs = [output / name for name in names] or [output]
    return [Task(each, to, each.embedder(to)) for each, to in zip(settings, outputs, strict=True)]


def compute(
    tasks: Sequence[Task],
    entries: Entries,
    label_map: Classes,
    list_sha256: str,
    progress: Progress | None = None,
) -> list[Centers]:
    """Stage `centers` of every task. Several backbones share a pass, and each then reads what it left on disk."""
    check(entries, label_map)
    if len(tasks) > 1:
        embed_together([task.embedder for task in tasks], [path for path, _ in entries], progress)
    return [
        stage.compute(
            entries, label_map, task.setting, task.output, list_sha256, embedder=task.embedder, progress=progress
        )
        for task in tasks
    ]


def wrong_labels(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the label check says of the runs whose labels are wrong, all of them or those of some classes."""
    found = [(each["backbone"], each["label_check"]) for each in metrics if each["label_check"]]
    wrong = [(name, checked) for name, checked in found if checked["labels_wrong"] or checked["exchanged"]]
    return [f"{name}: {checked['verdict']}" for name, checked in wrong]


def judge(
    tasks: Sequence[Task],
    entries: Entries,
    label_map: Classes,
    *,
    held_out: Entries = (),
    settings: EvaluateConfig | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Stage `evaluate` of every task."""
    return [
        evaluate(
            entries,
            label_map,
            task.setting,
            task.output,
            held_out=held_out,
            settings=settings,
            embedder=task.embedder,
            progress=progress,
        )
        for task in tasks
    ]
