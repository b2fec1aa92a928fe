"""The stages of a run, in order: their parts are built here, out of plain typed settings."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from imagenet_nk.app import plan
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.collect import recovery
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.stage import check, collect
from imagenet_nk.config import Config, DemoConfig
from imagenet_nk.dataset.dataset import fingerprint
from imagenet_nk.dataset.folder_layout import LOCK
from imagenet_nk.dataset.summary import Summary
from imagenet_nk.engine.contract import Engine
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists import stage as listing
from imagenet_nk.lists.stage import LoadedLists
from imagenet_nk.progress import run_summary
from imagenet_nk.progress.display import Display
from imagenet_nk.progress.stage_timer import StageTimer
from imagenet_nk.run_outcome import COMPLETE, SHORT
from imagenet_nk.sources.none import NoSource
from imagenet_nk.storage.files import local_dir_for, resolve
from imagenet_nk.storage.run_lock import run_lock
from imagenet_nk.trackers.base import RunRecord, Tracker

if TYPE_CHECKING:
    from imagenet_nk.embedding.labeled_images import Entries
    from imagenet_nk.embedding.run import BackboneRun

log = logging.getLogger(__name__)


def run(cfg: DictConfig, config: Config, engine: Engine, label_map: LabelMap, folder: Path, home: Path) -> int:
    """Run the stages that the configuration names; returns the exit code of the job.

    `cfg` is what `config` was made of. `folder`: of the data set; `home`: its folder on this machine.
    """
    output = Path(HydraConfig.get().runtime.output_dir)
    job = _job(cfg, config, label_map, folder, engine)
    if config.plan:
        sys.stdout.writelines(f"{line}\n" for line in plan.describe(job, config.stages, config.backbone.name))
        return COMPLETE
    tracker = instantiate(cfg.tracker)
    _check_asked(config, label_map, folder, collected=False)
    # Built before anything is collected: a mistake in the backbone is to show at once, not hours later.
    embedding = _embedding(config, home, output, engine) if {"centers", "evaluate"} & set(config.stages) else []
    timer, began = StageTimer(output), time.time()
    summary, listed = _gathered(config, job, timer)
    notes: list[str] = []
    if listed:
        _check_asked(config, label_map, folder, collected=True)
        notes = _centers(config, label_map, folder, listed, embedding, timer)
    shown: list[Path] = []
    if "report" in config.stages:
        with timer.stage("report"):
            shown = _report(config, job, output)
    _track(tracker, cfg, config, output)
    files = run_summary.files_written([folder, output, *(each.output for each in embedding), *shown], began)
    log.info(
        "summary\n%s",
        run_summary.format_summary(summary or run_summary.read_summary(folder), timer.stages, files, notes),
    )
    if embedding and listed is None:
        raise DatasetError(f"not one image was kept, so there are no centers: see the reasons in {folder}/classes.csv")
    complete = summary is None or not summary.short
    return COMPLETE if complete or not config.require_complete else SHORT


def _gathered(config: Config, job: Job, timer: StageTimer) -> tuple[Summary | None, LoadedLists | None]:
    """The stages collect and lists; then the lists, if there is a stage that works on them, and an image in them.

    Another job of the same data set waits until these are read: what it writes is not what this one goes on with.
    """
    summary, stages = None, set(config.stages)
    if "collect" in stages:
        check(job)  # before the lock makes a folder
    with run_lock(job.home / LOCK) if {"collect", "lists"} & stages else nullcontext():
        if "collect" in stages:
            with timer.stage("collect"), _display("collect") as display:
                summary = collect(job, display.collecting)
        else:
            recovery.finalize_killed_run(job.folder, job.label_map, job.split, job.inspect, job.home)
        if "lists" in stages:
            with timer.stage("lists"):
                listing.write(job.folder, job.label_map, config.lists.separator, job.split)
        held = summary or run_summary.read_summary(job.folder)
        if not {"centers", "evaluate"} & stages or (held is not None and not held.kept):
            return summary, None
        listed = listing.read(job.folder)
    listing.warn_of_another_split(listed, job.split)
    return summary, listed


def _embedding(config: Config, home: Path, output: Path, engine: Engine) -> list[BackboneRun]:
    """Each backbone of the run, built, with the folder for its results."""
    # These import torch and timm, which takes seconds that collecting alone does not need.
    from imagenet_nk.backbones.allocator import reuse_large_blocks
    from imagenet_nk.embedding.distributed.select import select_executor
    from imagenet_nk.embedding.run import EmbeddingConfig, make_runs

    reuse_large_blocks()
    executor = select_executor(engine)
    return make_runs(EmbeddingConfig(config.backbone, config.centers, home, config.seed, executor), output)


def _centers(
    config: Config,
    label_map: LabelMap,
    folder: Path,
    listed: LoadedLists,
    embedding: list[BackboneRun],
    timer: StageTimer,
) -> list[str]:
    """The stages centers and evaluate; gives what nobody must miss of it.

    Raises DatasetError where another run took images away meanwhile.
    """
    from imagenet_nk.centers.stage import BackboneCenters, compute_all, save
    from imagenet_nk.evaluation.stage import evaluate_all, label_check_warnings, load_eval_list

    held_out: Entries = []
    if "evaluate" in config.stages:
        held_out = load_eval_list(config.evaluate, label_map) or listed.held_out

    def compute(display: Display) -> list[BackboneCenters]:
        """Centers, and the embeddings of all images that the stages of this run need."""
        progress = display.embedding
        return compute_all(embedding, listed.entries, label_map, listed.sha256, progress, held_out=held_out)

    computed, notes = list[BackboneCenters](), list[str]()
    if "centers" in config.stages:
        with timer.stage("centers"), _display("centers") as display:
            computed = compute(display)
            for each in computed:
                save(each)
    if "evaluate" in config.stages:
        with timer.stage("evaluate"), _display("evaluate") as display:
            computed = computed or compute(display)
            metrics = evaluate_all(computed, listed.entries, label_map, held_out=held_out, settings=config.evaluate)
            notes = label_check_warnings(metrics)
    listing.check_images_exist(folder, listed)
    return notes


def _check_asked(config: Config, label_map: LabelMap, folder: Path, *, collected: bool) -> None:
    """Raise ListError for an evaluate.list of no use, before hours of work: files may be to come until it is collected.

    One in the data set's own folder may itself be to come.
    """
    asked = config.evaluate.list
    if "evaluate" not in config.stages or asked is None:
        return
    if collected or not resolve(asked).is_relative_to(folder):
        from imagenet_nk.evaluation import stage as judging

        judging.load_eval_list(config.evaluate, label_map, files_exist=collected)


def _display(stage: str) -> Display:
    """On the terminal; lines in the log for a job that has it in common with others."""
    hydra = HydraConfig.get()
    one_of_many = hydra.mode == RunMode.MULTIRUN and "BasicLauncher" not in str(hydra.launcher._target_)
    return Display(stage, Console(stderr=True, force_terminal=False) if one_of_many else None)


def _track(tracker: Tracker, cfg: DictConfig, config: Config, output: Path) -> None:
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    for run in [output / name for name in config.backbone.models] or [output]:
        tracker.log(RunRecord(run, settings))


def _report(config: Config, job: Job, output: Path) -> list[Path]:
    """The runs that were reported on; each has a page now."""
    from imagenet_nk.report import build, find_run

    several = [output / name for name in config.backbone.models if (output / name).is_dir()]
    shown = [find_run.to_show(config.report.run, run, job.folder, Path("outputs")) for run in several or [output]]
    for run in shown:
        build.write(job.folder, run, job.home)
    return shown


def _job(cfg: DictConfig, config: Config, label_map: LabelMap, folder: Path, engine: Engine) -> Job:
    settings: dict[str, Any] = {
        name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("source", "fallback", "sampling", "inspect")
    }
    policy = {name: getattr(config.http, name) for name in ("allow_private", "respect_opt_out", "robots_txt")}
    return Job(
        source=instantiate(cfg.source),
        # Photographs have no place among drawn pictures, and the demo is to work without a network.
        fallback=NoSource() if isinstance(config.source, DemoConfig) else instantiate(cfg.fallback),
        sampling=instantiate(cfg.sampling, seed=config.seed),
        split=instantiate(cfg.split),
        label_map=label_map,
        nk=config.nk,
        folder=folder,
        http=config.http,
        inspect=config.inspect,
        retry=config.retry,
        fingerprint=fingerprint({**settings, "seed": config.seed, "nk": config.nk, "wnids": label_map.wnids, **policy}),
        engine=engine,
        local=local_dir_for(folder, config.dataset.state_dir),
    )
