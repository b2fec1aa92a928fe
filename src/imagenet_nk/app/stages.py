"""Runs the stages of a job in order; builds what they need from typed settings."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console

from imagenet_nk.app import plan
from imagenet_nk.app.job_setup import JobSetup
from imagenet_nk.collect import recovery
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.stage import check, collect
from imagenet_nk.config import Config, DemoConfig, FullConfig
from imagenet_nk.dataset.dataset import fingerprint
from imagenet_nk.dataset.folder_layout import LOCK
from imagenet_nk.dataset.summary import Summary
from imagenet_nk.errors import DatasetError
from imagenet_nk.export.contract import Exporter
from imagenet_nk.export.stage import export
from imagenet_nk.lists import stage as listing
from imagenet_nk.lists.stage import LoadedLists
from imagenet_nk.lists.verify import verify
from imagenet_nk.progress import run_summary
from imagenet_nk.progress.display import Display
from imagenet_nk.progress.stage_timer import StageTimer
from imagenet_nk.run_outcome import COMPLETE, SHORT
from imagenet_nk.sources.none import NoSource
from imagenet_nk.storage.files import resolve
from imagenet_nk.storage.run_lock import run_lock
from imagenet_nk.trackers.base import RunRecord, Tracker
from imagenet_nk.wording import one_line

if TYPE_CHECKING:
    from imagenet_nk.embedding.labeled_images import Entries
    from imagenet_nk.embedding.run import BackboneRun

log = logging.getLogger(__name__)


def run(setup: JobSetup) -> int:
    """Run the stages that the configuration names; returns the exit code of the job."""
    config = setup.config
    output = Path(HydraConfig.get().runtime.output_dir)
    job = _job(setup)
    if config.plan:
        sys.stdout.writelines(f"{line}\n" for line in plan.describe(job, config.stages, config.backbone.name))
        return COMPLETE
    tracker: Tracker = instantiate(setup.cfg.tracker)
    exporter = _exporter(setup) if "export" in setup.stages else None
    _check_eval_list(setup, files_exist=False)
    # Built before anything is collected: a mistake in the backbone shows at once, not hours later.
    runs = _backbone_runs(setup, output) if {"centers", "evaluate"} & setup.stages else []
    timer, started = StageTimer(output), time.time()
    summary, lists, differing = _collect_and_list(setup, job, timer)
    notes: list[str] = []
    if lists:
        _check_eval_list(setup, files_exist=True)
        notes = _embed_and_evaluate(setup, lists, runs, timer)
    reported: list[Path] = []
    if "report" in setup.stages:
        with timer.stage("report"):
            reported = _report(setup, output)
    if exporter is not None:
        target = resolve(config.export.dir) if config.export.dir else output / "export"
        with timer.stage("export"):
            export(exporter, setup.folder, target, require_complete=config.require_complete)
    if "verify" in setup.stages:
        with timer.stage("verify"):
            differing += verify(setup.folder, output)
    for folder in [output / name for name in config.backbone.models] or [output]:
        _track(tracker, RunRecord(folder, cast(dict[str, Any], OmegaConf.to_container(setup.cfg, resolve=True))))
    folders = [setup.folder, output, *(each.output for each in runs), *reported]
    dataset_summary = summary or run_summary.read_summary(setup.folder)
    files = run_summary.files_written(folders, started)
    log.info("summary\n%s", run_summary.format_summary(dataset_summary, timer.stages, files, notes))
    if runs and lists is None:
        raise DatasetError(f"no image was kept, so there are no centers: see the reasons in {setup.folder}/classes.csv")
    is_complete = (summary is None or not summary.short) and not differing
    return COMPLETE if is_complete or not config.require_complete else SHORT


def _track(tracker: Tracker, run: RunRecord) -> None:
    """Log a run; a tracker that fails does not fail a finished run."""
    try:
        tracker.log(run)
    except Exception as error:  # noqa: BLE001 - whatever a tracker's library raises
        log.warning("%s was not logged to the tracker: %s", run.output, one_line(error)[:300])


def _exporter(setup: JobSetup) -> Exporter:
    settings = cast(dict[str, Any], OmegaConf.to_container(setup.cfg.export, resolve=True))
    settings.pop("dir")
    exporter: Exporter = instantiate(settings)
    return exporter


def _collect_and_list(setup: JobSetup, job: Job, timer: StageTimer) -> tuple[Summary | None, LoadedLists | None, int]:
    """The stages collect and lists. Returns the lists too, if a later stage needs them and they have an image, and how
    many images of the manifest the lists had to leave out.

    The lock is held until the lists are read, so that another job cannot change them in between.
    """
    summary, absent = None, 0
    if "collect" in setup.stages:
        check(job)  # before the lock makes a folder
    with run_lock(job.home / LOCK) if {"collect", "lists"} & setup.stages else nullcontext():
        if "collect" in setup.stages:
            with timer.stage("collect"), _display("collect") as display:
                summary = collect(job, display.collecting)
        else:
            recovery.finalize_killed_run(job.folder, job.label_map, job.split, job.inspect, job.home)
        if "lists" in setup.stages:
            with timer.stage("lists"):
                absent = listing.write(job.folder, job.label_map, setup.config.lists.separator, job.split)
        dataset_summary = summary or run_summary.read_summary(job.folder)
        is_empty = dataset_summary is not None and not dataset_summary.kept
        if is_empty or not {"centers", "evaluate"} & setup.stages:
            return summary, None, absent
        lists = listing.read(job.folder)
    listing.warn_of_another_split(lists, job.split)
    return summary, lists, absent


def _backbone_runs(setup: JobSetup, output: Path) -> list[BackboneRun]:
    """Each backbone of the job, built, with the folder for its results."""
    # These import torch and timm, which takes seconds that collecting alone does not need.
    from imagenet_nk.backbones.allocator import reuse_large_blocks
    from imagenet_nk.embedding.distributed.select import select_executor
    from imagenet_nk.embedding.run import EmbeddingConfig, make_runs

    reuse_large_blocks()
    config, executor = setup.config, select_executor(setup.engine)
    return make_runs(EmbeddingConfig(config.backbone, config.centers, setup.home, config.seed, executor), output)


def _embed_and_evaluate(setup: JobSetup, lists: LoadedLists, runs: list[BackboneRun], timer: StageTimer) -> list[str]:
    """The stages centers and evaluate; returns the warnings for the summary.

    Raises DatasetError if another run removed images in the meantime.
    """
    from imagenet_nk.centers.stage import BackboneCenters, compute_all, save
    from imagenet_nk.evaluation.stage import evaluate_all, label_check_warnings

    config, label_map = setup.config, setup.label_map
    held_out, outside = _evaluation_images(setup, lists)

    others = [*(path for path, _ in held_out), *outside]

    def compute(display: Display) -> list[BackboneCenters]:
        """Centers, and the embeddings of all images that the stages of this job need."""
        return compute_all(runs, lists.entries, label_map, lists.sha256, display.embedding, others=others)

    computed, notes = list[BackboneCenters](), list[str]()
    if "centers" in setup.stages:
        with timer.stage("centers"), _display("centers") as display:
            computed = compute(display)
            for each in computed:
                save(each)
    if "evaluate" in setup.stages:
        with timer.stage("evaluate"), _display("evaluate") as display:
            computed = computed or compute(display)
            metrics = evaluate_all(
                computed, lists.entries, label_map, held_out=held_out, outside=outside, settings=config.evaluate
            )
            notes = label_check_warnings(metrics)
    listing.check_images_exist(setup.folder, lists)
    return notes


def _evaluation_images(setup: JobSetup, lists: LoadedLists) -> tuple[Entries, list[Path]]:
    """The images that the centers are evaluated on, and those of no class. Raises ListError where they overlap."""
    from imagenet_nk.evaluation.stage import load_eval_list, load_ood_list, refuse_overlap

    if "evaluate" not in setup.stages:
        return [], []
    settings, own_paths = setup.config.evaluate, [path for path, _ in lists.entries]
    eval_entries, ood_paths = load_eval_list(settings, setup.label_map), load_ood_list(settings)
    refuse_overlap(f"evaluate.list={settings.list}", [path for path, _ in eval_entries], own_paths)
    refuse_overlap(
        f"evaluate.ood={settings.ood}", ood_paths, [*own_paths, *(path for path, _ in eval_entries or lists.held_out)]
    )
    return eval_entries or lists.held_out, ood_paths


def _check_eval_list(setup: JobSetup, *, files_exist: bool) -> None:
    """Raise ListError for an unusable evaluate.list before hours of work.

    files_exist: false before the stage collect, when a list inside the data set's folder may not exist yet either.
    """
    location = setup.config.evaluate.list
    if "evaluate" not in setup.stages or location is None:
        return
    if files_exist or not resolve(location).is_relative_to(setup.folder):
        from imagenet_nk.evaluation.stage import load_eval_list

        load_eval_list(setup.config.evaluate, setup.label_map, files_exist=files_exist)


def _display(stage: str) -> Display:
    """On the terminal, or in the log for a job of a parallel sweep, which shares the terminal with others."""
    hydra = HydraConfig.get()
    is_parallel = hydra.mode == RunMode.MULTIRUN and "BasicLauncher" not in str(hydra.launcher._target_)
    return Display(stage, Console(stderr=True, force_terminal=False) if is_parallel else None)


def _report(setup: JobSetup, output: Path) -> list[Path]:
    """Write a page for each run that the report is about; returns their folders."""
    from imagenet_nk.report import build, find_run

    config = setup.config
    outputs = [output / name for name in config.backbone.models if (output / name).is_dir()] or [output]
    runs = [find_run.select_run(config.report.run, run, setup.folder, Path("outputs")) for run in outputs]
    for run in runs:
        build.write(setup.folder, run, setup.home)
    return runs


def _has_fallback(config: Config) -> bool:
    """Whether what is missing is fetched: never for the demo; for images that are here if it was typed."""
    typed = any(override.startswith(("source@fallback=", "fallback.")) for override in HydraConfig.get().overrides.task)
    return not isinstance(config.source, DemoConfig) and (typed or not isinstance(config.source, FullConfig))


def _job(setup: JobSetup) -> Job:
    cfg, config, label_map = setup.cfg, setup.config, setup.label_map
    settings: dict[str, Any] = {
        name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("source", "fallback", "sampling", "inspect")
    }
    if not _has_fallback(config):
        settings["fallback"] = {}
    policy = {name: getattr(config.http, name) for name in ("allow_private", "respect_opt_out", "robots_txt")}
    return Job(
        source=instantiate(cfg.source),
        fallback=instantiate(cfg.fallback) if _has_fallback(config) else NoSource(),
        sampling=instantiate(cfg.sampling, seed=config.seed),
        split=instantiate(cfg.split),
        label_map=label_map,
        nk=config.nk,
        folder=setup.folder,
        http=config.http,
        inspect=config.inspect,
        retry=config.retry,
        fingerprint=fingerprint({**settings, "seed": config.seed, "nk": config.nk, "wnids": label_map.wnids, **policy}),
        engine=setup.engine,
        local=setup.home,
    )
