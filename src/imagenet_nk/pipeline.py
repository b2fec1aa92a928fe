"""The stages of a run, in order: the parts are built here, out of plain typed settings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from imagenet_nk import classes, lists
from imagenet_nk.classes import LabelMap
from imagenet_nk.collect import results
from imagenet_nk.collect.dataset import fingerprint
from imagenet_nk.collect.metadata import download
from imagenet_nk.collect.stage import Job, collect
from imagenet_nk.config import Config, refuse_unknown
from imagenet_nk.errors import ConfigError, DatasetError
from imagenet_nk.lists import Entry
from imagenet_nk.outcome import COMPLETE, SHORT

log = logging.getLogger(__name__)

EVAL_LIST, TRAIN_LIST = "eval.txt", "train.txt"


def run(cfg: DictConfig) -> int:
    """Run the stages that the configuration names; returns the exit code of the job."""
    config = _checked(cfg)
    folder = Path(config.dataset.dir).expanduser()
    label_map = classes.load(config.classes, config.labels, lambda url: _fetched(url, folder, config))
    complete = True
    if "collect" in config.stages:
        summary = collect(_job(cfg, config, label_map, folder))
        complete = not summary.short
    if "lists" in config.stages:
        write_lists(folder, config.lists.separator)
    return COMPLETE if complete or not config.require_complete else SHORT


def write_lists(folder: Path, separator: str) -> None:
    """Stage `lists`: eval.txt, and train.txt where the split leaves images for it, out of the manifest."""
    if not (folder / "manifest.parquet").is_file():
        raise DatasetError(f"{folder} holds no manifest.parquet: run the stage collect first, stages=[collect,lists]")
    manifest = results.read_manifest(folder)
    for name, split in ((EVAL_LIST, "eval"), (TRAIN_LIST, "train")):
        rows = manifest[manifest["split"] == split]
        if len(rows) or split == "eval":
            lists.write_list(folder / name, map(Entry, rows["path"], rows["label"]), separator)
        else:
            (folder / name).unlink(missing_ok=True)
    log.info("%s: %s", folder, ", ".join(f"{n} entries {s}" for s, n in manifest["split"].value_counts().items()))


def _checked(cfg: DictConfig) -> Config:
    """The configuration as plain objects; their own checks run here, then those of combinations."""
    refuse_unknown(cfg)
    config = OmegaConf.to_object(cfg)
    if not isinstance(config, Config):
        raise ConfigError("the configuration is not that of imagenet-nk: run src/imagenet.py or imagenet-nk")
    if type(config.source).__name__ == "NoSourceConfig":
        raise ConfigError("source=none goes only with source@fallback; choose a source: --help lists them")
    return config


def _job(cfg: DictConfig, config: Config, label_map: LabelMap, folder: Path) -> Job:
    settings: dict[str, Any] = {
        name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("source", "fallback", "sampling", "inspect")
    }
    return Job(
        source=instantiate(cfg.source),
        fallback=instantiate(cfg.fallback),
        sampling=instantiate(cfg.sampling, seed=config.seed),
        split=instantiate(cfg.split),
        label_map=label_map,
        nk=config.nk,
        folder=folder,
        http=config.http,
        inspect=config.inspect,
        retry=config.retry,
        fingerprint=fingerprint({**settings, "seed": config.seed, "nk": config.nk, "wnids": label_map.wnids}),
    )


def _fetched(url: str, folder: Path, config: Config) -> Path:
    return download(url, folder / "index" / url.rpartition("/")[2], config.http)
