"""A job from its configuration on: what it needs is checked and made ready, then its stages run."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from imagenet_nk.classes import loading
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.config import Config, NoSourceConfig, refuse_unknown
from imagenet_nk.dataset.folder_layout import LOCK
from imagenet_nk.dataset.object_store import check_writable
from imagenet_nk.engine.contract import Engine
from imagenet_nk.errors import ConfigError
from imagenet_nk.storage import files
from imagenet_nk.storage.run_lock import run_lock


def run(cfg: DictConfig) -> int:
    """Run the stages that the configuration names; returns the exit code of the job."""
    config = _checked(cfg)
    with closing(instantiate(cfg.engine)) as engine:
        folder = files.resolve(config.dataset.dir)
        home = files.local_dir_for(folder, config.dataset.state_dir)
        if {"collect", "lists"} & set(config.stages) and not config.plan:
            check_writable(folder, home)
        label_map = loading.load(config.classes, config.labels, lambda url: _fetched(url, home, config))
        _get_ready(engine, config, label_map)
        from imagenet_nk.app import stages  # half a second of pandas and sources, while workers load what they need

        return stages.run(cfg, config, engine, label_map, folder, home)


def _checked(cfg: DictConfig) -> Config:
    """The configuration as plain objects; their own checks run here, then those of combinations."""
    refuse_unknown(cfg)
    config = OmegaConf.to_object(cfg)
    if not isinstance(config, Config):
        raise ConfigError("the configuration is not that of imagenet-nk: run src/imagenet.py or imagenet-nk")
    if isinstance(config.source, NoSourceConfig):
        raise ConfigError("none goes with source@fallback only; choose a source: --help lists them")
    return config


def _get_ready(engine: Engine, config: Config, label_map: LabelMap) -> None:
    if "collect" in config.stages and not config.plan:
        engine.preload("imagenet_nk.collect.distributed.worker", len(label_map) * (config.nk or sys.maxsize))


def _fetched(url: str, home: Path, config: Config) -> Path:
    from imagenet_nk.net.download import download

    with run_lock(home / LOCK):  # it may be what another run is fetching
        return download(url, home / "index" / url.rpartition("/")[2], config.http)
